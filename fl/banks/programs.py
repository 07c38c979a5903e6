"""Which program of sums trains each of the contenders that several banks have together."""

from collections.abc import Callable
from importlib import import_module
from operator import attrgetter
from typing import Any, NamedTuple

from fl.banks.grid import Schema
from fl.banks.program import Program
from fl.config.banks import BanksConfig
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import RunConfig
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError
from fl.secure_sums.noise import Noise


class Listed(NamedTuple):
    """Where a program is, and what it is given.

    module    is imported when it is needed, since some need heavy libraries
    name      of the class in it: `name(settings, seed, schema)`
    settings  the class of the section of settings that it follows
    steps     how many steps its training takes at most, by these settings, and
    sums      how many sums a step takes at most
    """

    module: str
    name: str
    settings: type[Any]
    steps: Callable[[Any], int]
    sums: Callable[[Any], int]


PROGRAMS: dict[str, Listed] = {
    "banks-boosting": Listed(
        "fl.banks.boosting", "BoostingProgram", BoostingConfig, attrgetter("rounds"), attrgetter("depth")
    ),
    "banks-network": Listed(
        "fl.banks.network", "NetworkProgram", NetworkConfig, attrgetter("rounds"), lambda _: 1
    ),
    "banks-scorecard": Listed(
        "fl.banks.scorecard", "ScorecardProgram", ScorecardConfig, attrgetter("exchanges"), lambda _: 1
    ),
}


PRIVATE = {
    "banks-boosting": ("fl.banks.private_boosting", "PrivateBoostingProgram"),
    "banks-scorecard": ("fl.banks.private_scorecard", "PrivateScorecardProgram"),
}
"""By contender the module and the class of its program under noise: `name(settings, seed, schema, noise)`."""


def program_of(contender: str, config: RunConfig, seed: int, schema: Schema, banks: int = 0) -> Program[Any]:
    """The program of a contender, by the settings of a run.

    banks is how many train, which matters only for what they add. Raises ConfigError if there is no program of that
    name, or none with noise where the run wants it.
    """
    listed, private = _listed(contender), config.section(BanksConfig)
    settings = config.section(listed.settings)
    if not private.epsilon:
        program: Program[Any] = vars(import_module(listed.module))[listed.name](settings, seed, schema)
        return program
    refuse_without_noise(contender, config)
    module, name = PRIVATE[contender]
    noise = Noise(private.epsilon, private.delta, banks)
    with_noise: Program[Any] = vars(import_module(module))[name](settings, seed, schema, noise)
    return with_noise


def refuse_without_noise(contender: str, config: RunConfig) -> None:
    """Raises ConfigError if a run wants noise on the sums of several banks, and the contender has none."""
    if config.section(BanksConfig).epsilon and contender not in PRIVATE:
        raise ConfigError(
            f"Setting 'banks.epsilon' is for {' and '.join(PRIVATE)}; {contender} has no noise on its sums."
        )


def steps_of(contender: str, config: RunConfig) -> int:
    """How many steps the training of a contender takes at most."""
    listed = _listed(contender)
    return listed.steps(config.section(listed.settings))


def sums_of(contender: str, config: RunConfig) -> int:
    """How many sums a step of it takes at most."""
    listed = _listed(contender)
    return listed.sums(config.section(listed.settings))


def _listed(contender: str) -> Listed:
    if contender not in PROGRAMS:
        raise ConfigError(f"Several banks train no {contender!r} together; they train {', '.join(PROGRAMS)}.")
    return PROGRAMS[contender]
