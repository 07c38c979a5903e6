import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn import metrics as reference

from fl import metrics

scored_labels = st.integers(4, 60).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.int8, n, elements=st.integers(0, 1)).filter(lambda y: 2 <= y.sum() <= len(y) - 2),
        hnp.arrays(np.float64, n, elements=st.integers(-8, 8).map(float)),
    )
)


def auc_by_pairs(labels: np.ndarray, scores: np.ndarray) -> float:
    pairs = np.sign(scores[labels == 1][:, None] - scores[labels == 0][None, :])
    return float((pairs + 1).mean() / 2)


def test_auc_agrees_with_scikit_learn(applicants):
    assert metrics.auc(*applicants) == pytest.approx(reference.roc_auc_score(*applicants), abs=1e-12)


def test_gini_is_somers_d_of_the_score_given_the_outcome(applicants):
    labels, pd = applicants
    assert metrics.gini(labels, pd) == pytest.approx(stats.somersd(labels, pd).statistic, abs=1e-12)


def test_ks_agrees_with_the_two_sample_test_of_scipy(applicants):
    labels, pd = applicants
    expected = stats.ks_2samp(pd[labels == 1], pd[labels == 0]).statistic
    assert metrics.ks(labels, pd) == pytest.approx(expected, abs=1e-12)


def test_ks_agrees_with_toad(applicants):
    toad = pytest.importorskip("toad.metrics", reason="toad has no wheel for this platform")
    labels, pd = applicants
    assert metrics.ks(labels, pd) == pytest.approx(toad.KS(pd, labels), abs=1e-12)


def test_roc_curve_agrees_with_scikit_learn(applicants):
    ours = metrics.roc_curve(*applicants)
    for mine, theirs in zip(ours, reference.roc_curve(*applicants, drop_intermediate=False), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-12)


def test_roc_curve_encloses_the_auc(applicants):
    curve = metrics.roc_curve(*applicants)
    assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(metrics.auc(*applicants), abs=1e-12)


def test_gain_curve_counts_bads_from_the_riskiest_down():
    curve = metrics.gain_curve([1, 0, 1, 0, 0], [0.9, 0.8, 0.5, 0.5, 0.1])
    np.testing.assert_allclose(curve.applicants, [0, 0.2, 0.4, 0.8, 1])
    np.testing.assert_allclose(curve.bads, [0, 0.5, 0.5, 1, 1])


def test_ks_curve_is_widest_at_the_ks(applicants):
    curve = metrics.ks_curve(*applicants)
    assert np.abs(curve.goods - curve.bads).max() == metrics.ks(*applicants)
    assert curve.bads[-1] == curve.goods[-1] == 1


def test_auc_interval_agrees_with_mlstatkit(applicants):
    mlstatkit = pytest.importorskip("MLstatkit")
    labels, pd = applicants
    *_, interval, _, area, _, _ = mlstatkit.Delong_test(labels, pd, pd[::-1])
    ours = metrics.auc_interval(labels, pd, scale="plain")
    np.testing.assert_allclose((ours.auc, ours.low, ours.high), (area, *interval), atol=1e-12)


def test_auc_interval_on_the_logit_scale_follows_the_delta_method():
    area, error, low, high = metrics.auc_interval([0, 0, 0, 1, 1, 1], [1, 2, 5, 3, 4, 6], scale="logit")
    # By hand: bads outrank 2, 2 and 3 of 3 goods; goods are outranked by 3, 3 and 1 of 3 bads.
    assert area == pytest.approx(7 / 9)
    assert error == pytest.approx(np.sqrt(np.var([2, 2, 3], ddof=1) / 27 + np.var([3, 3, 1], ddof=1) / 27))
    odds = area / (1 - area) * np.exp(np.array([-1, 1]) * 1.959964 * error / (area * (1 - area)))
    np.testing.assert_allclose((low, high), odds / (1 + odds), rtol=1e-6)


def test_auc_interval_covers_the_true_auc_as_often_as_it_says():
    generator = np.random.default_rng(3)
    labels = np.repeat([0, 1], [120, 30])
    true_auc = stats.norm.cdf(1 / np.sqrt(2))
    covered = 0
    for _ in range(500):
        interval = metrics.auc_interval(labels, generator.normal(size=150) + labels)
        covered += interval.low <= true_auc <= interval.high
    # Four standard errors of a share of 500 trials around 0.95.
    assert covered / 500 == pytest.approx(0.95, abs=0.04)


