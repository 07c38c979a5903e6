"""How two models differ, on cases whose answers can be told by hand."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.challenge.measures import (
    Contestant,
    Pair,
    changed_reasons,
    figures,
    gain_of_auc,
    order,
    swap_sets,
)
from experiments.lending.decisions import decide, profit
from experiments.lending.policy import Policy
from fl.metrics import swap_set

PD = np.array([0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08])
OTHER = np.array([0.01, 0.02, 0.05, 0.04, 0.03, 0.06, 0.08, 0.07])


def contestant(pd: np.ndarray, cutoff: float, reasons: np.ndarray | None = None) -> Contestant:
    none = np.empty((len(pd), 0), np.str_)
    return Contestant(
        name="s/c/1",
        pd=pd,
        reasons=none if reasons is None else reasons,
        training=pd,
        policy=Policy(maximum_pd=cutoff),
    )


@pytest.fixture
def pair() -> Pair:
    """The champion approves four of eight; the challenger would let the fifth in and the third out."""
    return Pair(
        champion=contestant(PD, 0.04),
        challenger=contestant(OTHER, 0.01),
        cash_flow=np.full(8, 100_000.0),
        outcomes=np.array([0, 0, 1, 0, 0, np.nan, 1, np.nan]),
    )


def test_the_swap_sets_are_who_one_model_alone_approves(pair: Pair) -> None:
    groups = swap_sets(pair)
    assert pair.approval == 0.5
    assert groups["applicants"].tolist() == [3, 1, 1, 3]
    assert groups.loc["swapped_in", ["champion", "challenger", "bad_rate"]].tolist() == [0.05, 0.03, 0]
    assert groups.loc["swapped_out", ["champion", "challenger", "bad_rate"]].tolist() == [0.03, 0.05, 1]
    assert groups.loc["refused_by_both", "known"] == 1
    everything = replace(pair, outcomes=np.nan_to_num(pair.outcomes))
    by_metrics = swap_set(everything.outcomes, PD, OTHER, 0.5)
    assert swap_sets(everything)["bad_rate"].tolist() == [group.bad_rate for group in by_metrics]


def test_equal_pds_at_the_cut_off_are_approved_in_part(pair: Pair) -> None:
    tied = replace(pair, challenger=contestant(np.full(8, 0.02), 0.01))
    assert swap_sets(tied).loc[["approved_by_both", "swapped_in"], "applicants"].tolist() == [2, 2]


def test_order_profit_and_stability(pair: Pair) -> None:
    assert order(pair) == {
        "spearman": pytest.approx(1 - 6 * 10 / (8 * 63)),
        "kendall": pytest.approx(1 - 2 * 4 / 28),
    }
    found, policy = figures(pair), Policy(maximum_pd=1.0)
    earned = profit(decide(OTHER, pair.cash_flow, policy), OTHER, policy)
    assert found.loc["expected_profit", "challenger"] == pytest.approx(earned[0] / 8)
    assert found.loc["expected_profit_equal", "challenger"] == pytest.approx(earned[[0, 1, 4, 3]].sum() / 8)
    assert found.loc["stability"].tolist() == [0, 0]
    assert found.loc["approval_rate"].tolist() == [0.5, 0.125]
    gain = gain_of_auc(pair)
    assert gain.difference == pytest.approx(found.loc["auc", "challenger"] - found.loc["auc", "champion"])


def test_without_outcomes_nothing_is_said_of_them(pair: Pair) -> None:
    silent = replace(pair, outcomes=np.full(8, np.nan))
    assert not silent.has_outcomes
    assert "auc" not in figures(silent).index
    assert swap_sets(silent)["bad_rate"].isna().all()


def test_reasons_are_compared_among_those_whom_both_decline(pair: Pair) -> None:
    before = np.array([["x", ""]] * 5 + [["a", "b"], ["a", ""], ["a", "b"]])
    after = np.array([["y", ""]] * 5 + [["a", "b"], ["b", "a"], ["c", ""]])
    told = replace(pair, champion=contestant(PD, 0.04, before), challenger=contestant(OTHER, 0.01, after))
    assert changed_reasons(told) == {"first": pytest.approx(2 / 3), "new": pytest.approx(2 / 5)}
    assert changed_reasons(pair) == {}
