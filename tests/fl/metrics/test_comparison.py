import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl import metrics


def test_delong_agrees_with_mlstatkit(rivals):
    mlstatkit = pytest.importorskip("MLstatkit")
    labels, better, weaker = rivals
    # MLstatkit reports the second model minus the first.
    z, p_value, *_, area_weaker, area_better, _ = mlstatkit.Delong_test(labels, weaker, better)
    test = metrics.delong_test(labels, better, weaker)
    assert test.difference == pytest.approx(area_better - area_weaker, abs=1e-12)
    assert test.difference / test.standard_error == pytest.approx(z, rel=1e-9)
    assert test.p_value == pytest.approx(p_value, rel=1e-9)


def test_delong_by_hand():
    # Bads outrank 2, 2, 3 (a) and 3, 2, 2 (b) of 3 goods; goods are outranked by 3, 3, 1 (a) and 3, 2, 2 (b)
    # bads.
    labels = [0, 0, 0, 1, 1, 1]
    test = metrics.delong_test(labels, [1, 2, 5, 3, 4, 6], [1, 3, 4, 6, 2.5, 3.5])
    bads = (np.array([2, 2, 3]) - np.array([3, 1, 2])) / 3
    goods = (np.array([3, 3, 1]) - np.array([3, 2, 1])) / 3
    assert test.difference == pytest.approx(bads.mean())
    assert test.standard_error == pytest.approx(np.sqrt(bads.var(ddof=1) / 3 + goods.var(ddof=1) / 3))


def test_identical_rankings_do_not_differ(draw):
    labels, pd = draw(300, seed=1)
    assert metrics.delong_test(labels, pd, pd) == (0.0, 0.0, 0.0, 0.0, 1.0)
    assert metrics.delong_test(labels, pd, np.log(pd)) == (0.0, 0.0, 0.0, 0.0, 1.0)


def test_a_difference_without_variance_is_certain():
    test = metrics.delong_test([0, 0, 1, 1], [1, 2, 3, 4], [4, 3, 2, 1])
    assert (test.difference, test.p_value) == (1.0, 0.0)


@given(st.integers(0, 10_000))
def test_swapping_the_models_flips_the_sign_only(draw, seed):
    labels, a = draw(80, seed)
    labels[:4] = 0, 1, 0, 1
    b = np.random.default_rng(seed + 1).random(80).round(1)
    there, back = metrics.delong_test(labels, a, b), metrics.delong_test(labels, b, a)
    assert there.difference == pytest.approx(-back.difference, abs=1e-12)
    assert there.standard_error == pytest.approx(back.standard_error, abs=1e-12)
    assert there.p_value == pytest.approx(back.p_value, abs=1e-12)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-12)


def test_delong_rejects_equal_models_as_rarely_as_it_should():
    generator = np.random.default_rng(8)
    labels = np.repeat([0, 1], [150, 50])
    p_values = []
    for _ in range(400):
        signal = labels + generator.normal(size=200)
        a, b = signal + generator.normal(size=200), signal + generator.normal(size=200)
        p_values.append(metrics.delong_test(labels, a, b).p_value)
    # Four standard errors of a share of 400 trials around 0.05.
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.044)


def test_population_stability_index_agrees_with_toad(draw):
    toad = pytest.importorskip("toad.metrics", reason="toad has no wheel for this platform")
    before, after = draw(3_000, seed=1)[1], draw(2_000, seed=2, strength=1.3)[1]
    edges = np.quantile(before, np.linspace(0, 1, 11)[1:-1])
    expected = toad.PSI(np.searchsorted(edges, after), np.searchsorted(edges, before))
    assert metrics.population_stability_index(before, after) == pytest.approx(expected, rel=1e-12)


def test_population_stability_index_by_hand_with_an_empty_bin():
    # Two bins split at 2.5: shares 1/2, 1/2 before; all after fall into the first, the second counts half a
    # row.
    index = metrics.population_stability_index([1, 2, 3, 4], [1, 1, 2, 2], bins=2)
    assert index == pytest.approx(0.5 * np.log(2) + (0.125 - 0.5) * np.log(0.125 / 0.5))


@given(st.integers(0, 1000))
def test_population_stability_index_is_zero_for_the_same_scores_and_else_positive(draw, seed):
    before, after = draw(50, seed)[1].round(2), draw(70, seed + 1)[1].round(2)
    assert metrics.population_stability_index(before, before[::-1]) == 0
    assert metrics.population_stability_index(before, after) >= 0


def test_population_stability_index_needs_rows():
    with pytest.raises(ValueError, match="cannot compare 0 with 2 rows"):
        metrics.population_stability_index([], [1, 2])
