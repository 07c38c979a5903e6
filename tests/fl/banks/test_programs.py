"""Which program a run has for a contender of several banks."""

import pytest

from fl.banks.grid import Schema
from fl.banks.programs import PRIVATE, PROGRAMS, program_of
from fl.config.banks import BanksConfig
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from fl.secure_sums.noise import Noise

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
