"""What two models lead to under one policy: rates, lines, prices and profits, at three pairs of cut-offs.

Both models decide on the same test applicants. Cut-offs are

- `own`: each model's own, which the policy chooses on validation rows: what a bank would see;
- `approval`: the challenger approves as many as the reference does at its own cut-off;
- `bad-rate`: both approve as many as they can without a larger bad rate, read off the test rows, than the reference
  had at its own cut-off on validation rows. The limit is from other rows than the curves that it cuts, and both
  are cut alike, so that neither model gains by luck.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.lending.cases import FIRST_TIME, ON_PLATFORM, Applicants, Case
from experiments.lending.decisions import (
    Decision,
    choose_cutoff,
    cutoff_at_approval,
    cutoff_at_bad_rate,
    decide,
    profit,
)
from experiments.lending.policy import Policy
from fl import metrics

Both = tuple[float, float]
"""A measure of the reference and of the challenger."""
RANKING, OWN, APPROVAL, BAD_RATE = "ranking", "own", "approval", "bad-rate"
GROUPS = {"first_time": FIRST_TIME, "platform": ON_PLATFORM}


@dataclass(frozen=True)
class Measure:
    """A row of the report: its title, and its kind, which says how it is written and what a change of it is.

    A share or rate changes by points, a profit by CNY per applicant, a coefficient or line by a share of the
    reference's.
    """

    title: str
    kind: str


MEASURES = {
    "gini": Measure("Gini, all applicants", "coefficient"),
    "ks": Measure("KS, all applicants", "coefficient"),
    "gini_accepted": Measure("Gini among those whom the model in use approves", "coefficient"),
    "ks_accepted": Measure("KS among those whom the model in use approves", "coefficient"),
    "approval_rate": Measure("approval rate", "share"),
    "bad_rate": Measure("bad rate of the approved", "share"),
    "bad_rate_declined": Measure("bad rate of the declined", "share"),
    "average_line": Measure("average line, all approved", "line"),
    "average_line_common": Measure("average line, those whom both approve", "line"),
    "average_line_first_time": Measure("average line, first-time borrowers", "line"),
    "average_line_platform": Measure("average line, supply-chain firms", "line"),
    "credit": Measure("credit granted per applicant", "line"),
    "price": Measure("price, weighted by line", "rate"),
    "expected_profit": Measure("expected profit per applicant", "profit"),
    "realised_profit": Measure("realised profit per applicant", "profit"),
    "approval_rate_platform": Measure("supply-chain firms approved on the score alone", "share"),
    "bad_rate_platform": Measure("bad rate of approved supply-chain firms", "share"),
    "approval_rate_first_time": Measure("first-time borrowers approved", "share"),
    "bad_rate_first_time": Measure("bad rate of approved first-time borrowers", "share"),
    "share_first_time": Measure("first-time borrowers among the approved", "share"),
    "swapped": Measure("applicants approved by this model only", "share"),
    "bad_rate_swapped": Measure("bad rate of those approved by this model only", "share"),
}


@dataclass(frozen=True)
class Cutoffs:
    """What is fixed before the test rows are looked at: the policy of each model, and the bad rate for both."""

    reference: Policy
    challenger: Policy
    bad_rate: float


def choose_cutoffs(case: Case, policy: Policy) -> Cutoffs:
    """Both models' own cut-offs, from the validation rows."""
    rows = case.validation
    reference, challenger = (
        choose_cutoff(rows.labels, pd_, rows.cash_flow, policy) for pd_ in (rows.reference, rows.challenger)
    )
    return Cutoffs(reference, challenger, _mean(rows.labels, rows.reference <= reference.maximum_pd))


def measure(case: Case, cutoffs: Cutoffs) -> pd.DataFrame:
    """Every measure of a case: index (cut-offs, measure), columns reference, challenger, change.

    A measure of nobody is NaN; measures of a group are left out where the data do not tell who belongs to it.
    """
    test = case.test
    policies = cutoffs.reference, cutoffs.challenger
    approved = float((test.reference <= cutoffs.reference.maximum_pd).mean())
    equal_approval = (
        cutoffs.reference,
        replace(cutoffs.challenger, maximum_pd=cutoff_at_approval(test.challenger, approved)),
    )
    limit = 0.0 if np.isnan(cutoffs.bad_rate) else cutoffs.bad_rate
    equal_bad_rate = tuple(
        replace(policy, maximum_pd=cutoff_at_bad_rate(test.labels, pd_, limit))
        for policy, pd_ in zip(policies, (test.reference, test.challenger), strict=True)
    )
    measured = {RANKING: _ranking(test, cutoffs.reference)}
    for name, (first, second) in {OWN: policies, APPROVAL: equal_approval, BAD_RATE: equal_bad_rate}.items():
        measured[name] = _book(test, first, second)
    frame = pd.concat(
        {name: pd.DataFrame(rows).T for name, rows in measured.items()}, names=["cut-offs", "measure"]
    )
    frame.columns = pd.Index(["reference", "challenger"])
    kinds = frame.index.get_level_values("measure").map(lambda name: MEASURES[name].kind)
    relative = kinds.isin(["coefficient", "line"])
    difference = frame["challenger"] - frame["reference"]
    frame["change"] = difference.where(
        ~relative, difference / frame["reference"].where(frame["reference"] > 0)
    )
    return frame


