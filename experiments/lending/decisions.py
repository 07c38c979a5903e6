"""What a bank does with a PD: whom it approves, for how much, at what price, and what it earns by it.

A `Policy` is a bank's own choice; nothing here is learned but its cut-off, from validation rows. Loans run for a year,
the performance window of the label, and are drawn in full on the first day: a good pays the price and the loan back, a
bad pays no price, and of its loan the loss given default is lost. Amounts are CNY, rates shares of the line per year.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fl.errors import ConfigError
from fl.metrics.checks import Booleans, Floats, check_labels, check_pd
from fl.metrics.discrimination import cumulative_counts

MONTHS = 12
CHOICES = ("profit", "approval-rate", "bad-rate", "none")


@dataclass(frozen=True)
class Policy:
    """A lending policy.

    choose              how `choose_cutoff` finds the cut-off: the largest expected `profit`; the `approval-rate` or
                        `bad-rate` of `target`; or `none`: maximum_pd is the cut-off
    target              of the validation applicants the share to approve, or of those approved the share of bads
    maximum_pd          cut-off: nobody with a higher PD is approved, however it is chosen
    grades              of rising PD, each a highest PD and the line in shares of a year's cash flow, none larger than
                        that of the grade before; a PD above the last grade is as in the last
    minimum_line        smallest line, CNY; who would get less gets this
    maximum_line        largest line, CNY
    loss_given_default  share of the line that is lost when its borrower defaults
    funding_cost        what the bank pays for the money, per year
    margin              what it wants above expected loss and funding, per year
    maximum_price       no price is higher, per year
    operating_cost      of one loan, CNY per year

    Raises ConfigError for a value out of range.
    """

    choose: str = "profit"
    target: float = 0.0
    maximum_pd: float = 1.0
    grades: tuple[tuple[float, float], ...] = ((0.01, 0.12), (0.02, 0.10), (0.04, 0.08), (1.0, 0.05))
    minimum_line: float = 20_000.0
    maximum_line: float = 1_000_000.0
    loss_given_default: float = 0.60
    funding_cost: float = 0.022
    margin: float = 0.010
    maximum_price: float = 0.055
    operating_cost: float = 1_000.0

    def __post_init__(self) -> None:
        _require(self.choose in CHOICES, "choose", ", ".join(CHOICES), self.choose)
        for name in ("target", "maximum_pd", "loss_given_default"):
            _require(0 <= getattr(self, name) <= 1, name, "from 0 to 1", getattr(self, name))
        for name in ("funding_cost", "margin", "maximum_price", "operating_cost", "minimum_line"):
            value = getattr(self, name)
            _require(0 <= value < float("inf"), name, "0 or more", value)
        fits = self.minimum_line <= self.maximum_line < float("inf")
        _require(fits, "maximum_line", f"{self.minimum_line:g} (minimum-line) or more", self.maximum_line)
        _require(len(self.grades) > 0, "grades", "one grade or more", self.grades)
        ends, shares = np.array(self.grades, dtype=np.float64).T
        rising = bool((np.diff(ends) > 0).all()) and ends[0] > 0 and ends[-1] <= 1
        _require(rising, "grades", "of rising PD, above 0 and up to 1", self.grades)
        falling = bool((np.diff(shares) <= 0).all()) and shares[-1] >= 0 and shares[0] < float("inf")
        _require(falling, "grades", "of shares of 0 or more that do not rise with the PD", self.grades)


class Decision(NamedTuple):
    """What is offered to each applicant; all (n,).

    approved  bool
    line      CNY, 0 where not approved
    price     per year, also where not approved: what it would have been
    """

    approved: Booleans
    line: Floats
    price: Floats


def decide(pd: ArrayLike, cash_flow: ArrayLike, policy: Policy) -> Decision:
    """Decide on applicants by their PD (n,) and their mean monthly cash flow (n,), CNY, NaN where unknown.

    A PD equal to the cut-off is approved. The line is the grade's share of twelve months of cash flow, between the
    smallest and the largest; unknown cash flow gets the smallest. The price is expected loss plus funding plus margin,
    at most the highest. Raises ValueError for input that is not so.
    """
    risk = check_pd(pd)
    flow = np.asarray(cash_flow, dtype=np.float64)
    flow = np.where(np.isnan(flow), 0.0, flow)
    if flow.shape != risk.shape or not (np.isfinite(flow) & (flow >= 0)).all():
        raise ValueError(f"cash flow must be {len(risk)} amounts of 0 or more, or NaN where unknown")
    ends, shares = np.array(policy.grades, dtype=np.float64).T
    share = shares[np.minimum(np.searchsorted(ends, risk, side="left"), len(ends) - 1)]
    approved = risk <= policy.maximum_pd
    line = np.clip(share * MONTHS * flow, policy.minimum_line, policy.maximum_line)
    price = policy.loss_given_default * risk + policy.funding_cost + policy.margin
    return Decision(approved, np.where(approved, line, 0.0), np.minimum(price, policy.maximum_price))


def profit(decision: Decision, default: ArrayLike, policy: Policy) -> Floats:
    """Profit of each decision in its year, CNY (n,), 0 where not approved.

    `default` (n,) are the outcomes, 0 or 1, for the profit that was made, or PDs for the one to be expected. Raises
    ValueError when they are neither or of another length.
    """
    share = check_pd(default, len(decision.line))
    rate = (1 - share) * decision.price - policy.funding_cost - share * policy.loss_given_default
    return decision.line * rate - decision.approved * policy.operating_cost


def choose_cutoff(labels: ArrayLike, pd: ArrayLike, cash_flow: ArrayLike, policy: Policy) -> Policy:
    """The policy with the cut-off that its `choose` asks for, on validation rows: labels, pd and cash_flow (n,).

    Expected profit is that under the PDs, whose sum over the approved is smooth where that of a few defaults
    is not; it presumes that they are calibrated. Without any profit to be had the cut-off is 0.
    Raises ValueError for input that is not so.
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


def cutoff_at_approval(pd: ArrayLike, approval: float) -> float:
    """The highest PD (n,) at which at most the share `approval` is approved; equal PDs go together. 0 if nobody is."""
    values, rows = np.unique(check_pd(pd), return_counts=True)
    # The tolerance, a billionth of an applicant, admits a share that equals the limit but for rounding.
    return _highest(values, rows.cumsum() <= approval * rows.sum() + 1e-9)


def cutoff_at_bad_rate(labels: ArrayLike, pd: ArrayLike, bad_rate: float) -> float:
    """The highest PD (n,) at which at most the share `bad_rate` of the approved are bads. 0 if there is none."""
    bads = check_labels(labels)
    values, bad, rows = cumulative_counts(bads, check_pd(pd, len(bads)))
    return _highest(values, bad <= bad_rate * rows + 1e-9)


def _highest(values: Floats, allowed: NDArray[np.bool_]) -> float:
    places = np.flatnonzero(allowed)
    return float(values[places[-1]]) if len(places) else 0.0


def _require(condition: bool, name: str, allowed: str, value: object) -> None:
    if not condition:
        raise ConfigError(f"The policy's {name.replace('_', '-')} must be {allowed}, not {value!r}.")
