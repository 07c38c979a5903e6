"""Who applies for a loan, for what, and what the loan does to the books.

Each vintage is drawn among the firms that the bank would consider: not past due, not at the end of their
means, with an account of some months. The bank lends to all applicants, so every outcome is observed. A
business applies once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthetic_data.cash_flow import State, stretch
from synthetic_data.firms import Firms

FIRST_TIME_SHARE = 0.20
"""Share of applicants who never had a bank loan."""
MINIMUM_AGE, MINIMUM_ACCOUNT = 9, 4
"""Months that a firm and its account must have lasted."""
FIRST_TIME_ACCOUNT = 12
"""Longest account of a first-time borrower in months: it came to the bank for the loan."""
REFUSED_STRETCH = 0.42
"""Stretch above which an account shows such strain that the bank sends the business away."""
NEED = 0.6
"""How much more often a firm applies per month of sales that its liquidity is lower."""
AMOUNT_MEDIAN, AMOUNT_SPREAD, FIRST_TIME_AMOUNT = 0.7, 0.55, 0.8
"""Requested amount in months of sales, its log standard deviation, and the factor for first-time
borrowers."""
PURPOSES = ("working capital", "equipment", "refinancing")
PURPOSE_SHARE = (0.60, 0.25, 0.15)
PURPOSE_CASH = (0.55, 0.05, 0.25)
"""Share of the loan that stays in the account by purpose."""
f32 = np.float32


@dataclass
class Applications:
    """One vintage; arrays of shape (applicants,)."""

    month: int
    slot: np.ndarray  # int64 slot in the population
    serial: np.ndarray  # int64 serial number of the firm
    first_time: np.ndarray  # bool
    amount: np.ndarray  # CNY, in steps of 10,000 (1,000 below 100,000)
    purpose: np.ndarray  # int8 index into PURPOSES
    account_age: np.ndarray  # months
    firms: Firms  # copies of their traits


def account_opened(firms: Firms) -> np.ndarray:
    """(n,) month in which each firm opened its account at the bank."""
    return firms.founded + firms.relationship


def draw_applications(
    firms: Firms, state: State, month: int, available: np.ndarray, count: int, rng: np.random.Generator
) -> Applications:
    """Draw a vintage of ``count`` applicants (fewer if the population has no more).

    Args:
        firms: the population.
        state: its books at the month's end.
        month: the observation month.
        available: (n,) bool: alive and did not apply before.
        count: how many.
        rng: the lending's own stream.
    """
    eligible = (
        available
        & (state.missed == 0)
        & (stretch(state.liquidity, firms.capacity) < REFUSED_STRETCH)
        & (month - firms.founded >= MINIMUM_AGE)
        & (month - account_opened(firms) >= MINIMUM_ACCOUNT)
    )
    # Gumbel noise on log weights draws without replacement in proportion to the weights.
    urge = rng.gumbel(size=len(firms)) - NEED * np.clip(state.liquidity, -1, 2)
    first_count = round(FIRST_TIME_SHARE * count)
    new = _top(urge, eligible & (state.debt == 0), first_count)
    known = _top(urge, eligible & (state.debt > 0), count - len(new))
    slot = np.sort(np.concatenate([new, known]))
    if len(slot) < count:
        # So few firms with debt are left that first-time borrowers fill the vintage.
        rest = eligible.copy()
        rest[slot] = False
        slot = np.sort(np.append(slot, _top(urge, rest, count - len(slot))))
    chosen = firms.take(slot)
    first_time = state.debt[slot] == 0
    months = AMOUNT_MEDIAN * np.exp(AMOUNT_SPREAD * rng.standard_normal(len(slot)))
    amount = months * np.where(first_time, FIRST_TIME_AMOUNT, 1.0) * chosen.scale
    account_age = month - account_opened(chosen)
    thin = rng.integers(MINIMUM_ACCOUNT, FIRST_TIME_ACCOUNT + 1, size=len(slot))
    unit = np.where(amount < 1e5, 1e3, 1e4)
    return Applications(
        month=month,
        slot=slot,
        serial=chosen.serial,
        first_time=first_time,
        amount=np.maximum(np.round(amount / unit), 1) * unit,
        purpose=rng.choice(len(PURPOSES), size=len(slot), p=PURPOSE_SHARE).astype(np.int8),
        account_age=np.where(first_time, np.minimum(account_age, thin), account_age),
        firms=chosen,
    )


def disburse(applications: Applications, state: State) -> None:
    """Pay the loans out: debt rises by the amount, liquidity by what is not spent at once."""
    slot = applications.slot
    loan = (applications.amount / applications.firms.scale).astype(f32)
    state.debt[slot] += loan
    state.liquidity[slot] += loan * np.asarray(PURPOSE_CASH, f32)[applications.purpose]


def _top(urge: np.ndarray, eligible: np.ndarray, count: int) -> np.ndarray:
    candidates = np.flatnonzero(eligible)
    if len(candidates) <= count:
        return candidates
    return candidates[np.argpartition(-urge[candidates], count)[:count]]
