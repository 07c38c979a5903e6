import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve as reference_curve

from fl import metrics

columns = hnp.arrays(np.float64, st.integers(1, 80), elements=st.integers(0, 12).map(float))


def test_brier_agrees_with_scikit_learn(applicants):
    assert metrics.brier(*applicants) == pytest.approx(reference.brier_score_loss(*applicants), abs=1e-12)


@pytest.mark.parametrize("bins", [1, 5, 10])
def test_calibration_curve_agrees_with_scikit_learn(applicants, bins):
    observed, predicted = reference_curve(*applicants, n_bins=bins, strategy="quantile")
    curve = metrics.calibration_curve(*applicants, bins=bins)
    np.testing.assert_allclose(curve.observed, observed, atol=1e-12)
    np.testing.assert_allclose(curve.predicted, predicted, atol=1e-12)
    assert curve.applicants.sum() == len(applicants[0])


@pytest.mark.parametrize("bads", [0, 1, 3, 40])
def test_wilson_interval_agrees_with_scipy(bads):
    expected = stats.binomtest(bads, 40).proportion_ci(method="wilson")
    np.testing.assert_allclose(metrics.wilson_interval(bads, 40), expected, atol=1e-12)


def test_expected_calibration_error_by_hand():
    labels = [0, 1, 0, 0, 1, 1]
    pd = [0.1, 0.1, 0.1, 0.6, 0.6, 0.6]
    assert metrics.expected_calibration_error(labels, pd, bins=2) == pytest.approx(
        (abs(0.1 - 1 / 3) + abs(0.6 - 2 / 3)) / 2
    )


def test_the_bad_rate_for_everyone_is_perfectly_calibrated():
    labels = np.array([0, 0, 0, 1])
    assert metrics.expected_calibration_error(labels, np.full(4, 0.25)) == 0
    assert len(metrics.calibration_curve(labels, np.full(4, 0.25)).predicted) == 1


@given(columns, st.integers(1, 20))
def test_quantile_bins_keep_order_and_never_part_equal_values(values, bins):
    numbers = metrics.quantile_bins(values, bins)
    order = np.argsort(values, kind="stable")
    assert set(np.diff(numbers[order])) <= {0, 1}
    assert numbers.min() == 0
    assert numbers.max() < bins
    assert all(len(set(numbers[values == value])) == 1 for value in set(values))


def test_quantile_bins_of_distinct_values_have_nearly_equal_size():
    sizes = np.bincount(metrics.quantile_bins(np.random.default_rng(0).random(1003), 10))
    assert len(sizes) == 10
    assert set(sizes) <= {100, 101}


@pytest.mark.parametrize("measure", [metrics.brier, metrics.calibration_curve])
def test_a_score_that_is_no_probability_is_refused(measure):
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]; these span -3 to 2"):
        measure([0, 1], [-3.0, 2.0])


@given(columns, st.integers(1, 20), st.integers(1, 12))
def test_quantile_bins_hold_the_minimum_where_there_are_enough_rows(values, bins, minimum):
    sizes = np.bincount(metrics.quantile_bins(values, bins, minimum))
    assert sizes.min() >= minimum or len(sizes) == 1


def test_bins_need_rows_and_a_number():
    with pytest.raises(ValueError, match="0 rows"):
        metrics.quantile_bins([], 10)
    with pytest.raises(ValueError, match="0 bins"):
        metrics.calibration_curve([0, 1], [0.1, 0.2], bins=0)