def test_perfect_separation_has_the_point_as_its_interval():
    assert metrics.auc_interval([0, 0, 1, 1], [1, 2, 3, 4]) == (1.0, 0.0, 1.0, 1.0)


@given(scored_labels)
def test_auc_is_the_share_of_pairs_in_the_right_order(case):
    assert metrics.auc(*case) == pytest.approx(auc_by_pairs(*case), abs=1e-12)


@given(scored_labels)
def test_increasing_transformations_change_no_ranking_measure(case):
    labels, scores = case
    stretched = np.exp(scores) * 3 - 2
    for measure in (metrics.auc, metrics.gini, metrics.ks, metrics.auc_interval):
        assert measure(labels, scores) == measure(labels, stretched)


@given(scored_labels, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(case, random):
    labels, scores = case
    order = list(range(len(labels)))
    random.shuffle(order)
    assert metrics.auc(labels[order], scores[order]) == metrics.auc(labels, scores)
    assert metrics.ks(labels[order], scores[order]) == metrics.ks(labels, scores)


@given(scored_labels)
def test_a_reversed_score_has_the_opposite_gini_and_the_same_ks(case):
    labels, scores = case
    assert metrics.gini(labels, -scores) == pytest.approx(-metrics.gini(labels, scores), abs=1e-12)
    assert metrics.ks(labels, -scores) == pytest.approx(metrics.ks(labels, scores), abs=1e-12)


@given(scored_labels, st.floats(0.5, 0.99))
def test_intervals_hold_their_estimate_and_stay_within_zero_and_one(case, level):
    for scale in ("logit", "plain"):
        interval = metrics.auc_interval(*case, level=level, scale=scale)
        assert 0 <= interval.low <= interval.auc + 1e-12
        assert interval.auc - 1e-12 <= interval.high <= 1


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 0, 0], [1, 2, 3], "hold 0 bads"),
        ([1, 1, 1], [1, 2, 3], "hold 0 goods"),
        ([0, 1, 2], [1, 2, 3], "labels must be 0"),
        ([0, 1, np.nan], [1, 2, 3], "labels must be 0"),
        ([0, 1, 1], [1, 2], "3 labels but 2 scores"),
        ([0, 1, 1], [1, np.nan, 2], "1 of 3 scores are NaN"),
        ([0, 1, 1], [1, np.inf, 2], "1 of 3 scores are NaN or infinite"),
        ([[0, 1]], [1, 2], "one dimension"),
        ([0, 1], [[1, 2]], "one dimension"),
    ],
)
@pytest.mark.parametrize(
    "measure",
    [metrics.auc, metrics.ks, metrics.gini, metrics.roc_curve, metrics.ks_curve, metrics.gain_curve],
)
def test_unusable_input_is_refused(measure, labels, scores, message):
    with pytest.raises(ValueError, match=message):
        measure(labels, scores)


def test_an_interval_needs_two_rows_of_each_class():
    with pytest.raises(ValueError, match="hold 1 bads; this measure needs at least 2"):
        metrics.auc_interval([0, 0, 1], [1, 2, 3])


def test_an_interval_refuses_an_unknown_scale_or_level():
    with pytest.raises(ValueError, match="scale must be"):
        metrics.auc_interval([0, 0, 1, 1], [1, 2, 3, 4], scale="log")
    with pytest.raises(ValueError, match="confidence level"):
        metrics.auc_interval([0, 0, 1, 1], [1, 2, 3, 4], level=95)


def test_the_expected_auc_is_that_of_many_draws_of_the_outcomes():
    rng = np.random.default_rng(4)
    pd = rng.beta(1, 6, 60)
    scores = np.round(pd + 0.1 * rng.normal(size=60), 1)  # with ties
    bads = (rng.random((20_000, 60)) < pd).astype(float)
    pairs = bads.T @ (1 - bads)  # how often the first of two rows is bad and the second is not
    above = (scores[:, None] > scores) + (scores[:, None] == scores) / 2

    expected = (pairs * above).sum() / pairs.sum()

    assert metrics.expected_auc(pd, scores) == pytest.approx(expected, abs=0.002)


def test_of_certain_outcomes_the_expected_auc_is_the_auc():
    labels, scores = [0, 1, 1, 0, 0, 1], [0.1, 0.4, 0.1, 0.3, 0.2, 0.9]
    assert metrics.expected_auc(np.array(labels, float), scores) == pytest.approx(metrics.auc(labels, scores))
    with pytest.raises(ValueError, match="no pair of rows"):
        metrics.expected_auc([1.0, 1.0], [0.1, 0.2])
