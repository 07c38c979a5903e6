from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from experiments.lending import intervals
from experiments.lending.cases import Applicants, Case
from experiments.lending.decisions import choose_cutoff, decide, group_cutoffs, profit
from experiments.lending.mitigation import measure_mitigations
from experiments.lending.policy import Policy
from fl import metrics

POLICY = Policy(choose="approval-rate", target=0.6, groups="area")


def draw(rows: int, rng: np.random.Generator) -> Applicants:
    area = rng.choice(["county", "urban", "island"], rows, p=[0.4, 0.59, 0.01])
    risk = rng.normal(size=rows) - 2 + 0.9 * (area == "county")
    labels = (rng.random(rows) < expit(risk)).astype(np.int8)
    pds = expit(risk)
    # Of the reweighed model no more is known here than that it favours the county.
    reweighed = expit(risk - 0.9 * (area == "county"))
    flow = np.full(rows, 1e5)
    return Applicants(labels, flow, {}, pds, pds, {"area": area}, reweighed=reweighed)


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setattr(intervals, "RESAMPLES", 20)
    rng = np.random.default_rng(1)
    return Case(0, 1, draw(3_000, rng), draw(3_000, rng))


def test_cut_offs_of_groups_approve_the_same_share_of_each(case: Case) -> None:
    found = measure_mitigations([case], POLICY, "").loc["a cut-off for each area, for equal approval rates"]

    rows, test = case.validation, case.test
    own = choose_cutoff(rows.labels, rows.challenger, rows.cash_flow, POLICY)
    areas, own_cutoff = test.segments["area"], own.maximum_pd
    of_groups = group_cutoffs(rows.labels, rows.challenger, rows.segments["area"], own, ["county", "urban"])
    # Too few are on islands for a cut-off of their own.
    cutoff = np.array([of_groups.get(str(area), own_cutoff) for area in areas])
    decision = decide(test.challenger, test.cash_flow, own, cutoff)
    before = decide(test.challenger, test.cash_flow, own)
    assert found.loc["approval_ratio", "before"] < 0.6
    assert found.loc["approval_ratio", "after"] > 0.9
    assert found.loc["approval_rate", "after"] == decision.approved.mean()
    for name, labels in (("expected_profit", test.challenger), ("realised_profit", test.labels)):
        for when, made in (("before", before), ("after", decision)):
            assert found.loc[name, when] == pytest.approx(profit(made, labels, own).mean())
    assert found.loc["expected_profit", "change"] < 0
    assert found.loc["gini", "before"] == pytest.approx(metrics.gini(test.labels, test.challenger))
    assert found.loc["gini", "high"] < 0


def test_good_payers_of_groups_can_be_approved_alike(case: Case) -> None:
    equal = replace(POLICY, equal="true-positive-rate")
    found = measure_mitigations([case], equal, "").loc[
        "a cut-off for each area, for equal true positive rates"
    ]
    assert found.loc["true_positive_ratio", "before"] < 0.7
    assert found.loc["true_positive_ratio", "after"] > 0.95 > found.loc["approval_ratio", "after"]


def test_a_reweighed_model_decides_at_its_own_cut_off(case: Case) -> None:
    plain = replace(POLICY, groups="")
    found = measure_mitigations([case], plain, "area").loc["training rows reweighed by area"]

    rows, test = case.validation, case.test
    policy = choose_cutoff(rows.labels, rows.reweighed, rows.cash_flow, plain)
    assert found.loc["approval_rate", "after"] == (test.reweighed <= policy.maximum_pd).mean()
    assert found.loc["gini", "after"] == pytest.approx(metrics.gini(test.labels, test.reweighed))
    assert found.loc["approval_ratio", "change"] > 0.2


def test_nothing_is_measured_that_is_not_asked_for(case: Case) -> None:
    assert measure_mitigations([case], replace(POLICY, groups=""), "").empty
    without = replace(case, validation=replace(case.validation, reweighed=None))
    assert measure_mitigations([without], replace(POLICY, groups=""), "area").empty


def test_with_a_group_s_cut_off_at_zero_nobody_of_it_is_approved(case: Case) -> None:
    nobody = replace(POLICY, choose="none", maximum_pd=0.0)
    found = measure_mitigations([case], nobody, "").xs("approval_rate", level="measure")
    assert (found[["before", "after"]] == 0).all(axis=None)
