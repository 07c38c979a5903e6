"""The banks' scorecard against its pooled twin, with banks that differ in size, rows and order."""

import numpy as np
import pytest

from experiments.baselines.banks_scorecard import fit_scorecard, train
from fl.banks.scorecard import ScorecardProgram
from fl.config.scorecard import ScorecardConfig
from tests.fl.banks.test_scorecard import SCHEMA, all_rows, run, split

CONFIGS = {
    "as it comes": ScorecardConfig(),
    "L1": ScorecardConfig(l1_ratio=0.6, c=1.0),
    "free": ScorecardConfig(monotone=False, calibrate=False, precision=12),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_banks_scorecard_equals_its_pooled_twin(count: int, config: ScorecardConfig) -> None:
    banks = split(all_rows(1500, seed=count), count, seed=count)[::-1]
    program = ScorecardProgram(config, 1, SCHEMA)
    states, told, _ = run(program, banks)
    twin = fit_scorecard(banks, SCHEMA, config)
    points = program.points(states[0])
    np.testing.assert_array_equal(points.table.points, twin.points)
    np.testing.assert_array_equal(points.table.columns, twin.grouping.columns)
    assert points.base == twin.base
    log_odds = [program.log_odds(rows, state) for rows, state in zip(banks, states, strict=True)]
    np.testing.assert_array_equal(np.concatenate(log_odds), twin.log_odds)
    assert [metrics for _, metrics in told] == twin.curve
    np.testing.assert_array_equal(train(banks, SCHEMA, 1, config).log_odds, twin.log_odds)
