"""Which program of sums trains each of the contenders that several banks have together."""

from collections.abc import Callable
from importlib import import_module
from operator import attrgetter
from typing import Any, NamedTuple

from fl.banks.grid import Schema
from fl.banks.program import Program
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import RunConfig
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError


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


def program_of(contender: str, config: RunConfig, seed: int, schema: Schema) -> Program[Any]:
    """The program of a contender, by the settings of a run. Raises ConfigError if there is none of that name."""
    listed = _listed(contender)
    program: Program[Any] = vars(import_module(listed.module))[listed.name](
        config.section(listed.settings), seed, schema
    )
    return program


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
