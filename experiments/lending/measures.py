"""What two models lead to under one policy: rates, lines, prices and profits, at three pairs of cut-offs.

Both models decide on the same test applicants. Cut-offs are

- `own`: each model's own, which the policy chooses on validation rows: what a bank would see;
- `approval`: the challenger approves as many as the reference does at its own cut-off;
- `bad-rate`: both approve as many as they can without a larger bad rate, read off the test rows, than the reference
  had at its own cut-off on validation rows. The limit is from other rows than the curves that it cuts, and both
  are cut alike, so that neither model gains by luck.
"""

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

Flags = NDArray[np.bool_]
SIDES = "reference", "challenger"
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
    reference, challenger = (choose_cutoff(rows.labels, pds, rows.cash_flow, policy) for pds in rows.pds)
    return Cutoffs(reference, challenger, _mean(rows.labels, rows.reference <= reference.maximum_pd))


def measure(case: Case, cutoffs: Cutoffs) -> pd.DataFrame:
    """Every measure of a case: index (cut-offs, measure), columns reference, challenger, change.

    A measure of nobody is NaN; measures of a group are left out where the data do not tell who belongs to it.
    """
    test, own = case.test, (cutoffs.reference, cutoffs.challenger)
    as_many = cutoff_at_approval(test.challenger, _approval(case, cutoffs))
    limit = 0.0 if np.isnan(cutoffs.bad_rate) else cutoffs.bad_rate
    policies = {
        OWN: own,
        APPROVAL: (cutoffs.reference, replace(cutoffs.challenger, maximum_pd=as_many)),
        BAD_RATE: tuple(
            replace(policy, maximum_pd=cutoff_at_bad_rate(test.labels, pds, limit))
            for policy, pds in zip(own, test.pds, strict=True)
        ),
    }
    books = {name: _books(test, both) for name, both in policies.items()}
    frame = pd.concat({RANKING: _ranking(test, cutoffs.reference), **books}, names=["cut-offs", "measure"])
    kinds = frame.index.get_level_values("measure").map(lambda name: MEASURES[name].kind)
    difference = frame["challenger"] - frame["reference"]
    relative = difference / frame["reference"].where(frame["reference"] > 0)
    return frame.assign(change=difference.where(~kinds.isin(["coefficient", "line"]), relative))


def swap(case: Case, cutoffs: Cutoffs) -> pd.DataFrame:
    """Who is approved by which model at equal approval: index group, columns share (of applicants) and bad_rate."""
    test = case.test
    groups = metrics.swap_set(test.labels, *test.pds, _approval(case, cutoffs))._asdict()
    rows = {name: (group.applicants / len(test), group.bad_rate) for name, group in groups.items()}
    return pd.DataFrame(rows, index=["share", "bad_rate"]).T


def trade_off(case: Case) -> pd.DataFrame:
    """Bad rate of the approved at each approval rate from 1 to 100 %: index approval, a column for each model."""
    test, shares = case.test, np.arange(1, 101) / 100
    shares = shares[shares * len(test) >= 1]
    rates = {
        side: [metrics.bad_rate_at_approval(test.labels, pds, share) for share in shares]
        for side, pds in zip(SIDES, test.pds, strict=True)
    }
    return pd.DataFrame(rates, index=pd.Index(shares, name="approval"))


def _approval(case: Case, cutoffs: Cutoffs) -> float:
    """The share of the test applicants whom the reference approves at its own cut-off."""
    return float((case.test.reference <= cutoffs.reference.maximum_pd).mean())


def _ranking(test: Applicants, policy: Policy) -> pd.DataFrame:
    """Gini and KS of both models, among all applicants and among those whom the reference accepts."""
    scores = {}
    for suffix, rows in (("", test), ("_accepted", test.take(test.reference <= policy.maximum_pd))):
        both = 0 < rows.labels.sum() < len(rows)
        for name, score in (("gini", metrics.gini), ("ks", metrics.ks)):
            scores[name + suffix] = [score(rows.labels, pds) if both else np.nan for pds in rows.pds]
    return pd.DataFrame.from_dict(scores, orient="index", columns=SIDES)


def _books(test: Applicants, policies: tuple[Policy, ...]) -> pd.DataFrame:
    """The measures of both models' decisions, in the order of `MEASURES`."""
    decisions = [decide(pds, test.cash_flow, policy) for pds, policy in zip(test.pds, policies, strict=True)]
    common = decisions[0].approved & decisions[1].approved
    sides = zip(SIDES, test.pds, policies, decisions, strict=True)
    book = pd.DataFrame({side: _book(test, common, *parts) for side, *parts in sides})
    return book.reindex([name for name in MEASURES if name in book.index])


def _book(
    test: Applicants, common: Flags, pds: NDArray[np.float64], policy: Policy, decision: Decision
) -> dict[str, float]:
    """The measures of one model's decisions; common are the applicants whom both models approve."""
    approved, line, _ = decision
    swapped = approved & ~common
    book = {
        "approval_rate": approved.mean(),
        "bad_rate": _mean(test.labels, approved),
        "bad_rate_declined": _mean(test.labels, ~approved),
        "average_line": _mean(line, approved),
        "average_line_common": _mean(line, common),
        "credit": line.mean(),
        "price": np.average(decision.price, weights=line) if line.any() else np.nan,
        "expected_profit": profit(decision, pds, policy).mean(),
        "realised_profit": profit(decision, test.labels, policy).mean(),
        "swapped": swapped.mean(),
        "bad_rate_swapped": _mean(test.labels, swapped),
    }
    for suffix, group in GROUPS.items():
        if group in test.groups:
            inside = test.groups[group]
            book |= {
                f"approval_rate_{suffix}": _mean(approved, inside),
                f"bad_rate_{suffix}": _mean(test.labels, approved & inside),
                f"average_line_{suffix}": _mean(line, approved & inside),
                f"share_{suffix}": _mean(inside, approved),
            }
    return book


def _mean(values: NDArray[np.generic], rows: Flags) -> float:
    """Mean over some rows, NaN over none."""
    return float(values[rows].mean()) if rows.any() else np.nan
