import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl import metrics


def sorted_bads(labels: np.ndarray, pd: np.ndarray) -> np.ndarray:
    return labels[np.argsort(pd)]


@pytest.mark.parametrize("approval", [0.01, 0.25, 0.6, 0.999, 1.0])
def test_bad_rate_at_approval_counts_the_lowest_pds(draw, approval):
    labels, pd = draw(1_000, seed=2)
    assert metrics.bad_rate_at_approval(labels, pd, approval) == pytest.approx(
        sorted_bads(labels, pd)[: int(1000 * approval)].mean()
    )


@pytest.mark.parametrize("bad_rate", [0.0, 0.02, 0.06, 0.5])
def test_approval_rate_at_bad_rate_tries_every_cut_off(draw, bad_rate):
    labels, pd = draw(1_000, seed=3)
    rates = sorted_bads(labels, pd).cumsum() / np.arange(1, 1001)
    admissible = np.flatnonzero(rates <= bad_rate)
    expected = (admissible[-1] + 1) / 1000 if len(admissible) else 0.0
    assert metrics.approval_rate_at_bad_rate(labels, pd, bad_rate) == expected


def test_ties_at_the_cut_off_count_in_part():
    labels, pd = [0, 0, 1, 0, 1, 1], [0.1, 0.2, 0.3, 0.3, 0.3, 0.9]
    # Two of the three tied applicants are approved, by lot: 2 * 2/3 bads among four.
    assert metrics.bad_rate_at_approval(labels, pd, 4 / 6) == pytest.approx((4 / 3) / 4)
    assert metrics.approval_rate_at_bad_rate(labels, pd, 1 / 3) == pytest.approx(4 / 6)


@given(st.integers(0, 1000), st.floats(0.05, 1), st.sampled_from([1, 2, 8]))
def test_the_two_decision_measures_are_inverse(draw, seed, approval, digits):
    labels, pd = draw(100, seed)
    labels[:2] = 0, 1
    rate = metrics.bad_rate_at_approval(labels, pd.round(digits), approval)
    approved = metrics.approval_rate_at_bad_rate(labels, pd.round(digits), rate)
    assert approved >= np.floor(approval * 100) / 100


def test_an_approval_rate_that_reaches_nobody_is_refused():
    with pytest.raises(ValueError, match="approves none of 3"):
        metrics.bad_rate_at_approval([0, 1, 0], [0.1, 0.2, 0.3], 0.2)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_shares_must_be_shares(share):
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        metrics.bad_rate_at_approval([0, 1], [0.1, 0.2], share)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        metrics.approval_rate_at_bad_rate([0, 1], [0.1, 0.2], share)


def test_swap_set_compares_the_two_approved_sets(draw):
    labels, a = draw(1_000, seed=4)
    b = draw(1_000, seed=5)[1]
    by_a, by_b = a <= np.sort(a)[599], b <= np.sort(b)[599]
    swap = metrics.swap_set(labels, a, b, 0.6)
    for group, members in (
        (swap.approved_by_both, by_a & by_b),
        (swap.swapped_in, ~by_a & by_b),
        (swap.swapped_out, by_a & ~by_b),
        (swap.refused_by_both, ~by_a & ~by_b),
    ):
        assert group.applicants == members.sum()
        assert group.bad_rate == pytest.approx(labels[members].mean())


@given(st.integers(0, 1000), st.floats(0, 1))
def test_a_model_swaps_nobody_with_itself_and_swaps_are_even(draw, seed, approval):
    labels, pd = draw(60, seed)
    labels[:2] = 0, 1
    tied = pd.round(1)
    assert metrics.swap_set(labels, tied, tied, approval).swapped_in.applicants == 0
    swap = metrics.swap_set(labels, tied, pd, approval)
    assert swap.swapped_in.applicants == pytest.approx(swap.swapped_out.applicants, abs=1e-9)
    assert sum(group.applicants for group in swap) == pytest.approx(60)


def test_the_better_model_swaps_in_fewer_bads(rivals):
    labels, better, weaker = rivals
    swap = metrics.swap_set(labels, weaker, better, 0.6)
    assert swap.swapped_in.bad_rate < swap.swapped_out.bad_rate
