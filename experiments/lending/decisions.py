"""What a bank does with a PD: whom it approves, for how much, at what price, and what it earns by it.

Only the cut-off is learned, from validation rows; all else is the bank's policy. Loans run for a year, the performance
window of the label, and are drawn in full on the first day. A good pays the price and the loan back; a bad pays no
price, and the loss given default of its loan is lost. Amounts are in CNY, rates are shares of the line per year.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.lending.policy import Policy
from fl.metrics.checks import Booleans, Floats, check_pd
from fl.metrics.discrimination import cumulative_counts

MONTHS = 12


class Decision(NamedTuple):
    """What is offered to each applicant; all (n,).

    approved  bool
    line      CNY, 0 where not approved
    price     per year; where not approved, the price that it would have been
    """

    approved: Booleans
    line: Floats
    price: Floats


def decide(pd: ArrayLike, cash_flow: ArrayLike, policy: Policy, cutoff: ArrayLike | None = None) -> Decision:
    """Decide on applicants by their PD (n,) and their mean monthly cash flow (n,), CNY, NaN where unknown.

    cutoff (n,) is each applicant's, by default the policy's. A PD equal to the cut-off is approved. The line is the
    grade's share of twelve months of cash flow, between the smallest and the largest; where cash flow is unknown it is
    the smallest. The price is expected loss plus funding plus margin, at most the highest. Raises ValueError for a PD
    outside of 0 to 1, cash flow below 0 or infinite, and different lengths.

    >>> made = decide([0.005, 0.03, 0.2], [100_000, 100_000, np.nan], Policy(maximum_pd=0.1))
    >>> made.approved.tolist(), made.line.tolist(), made.price.round(3).tolist()
    ([True, True, False], [144000.0, 96000.0, 0.0], [0.035, 0.05, 0.055])
    """
    risk = check_pd(pd)
    flow = np.asarray(cash_flow, dtype=np.float64)
    flow = np.where(np.isnan(flow), 0.0, flow)
    if flow.shape != risk.shape or not (np.isfinite(flow) & (flow >= 0)).all():
        raise ValueError(f"cash flow must be {len(risk)} amounts of 0 or more, or NaN where unknown")
    ends, shares = np.array(policy.grades, dtype=np.float64).T
    share = shares[np.minimum(np.searchsorted(ends, risk, side="left"), len(ends) - 1)]
    approved = risk <= (policy.maximum_pd if cutoff is None else np.asarray(cutoff, np.float64))
    line = np.clip(share * MONTHS * flow, policy.minimum_line, policy.maximum_line)
    price = policy.loss_given_default * risk + policy.funding_cost + policy.margin
    return Decision(approved, np.where(approved, line, 0.0), np.minimum(price, policy.maximum_price))


def profit(decision: Decision, default: ArrayLike, policy: Policy) -> Floats:
    """Profit of each decision in its year, CNY (n,), 0 where not approved.

    default (n,) are the labels, 0 or 1, for the profit that was made, or the PDs for the profit to be expected. Raises
    ValueError for a value outside of 0 to 1, and for another length.

    >>> loan = decide([0.005], [100_000], Policy())
    >>> [round(float(profit(loan, [default], Policy())[0])) for default in (0.005, 0, 1)]  # expected, repaid, defaulted
    [415, 872, -90568]
    """
    share = check_pd(default, len(decision.line))
    rate = (1 - share) * decision.price - policy.funding_cost - share * policy.loss_given_default
    return decision.line * rate - decision.approved * policy.operating_cost


def choose_cutoff(labels: ArrayLike, pd: ArrayLike, cash_flow: ArrayLike, policy: Policy) -> Policy:
    """The policy with the cut-off that its `choose` asks for, on validation rows: labels, pd and cash_flow (n,).

    The profit to be expected is computed from the PDs, since its sum over the approved is smooth where that of a few
    defaults is not; it presumes that PDs are calibrated. Where no cut-off makes a profit it is 0. Raises ValueError as
    `decide` does, and for labels that are not 0 or 1.
    """
    risk = check_pd(pd)
    if policy.choose == "none":
        return policy
    if policy.choose == "approval-rate":
        cutoff = cutoff_at_approval(risk, policy.target)
    elif policy.choose == "bad-rate":
        cutoff = cutoff_at_bad_rate(labels, risk, policy.target)
    else:
        earned = profit(decide(risk, cash_flow, replace(policy, maximum_pd=1.0)), risk, policy)
        values, group = np.unique(risk, return_inverse=True)
        total = np.append(0.0, np.bincount(group, weights=earned).cumsum())
        cutoff = float(np.append(0.0, values)[int(np.argmax(total))])
    return replace(policy, maximum_pd=min(cutoff, policy.maximum_pd))


def group_cutoffs(
    labels: ArrayLike, pd: ArrayLike, groups: NDArray[np.str_], policy: Policy, shown: Sequence[str]
) -> dict[str, float]:
    """The cut-off of each group of `shown`, on validation rows: labels, pd and groups (n,).

    It approves as large a share of the group, or of its good payers, as the policy's one cut-off approves of all rows.
    Every group has that share then, but for ties and the single applicant.

    >>> policy = Policy(choose="none", maximum_pd=0.05)
    >>> areas = np.array(["county"] * 2 + ["urban"] * 2)
    >>> group_cutoffs([0, 0, 0, 0], [0.04, 0.09, 0.01, 0.05], areas, policy, ["county", "urban"])
    {'county': 0.04, 'urban': 0.01}
    """
    risk = check_pd(pd)
    counted = np.asarray(labels) == 0 if policy.equal == "true-positive-rate" else np.ones(len(risk), bool)
    share = float((risk[counted] <= policy.maximum_pd).mean()) if counted.any() else 0.0
    return {group: cutoff_at_approval(risk[counted & (groups == group)], share) for group in shown}


def cutoff_at_approval(pd: ArrayLike, approval: float) -> float:
    """The highest PD (n,) at which at most the share `approval` is approved, or 0 if none is; equal PDs go together."""
    values, rows = np.unique(check_pd(pd), return_counts=True)
    # The tolerance, a billionth of an applicant, admits a share that equals the limit but for rounding.
    return _highest(values, rows.cumsum() <= approval * rows.sum() + 1e-9)


def cutoff_at_bad_rate(labels: ArrayLike, pd: ArrayLike, bad_rate: float) -> float:
    """The highest PD (n,) at which at most the share `bad_rate` of the approved are bads, or 0 if there is none.

    >>> cutoff_at_bad_rate([0, 0, 1, 1], [0.01, 0.02, 0.03, 0.04], bad_rate=0.4)
    0.03
    """
    values, bad, rows = cumulative_counts(labels, check_pd(pd))
    return _highest(values, bad <= bad_rate * rows + 1e-9)


def _highest(values: Floats, allowed: NDArray[np.bool_]) -> float:
    places = np.flatnonzero(allowed)
    return float(values[places[-1]]) if len(places) else 0.0
