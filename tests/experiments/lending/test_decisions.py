from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.lending.decisions import (
    choose_cutoff,
    cutoff_at_approval,
    cutoff_at_bad_rate,
    decide,
    profit,
)
from experiments.lending.policy import Policy

POLICY = Policy(
    choose="none",
    maximum_pd=0.05,
    grades=((0.01, 0.2), (0.04, 0.1), (1.0, 0.05)),
    minimum_line=10_000,
    maximum_line=500_000,
    loss_given_default=0.5,
    funding_cost=0.02,
    margin=0.01,
    maximum_price=0.05,
    operating_cost=500,
)
pds = st.lists(st.floats(0, 1), min_size=2, max_size=40).map(np.array)


def test_a_decision_worked_out_by_hand() -> None:
    found = decide([0.01, 0.02, 0.05, 0.051], [50_000, 50_000, 1_000, 50_000], POLICY)

    assert found.approved.tolist() == [True, True, True, False]
    # 20 % and 10 % of 600,000 a year; 5 % of 12,000 is less than the smallest line.
    np.testing.assert_allclose(found.line, [120_000, 60_000, 10_000, 0])
    # Half of the PD, 2 % funding, 1 % margin, at most 5 %.
    np.testing.assert_allclose(found.price, [0.035, 0.04, 0.05, 0.05])


def test_no_line_exceeds_the_largest_and_unknown_cash_flow_gets_the_smallest() -> None:
    assert decide([0.0, 0.0], [1e9, np.nan], POLICY).line.tolist() == [500_000, 10_000]


def test_a_pd_above_the_last_grade_is_as_in_it() -> None:
    policy = replace(POLICY, grades=((0.01, 0.2), (0.02, 0.1)), maximum_pd=1.0)
    np.testing.assert_allclose(decide([0.02, 0.9], [10_000, 10_000], policy).line, 12_000)


def test_profit_is_price_less_cost_of_a_good_and_the_loss_of_a_bad() -> None:
    decision = decide([0.01, 0.01, 0.06], [50_000, 50_000, 50_000], POLICY)
    good = 120_000 * (0.035 - 0.02) - 500
    bad = -120_000 * (0.02 + 0.5) - 500
    np.testing.assert_allclose(profit(decision, [0, 1, 1], POLICY), [good, bad, 0])
    np.testing.assert_allclose(profit(decision, [0.01, 0.5, 0.1], POLICY)[1], (good + bad) / 2)


def test_expected_profit_is_the_mean_of_realised_profit() -> None:
    rng = np.random.default_rng(0)
    pd, flow = rng.beta(1, 20, 200), rng.lognormal(11, 1, 200)
    policy = replace(POLICY, maximum_pd=1.0)
    decision = decide(pd, flow, policy)
    draws = [profit(decision, rng.random(200) < pd, policy).sum() for _ in range(4_000)]
    error = np.std(draws) / np.sqrt(len(draws))
    assert abs(np.mean(draws) - profit(decision, pd, policy).sum()) < 4 * error


@given(pds, st.floats(0, 1e6))
def test_more_risk_never_gets_more(pd: np.ndarray, flow: float) -> None:
    pd = np.sort(pd)
    policy = replace(POLICY, maximum_pd=0.3)
    found = decide(pd, np.full(len(pd), flow), policy)
    assert (np.diff(found.approved.astype(int)) <= 0).all()
    assert (np.diff(found.line) <= 0).all()
    assert (np.diff(found.price) >= 0).all()
    even = replace(policy, maximum_pd=1.0, grades=((1.0, 0.1),))
    earned = profit(decide(pd, np.full(len(pd), flow), even), pd, even)
    assert (np.diff(earned) <= 1e-6).all()


@given(pds, st.floats(0, 1e6), st.floats(0, 1e6))
def test_more_cash_flow_never_gets_less(pd: np.ndarray, one: float, other: float) -> None:
    less, more = (decide(pd, np.full(len(pd), flow), POLICY).line for flow in sorted((one, other)))
    assert (less <= more).all()


def test_the_chosen_cutoff_has_the_largest_expected_profit() -> None:
    rng = np.random.default_rng(1)
    pd, flow = rng.beta(1, 12, 300).round(3), rng.lognormal(10, 1.5, 300)
    policy = replace(POLICY, choose="profit", maximum_pd=1.0)

    chosen = choose_cutoff(rng.integers(0, 2, 300), pd, flow, policy)

    def earned(cutoff: float) -> float:
        tried = replace(policy, maximum_pd=cutoff)
        return float(profit(decide(pd, flow, tried), pd, tried).sum())

    assert earned(chosen.maximum_pd) == pytest.approx(max(earned(value) for value in [0.0, *pd]))
    assert 0 < chosen.maximum_pd < pd.max()


def test_where_no_loan_pays_nobody_is_approved() -> None:
    policy = replace(POLICY, choose="profit", operating_cost=1e9)
    pd = np.array([0.01, 0.02])
    chosen = choose_cutoff([0, 1], pd, [1e4, 1e4], policy)
    assert not decide(pd, [1e4, 1e4], chosen).approved.any()


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5, 1.0])
def test_a_rate_is_reached_and_not_passed(rate: float) -> None:
    rng = np.random.default_rng(2)
    pd = rng.random(500).round(2)
    labels = (rng.random(500) < pd).astype(int)
    cutoff = cutoff_at_approval(pd, rate)
    above = pd[pd > cutoff]
    assert (pd <= cutoff).mean() <= rate
    assert not len(above) or (pd <= above.min()).mean() > rate

    cutoff = cutoff_at_bad_rate(labels, pd, rate)
    assert labels[pd <= cutoff].mean() <= rate
    assert all(labels[pd <= value].mean() > rate for value in np.unique(pd[pd > cutoff]))


def test_targets_are_reached_on_the_given_rows_below_the_highest_pd() -> None:
    pd, labels, flow = np.arange(1, 11) / 100, np.tile([0, 1], 5), np.full(10, 1e4)
    policy = Policy(choose="approval-rate", target=0.4)
    assert choose_cutoff(labels, pd, flow, policy).maximum_pd == 0.04
    assert choose_cutoff(labels, pd, flow, replace(policy, maximum_pd=0.02)).maximum_pd == 0.02
    bads = Policy(choose="bad-rate", target=0.45)
    assert choose_cutoff(labels, pd, flow, bads).maximum_pd == 0.09  # four of nine
    assert choose_cutoff(labels, pd, flow, POLICY) == POLICY


@pytest.mark.parametrize("flow", [[1.0], [1.0, -1.0], [1.0, np.inf]])
def test_cash_flow_must_be_amounts(flow: list[float]) -> None:
    with pytest.raises(ValueError, match="cash flow must be 2 amounts"):
        decide([0.1, 0.2], flow, POLICY)


def test_profit_needs_an_outcome_of_each_decision() -> None:
    decision = decide([0.1, 0.2], [1.0, 1.0], POLICY)
    with pytest.raises(ValueError, match="2 labels but 1"):
        profit(decision, [0.0], POLICY)
