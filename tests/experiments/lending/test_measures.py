from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from experiments.lending.cases import Case
from experiments.lending.decisions import decide, profit
from experiments.lending.measures import (
    APPROVAL,
    BAD_RATE,
    MEASURES,
    OWN,
    RANKING,
    Cutoffs,
    choose_cutoffs,
    measure,
    swap,
    trade_off,
)
from experiments.lending.policy import Policy

SIDES = ["reference", "challenger"]


@pytest.fixture
def case(make_case: Callable[..., Case]) -> Case:
    return make_case()


@pytest.fixture
def found(case: Case, policy: Policy) -> pd.DataFrame:
    return measure(case, choose_cutoffs(case, policy))


def test_cutoffs_come_from_validation_rows_alone(case: Case, policy: Policy) -> None:
    other = replace(case, test=case.test.take(np.arange(10)))
    assert choose_cutoffs(other, policy) == choose_cutoffs(case, policy)
    chosen = choose_cutoffs(case, policy)
    accepted = case.validation.reference <= chosen.reference.maximum_pd
    assert chosen.bad_rate == case.validation.labels[accepted].mean()


def test_a_better_score_ranks_better_by_what_scikit_learn_says(case: Case, found: pd.DataFrame) -> None:
    ginis = [2 * roc_auc_score(case.test.labels, getattr(case.test, side)) - 1 for side in SIDES]
    row = found.loc[(RANKING, "gini")]
    np.testing.assert_allclose(row[SIDES], ginis)
    assert row["change"] == pytest.approx(ginis[1] / ginis[0] - 1)
    assert row["change"] > 0.1
    assert found.loc[(RANKING, "gini_accepted"), "reference"] < ginis[0]


def test_own_decisions_are_those_of_the_policy(case: Case, policy: Policy, found: pd.DataFrame) -> None:
    test, own = case.test, choose_cutoffs(case, policy).challenger
    decision = decide(test.challenger, test.cash_flow, own)
    approved = decision.approved
    expected = {
        "approval_rate": approved.mean(),
        "bad_rate": test.labels[approved].mean(),
        "bad_rate_declined": test.labels[~approved].mean(),
        "average_line": decision.line.sum() / approved.sum(),
        "credit": decision.line.mean(),
        "price": (decision.line * decision.price).sum() / decision.line.sum(),
        "realised_profit": profit(decision, test.labels, own).sum() / len(test),
        "expected_profit": profit(decision, test.challenger, own).sum() / len(test),
        "approval_rate_platform": approved[test.groups["supply-chain firms"]].mean(),
        "share_first_time": test.groups["first-time borrowers"][approved].mean(),
        "bad_rate_first_time": test.labels[approved & test.groups["first-time borrowers"]].mean(),
    }
    for name, value in expected.items():
        assert found.loc[(OWN, name), "challenger"] == pytest.approx(value), name


def test_changes_are_differences_of_shares_and_ratios_of_amounts(found: pd.DataFrame) -> None:
    for (_, name), row in found.iterrows():
        first, second, change = row
        relative = MEASURES[name].kind in ("coefficient", "line")
        assert change == pytest.approx(second / first - 1 if relative else second - first)


def test_at_equal_approval_as_many_are_approved(found: pd.DataFrame) -> None:
    rows = found.loc[APPROVAL]
    assert abs(rows.loc["approval_rate", "change"]) <= 1 / 1500
    assert rows.loc["bad_rate", "change"] < 0
    assert rows.loc["swapped", "reference"] == pytest.approx(rows.loc["swapped", "challenger"], abs=1 / 1500)
    assert rows.loc["bad_rate_swapped", "challenger"] < rows.loc["bad_rate_swapped", "reference"]


def test_at_equal_bad_rate_neither_model_passes_the_limit(
    case: Case, policy: Policy, found: pd.DataFrame
) -> None:
    limit = choose_cutoffs(case, policy).bad_rate
    rows = found.loc[BAD_RATE]
    assert (rows.loc["bad_rate", SIDES] <= limit).all()
    assert rows.loc["approval_rate", "change"] > 0


def test_a_model_gains_nothing_over_itself(case: Case, policy: Policy) -> None:
    test, validation = (replace(rows, challenger=rows.reference) for rows in (case.test, case.validation))
    same = replace(case, test=test, validation=validation)
    found = measure(same, choose_cutoffs(same, policy))
    assert (found["change"].dropna() == 0).all()
    assert (found.xs("swapped", level="measure")[SIDES] == 0).all(axis=None)


def test_where_nobody_is_approved_there_is_nothing_to_measure(case: Case) -> None:
    nobody = Policy(choose="none", maximum_pd=0.0)
    found = measure(case, Cutoffs(nobody, nobody, float("nan"))).loc[OWN]
    assert (found.loc[["approval_rate", "realised_profit"], SIDES] == 0).all(axis=None)
    assert found.loc[["bad_rate", "average_line", "price", "share_first_time"], SIDES].isna().all(axis=None)


def test_groups_that_the_data_do_not_tell_are_left_out(case: Case, policy: Policy) -> None:
    plain = replace(case, test=replace(case.test, groups={}))
    found = measure(plain, choose_cutoffs(plain, policy))
    assert not [name for _, name in found.index if "first_time" in name or "supply_chain" in name]


def test_the_swap_set_is_that_of_equal_approval(case: Case, policy: Policy, found: pd.DataFrame) -> None:
    groups = swap(case, choose_cutoffs(case, policy))
    assert groups["share"].sum() == pytest.approx(1)
    for name, side in (("swapped_in", "challenger"), ("swapped_out", "reference")):
        assert groups.loc[name, "bad_rate"] == pytest.approx(found.loc[(APPROVAL, "bad_rate_swapped"), side])


def test_the_trade_off_ends_with_everybody(case: Case) -> None:
    curves = trade_off(case)
    assert len(curves) == 100
    np.testing.assert_allclose(curves.loc[1.0], case.test.labels.mean())
    order = np.argsort(case.test.challenger)
    assert curves.loc[0.5, "challenger"] == pytest.approx(case.test.labels[order][:750].mean())


def test_few_applicants_have_a_trade_off_of_few_points(case: Case) -> None:
    few = case.resampled(
        np.flatnonzero(case.test.labels)[:5].tolist() + np.flatnonzero(case.test.labels == 0)[:15].tolist()
    )
    assert trade_off(few).index.min() == 0.05