def swap(case: Case, cutoffs: Cutoffs) -> pd.DataFrame:
    """Who is approved by which model at equal approval: index group, columns share (of applicants) and bad_rate."""
    test = case.test
    approval = float((test.reference <= cutoffs.reference.maximum_pd).mean())
    groups = metrics.swap_set(test.labels, test.reference, test.challenger, approval)._asdict()
    rows = {name: (group.applicants / len(test), group.bad_rate) for name, group in groups.items()}
    return pd.DataFrame(rows, index=["share", "bad_rate"]).T


def trade_off(case: Case) -> pd.DataFrame:
    """Bad rate of the approved at each approval rate from 1 to 100 %: index approval, a column for each model."""
    test, shares = case.test, np.arange(1, 101) / 100
    shares = shares[shares * len(test) >= 1]
    rates = {
        name: [metrics.bad_rate_at_approval(test.labels, pd_, share) for share in shares]
        for name, pd_ in (("reference", test.reference), ("challenger", test.challenger))
    }
    return pd.DataFrame(rates, index=pd.Index(shares, name="approval"))


def _ranking(test: Applicants, policy: Policy) -> dict[str, Both]:
    """Gini and KS of both models, among all applicants and among those whom the reference accepts."""
    accepted = test.take(test.reference <= policy.maximum_pd)
    scores = {}
    for suffix, rows in (("", test), ("_accepted", accepted)):
        both = 0 < rows.labels.sum() < len(rows)
        for name, score in (("gini", metrics.gini), ("ks", metrics.ks)):
            pds = rows.reference, rows.challenger
            scores[name + suffix] = _both(score(rows.labels, pd_) if both else np.nan for pd_ in pds)
    return scores


def _book(test: Applicants, first: Policy, second: Policy) -> dict[str, Both]:
    """The measures of both models' decisions."""
    policies, pds = (first, second), (test.reference, test.challenger)
    decisions = [decide(pd_, test.cash_flow, policy) for pd_, policy in zip(pds, policies, strict=True)]
    common = decisions[0].approved & decisions[1].approved
    expected = (profit(*parts) for parts in zip(decisions, pds, policies, strict=True))
    realised = (
        profit(decision, test.labels, policy) for decision, policy in zip(decisions, policies, strict=True)
    )
    book = {
        "approval_rate": _both(d.approved.mean() for d in decisions),
        "bad_rate": _both(_mean(test.labels, d.approved) for d in decisions),
        "bad_rate_declined": _both(_mean(test.labels, ~d.approved) for d in decisions),
        "average_line": _both(_mean(d.line, d.approved) for d in decisions),
        "average_line_common": _both(_mean(d.line, common) for d in decisions),
        "credit": _both(d.line.mean() for d in decisions),
        "price": _both(_price(d) for d in decisions),
        "expected_profit": _both(made.mean() for made in expected),
        "realised_profit": _both(made.mean() for made in realised),
        "swapped": _both((d.approved & ~common).mean() for d in decisions),
        "bad_rate_swapped": _both(_mean(test.labels, d.approved & ~common) for d in decisions),
    }
    for suffix, group in GROUPS.items():
        if group in test.groups:
            inside = test.groups[group]
            book[f"approval_rate_{suffix}"] = _both(_mean(d.approved, inside) for d in decisions)
            book[f"bad_rate_{suffix}"] = _both(_mean(test.labels, d.approved & inside) for d in decisions)
            book[f"average_line_{suffix}"] = _both(_mean(d.line, d.approved & inside) for d in decisions)
    if FIRST_TIME in test.groups:
        book["share_first_time"] = _both(_mean(test.groups[FIRST_TIME], d.approved) for d in decisions)
    return {name: book[name] for name in MEASURES if name in book}


def _both(values: Iterable[float]) -> Both:
    reference, challenger = values
    return float(reference), float(challenger)


def _mean(values: NDArray[np.generic], rows: NDArray[np.bool_]) -> float:
    """Mean over some rows, NaN over none."""
    return float(values[rows].mean()) if rows.any() else np.nan


def _price(decision: Decision) -> float:
    """Mean price of a yuan lent, NaN where none is."""
    return float(np.average(decision.price, weights=decision.line)) if decision.line.any() else np.nan
