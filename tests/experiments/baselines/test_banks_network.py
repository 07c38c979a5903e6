"""The network of several banks against its twin, which goes through the banks' blocks without sums."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.baselines.banks_network import train
from fl.banks.network import NetworkProgram
from fl.config.network import NetworkConfig
from tests.fl.banks.test_network import QUICK
from tests.fl.banks.test_scorecard import SCHEMA, all_rows, run, split


@pytest.mark.parametrize("config", [QUICK, replace(QUICK, proximal=0.5, local_epochs=3, patience=2)])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_banks_network_equals_its_twin(count: int, config: NetworkConfig) -> None:
    banks = split(all_rows(900, seed=count), count, seed=count)[::-1]
    program = NetworkProgram(config, 5, SCHEMA)
    states, told, _ = run(program, banks)
    twin = train(banks, SCHEMA, 5, config)
    log_odds = [program.log_odds(rows, state) for rows, state in zip(banks, states, strict=True)]
    np.testing.assert_allclose(np.concatenate(log_odds), twin.log_odds, atol=1e-4)
    assert len(told) == len(twin.curve)
    for (_, metrics), expected in zip(told, twin.curve, strict=True):
        assert metrics == pytest.approx(expected, abs=1e-5)
