"""Which program a run has for a contender of several banks."""

from dataclasses import is_dataclass

import numpy as np
import pytest

from fl.banks.grid import Schema
from fl.banks.programs import PRIVATE, PROGRAMS, program_of
from fl.config.banks import BanksConfig
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from fl.records import decode, encode
from fl.secure_sums import noise
from fl.secure_sums.noise import Noise
from tests.fl.banks.test_scorecard import SCHEMA, all_rows, run, split

NOTHING = Schema((), (), (), ())


def test_a_run_with_noise_has_programs_with_noise_or_none() -> None:
    config = TrainingConfig().with_section(BanksConfig(epsilon=3.0, delta=1e-6))
    for contender, (_, name) in PRIVATE.items():
        program = program_of(contender, config, 1, NOTHING, banks=4)
        assert type(program).__name__ == name
        assert program.noise == Noise(3.0, 1e-6, 4)
    for contender in PROGRAMS.keys() - PRIVATE.keys():
        with pytest.raises(ConfigError, match="has no noise on its sums"):
            program_of(contender, config, 1, NOTHING)


def test_privacy_is_within_bounds() -> None:
    for settings in ({"epsilon": -1.0}, {"delta": 0.0}, {"delta": 1.0}):
        with pytest.raises(ConfigError, match="banks"):
            BanksConfig(**settings)


def shapes(value: object) -> set[int]:
    """The lengths of all axes of the arrays within a record."""
    if isinstance(value, np.ndarray):
        return set(value.shape)
    parts = vars(value).values() if is_dataclass(value) else value if isinstance(value, tuple) else ()
    return set[int]().union(*map(shapes, parts))


@pytest.mark.parametrize(("contender", "epsilon"), [*((name, 0.0) for name in PROGRAMS), (*PRIVATE, 3.0)])
def test_what_is_shared_of_a_model_scores_and_explains_and_has_nothing_of_a_banks_rows(
    monkeypatch: pytest.MonkeyPatch, contender: str, epsilon: float
) -> None:
    monkeypatch.setattr(noise, "budget", lambda epsilon, delta: 1.0)
    config = TrainingConfig().with_section(BanksConfig(epsilon=epsilon))
    for section in (BoostingConfig(trees=12, depth=3, patience=1), NetworkConfig(rounds=2)):
        config = config.with_section(section)
    program, banks = program_of(contender, config, 1, SCHEMA, banks=2), split(all_rows(2_503), 2, seed=1)
    states, _, _ = run(program, banks)

    (shared,) = {encode(program.shared(state)) for state in states}
    model = decode(program.state, shared)
    for rows, state in zip(banks, states, strict=True):
        np.testing.assert_array_equal(program.log_odds(rows, model), program.log_odds(rows, state))
        expected = program.contributions(rows, state)
        for number, added in program.contributions(rows, model).items():
            np.testing.assert_array_equal(added, expected[number])
        parts = {len(rows), *np.bincount(rows.roles).tolist()}
        assert not shapes(model) & parts
    assert encode(program.shared(model)) == shared
