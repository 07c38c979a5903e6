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


def test_an_offset_moves_the_level_and_nothing_else() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(-2, 1, size=2_000)
    labels = (rng.random(2_000) < 1 / (1 + np.exp(-scores - 0.7))).astype(np.int8)
    found = Calibration.fit(scores, labels, with_slope=False)
    bads = labels.sum()
    # By Platt's targets, which are a little less than sure of each label.
    assert found.apply(scores).sum() == pytest.approx(bads * (bads + 1) / (bads + 2) + 1 - 2 / (2_002 - bads))
    assert found.slope == 1
    assert found.intercept == pytest.approx(0.7, abs=0.2)


@pytest.mark.parametrize("with_slope", [False, True])
def test_scores_stay_as_they_are_unless_the_rows_speak_for_a_change(with_slope: bool) -> None:
    rng = np.random.default_rng(2)

    def fitted(shift: float) -> Calibration:
        scores = rng.normal(-2, 1, size=500)
        labels = (rng.random(500) < 1 / (1 + np.exp(-scores - shift))).astype(np.int8)
        return Calibration.fit_if_needed(scores, labels, with_slope)

    assert sum(fitted(0.0) != Calibration() for _ in range(200)) < 20  # the test errs in 5 of 100 cases
    assert all(fitted(1.0) != Calibration() for _ in range(20))


def test_one_map_after_another() -> None:
    scores = np.linspace(-3, 3, 7)
    first, second = Calibration(0.5, -1.0), Calibration(2.0, 0.25)
    np.testing.assert_allclose(second.after(first).log_odds(scores), second.log_odds(first.log_odds(scores)))


@given(st.lists(st.tuples(st.floats(-30, 30), st.booleans()), min_size=2, max_size=30))
def test_calibration_never_turns_the_order_round(rows: list[tuple[float, bool]]) -> None:
    scores = np.array([score for score, _ in rows])
    labels = np.array([label for _, label in rows], np.int8)
    pd = Calibration.fit(scores, labels).apply(np.sort(scores))
    assert np.isfinite(pd).all()
    assert (np.diff(pd) >= 0).all()
