"""The whole's evaluation from added counts against the exact one."""

import numpy as np
import pytest
from scipy.special import expit

from fl import metrics
from fl.banks.evaluation import BINS, EDGES, PD_UNIT, cuts_of, outcomes, row_counts, rows_of
from fl.calibration import Calibration
from fl.errors import ProtocolError
from fl.evaluation.measures import evaluate


def added(banks: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and PDs that several banks' scores and labels add up to."""
    cuts = cuts_of(np.sum([row_counts(scores) for scores, _ in banks], axis=0))
    total = np.sum([outcomes(scores, labels, cuts) for scores, labels in banks], axis=0)
    in_bins = total.reshape(3, -1)[:2].sum(axis=0)
    assert len(in_bins) <= BINS
    assert in_bins.min() >= 10 or len(in_bins) == 1
    return rows_of(total)


@pytest.mark.parametrize("rows", [2_000, 5_000, 30_000])
@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("banks", [3, 5])
def test_added_counts_tell_what_the_rows_tell(rows: int, spread: float, banks: int) -> None:
    rng = np.random.default_rng(rows + banks)
    scores = rng.normal(-2, spread, rows)
    labels = (rng.random(rows) < expit(scores)).astype(np.int8)
    bank = rng.choice(banks, rows, p=np.arange(1, banks + 1) / (banks * (banks + 1) / 2))

    told = evaluate(*added([(scores[bank == each], labels[bank == each]) for each in range(banks)])).metrics
    exact = evaluate(labels, expit(scores)).metrics

    assert abs(told["auc"] - exact["auc"]) < 0.0005
    assert told["bad_rate"] == exact["bad_rate"]
    np.testing.assert_allclose(told["mean_pd"], exact["mean_pd"], atol=1e-8)
    np.testing.assert_allclose(told["ks"], exact["ks"], atol=0.02)
    np.testing.assert_allclose(told["brier"], exact["brier"], atol=0.0005)
    np.testing.assert_allclose(told["calibration_error"], exact["calibration_error"], atol=0.005)
    np.testing.assert_allclose(told["bad_rate_at_60"], exact["bad_rate_at_60"], atol=0.002)


def test_points_and_equal_scores_are_told_exactly() -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(-60, 60, 4_000) / 16
    labels = (rng.random(4_000) < expit(scores)).astype(np.int8)
    told, pd = added([(scores[:100], labels[:100]), (scores[100:], labels[100:])])
    assert metrics.auc(told, pd) == pytest.approx(metrics.auc(labels, scores), abs=1e-12)


def test_a_calibration_on_bins_is_that_on_rows() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(-2, 1, 6_000)
    labels, scores = (rng.random(6_000) < expit(truth)).astype(np.int8), 0.5 * truth - 0.3
    told, pd = added([(scores[:2_000], labels[:2_000]), (scores[2_000:], labels[2_000:])])
    by_bins, by_rows = Calibration.fit(np.log(pd / (1 - pd)), told), Calibration.fit(scores, labels)
    assert by_bins.slope == pytest.approx(by_rows.slope, abs=0.01)
    assert by_bins.intercept == pytest.approx(by_rows.intercept, abs=0.01)


def test_few_rows_are_one_bin_and_extreme_scores_have_a_place() -> None:
    scores = np.array([-1e9, -3.0, 0.0, 1e9])
    assert row_counts(scores).sum() == 4
    assert len(cuts_of(row_counts(scores))) == 0
    labels, pd = rows_of(outcomes(scores, np.array([0, 0, 1, 1], np.int8), np.empty(0)))
    assert labels.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(pd, expit(scores).mean())


def test_totals_of_another_form_are_refused() -> None:
    with pytest.raises(ProtocolError):
        cuts_of(np.zeros(len(EDGES), np.int64))
    for counts in ([0, 0, 0, 0], [1, -1, 0], [1, 0, 2 * PD_UNIT], [1 << 40, 0, 0]):
        with pytest.raises(ProtocolError):
            rows_of(np.array(counts))
