import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl.calibration import Calibration


def test_calibration_recovers_a_logistic_map() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=50_000)
    labels = (rng.random(50_000) < 1 / (1 + np.exp(-0.5 * scores + 2))).astype(np.int8)
    found = Calibration.fit(scores, labels)
    assert found.slope == pytest.approx(0.5, abs=0.05)
    assert found.intercept == pytest.approx(-2, abs=0.05)


@given(st.lists(st.tuples(st.floats(-30, 30), st.booleans()), min_size=2, max_size=30))
def test_calibration_never_turns_the_order_round(rows: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in rows])
    labels = np.array([label for _, label in rows], np.int8)
    pd = Calibration.fit(scores, labels).apply(np.sort(scores))
    assert np.isfinite(pd).all()
    assert (np.diff(pd) >= 0).all()
