"""The roster: whose records the parties keep, under which code, and over which months.

A rehearsal runs the economy once to learn who applies, when, and how it ends; the run that is recorded
replays the same seed. So records are streamed month by month although they begin long before the
application.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synthetic_data import calendar
from synthetic_data.applications import Applications
from synthetic_data.codes import credit_codes
from synthetic_data.economy import Economy, Month
from synthetic_data.firms import REGION_DIVISION, Firms

STRANGERS = 0.10
"""Businesses that partners know and that never applied at the bank, per applicant: alignment has to leave
them out."""


@dataclass
class Roster:
    """Arrays of shape (businesses,): the applicants by vintage, then the strangers."""

    code: np.ndarray  # <U18
    slot: np.ndarray
    serial: np.ndarray
    observed: np.ndarray  # observation month; of strangers the last one
    applicant: np.ndarray  # bool
    default: np.ndarray  # bool, within the performance window
    first_time: np.ndarray  # bool
    account_opened: np.ndarray  # month
    amount: np.ndarray  # CNY requested; 0 of strangers
    purpose: np.ndarray  # int8 index into applications.PURPOSES
    firms: Firms

    def __len__(self) -> int:
        """Number of businesses."""
        return len(self.code)

    def recorded(self, month: int) -> np.ndarray:
        """(businesses,) bool: whether the month lies in the business's span of records."""
        lag = self.observed - month
        return (lag < calendar.HISTORY) & (lag >= -calendar.AFTERMATH)


def rehearse(economy: Economy, rng: np.random.Generator, progress: Callable[[], None]) -> Roster:
    """Run the economy without records and note who applies and who defaults.

    Args:
        economy: at its first month; used up.
        rng: draws the codes and the strangers.
        progress: called after each month.
    """
    vintages: list[Applications] = []
    defaults: list[np.ndarray] = []
    strangers = None
    for present in economy.months():
        for vintage, default in zip(vintages, defaults, strict=True):
            if present.month <= vintage.month + calendar.PERFORMANCE_WINDOW:
                default |= _failed_now(vintage, present)
        if present.applications is not None:
            vintages.append(present.applications)
            defaults.append(np.zeros(len(present.applications.slot), dtype=bool))
        if present.month == calendar.LAST_OBSERVATION:
            strangers = _strangers(present, vintages, round(STRANGERS * economy.businesses), rng)
        progress()
    groups = [*vintages, strangers]
    nobody = np.zeros(len(strangers.slot), dtype=bool)
    firms = Firms.concatenate([group.firms for group in groups])
    division = np.asarray(REGION_DIVISION)[firms.region] + rng.integers(100, 200, size=len(firms))

    def joined(values: Callable[[Applications], np.ndarray]) -> np.ndarray:
        return np.concatenate([values(group) for group in groups])

    return Roster(
        code=credit_codes(len(firms), division, firms.ownership == 0, rng),
        slot=joined(lambda group: group.slot),
        serial=joined(lambda group: group.serial),
        observed=joined(lambda group: np.full(len(group.slot), group.month)),
        applicant=np.arange(len(firms)) < len(firms) - len(nobody),
        default=np.concatenate([*defaults, nobody]),
        first_time=joined(lambda group: group.first_time),
        account_opened=joined(lambda group: group.month - group.account_age),
        amount=joined(lambda group: group.amount),
        purpose=joined(lambda group: group.purpose),
        firms=firms,
    )


def _failed_now(vintage: Applications, present: Month) -> np.ndarray:
    """(applicants,) bool: who of the vintage fails this month; its slot may have passed to another firm."""
    return present.failed[vintage.slot] & (present.firms.serial[vintage.slot] == vintage.serial)


def _strangers(
    present: Month, vintages: list[Applications], count: int, rng: np.random.Generator
) -> Applications:
    """Living firms that never applied, as a group that asks for nothing."""
    applied = np.concatenate([vintage.serial for vintage in vintages])
    others = ~np.isin(present.firms.serial, applied) & ~present.failed & ~present.closed
    candidates = np.flatnonzero(others)
    slots = np.sort(rng.choice(candidates, size=min(count, len(candidates)), replace=False))
    firms = present.firms.take(slots)
    nothing = np.zeros(len(slots))
    return Applications(
        month=present.month,
        slot=slots,
        serial=firms.serial,
        first_time=nothing.astype(bool),
        amount=nothing,
        purpose=nothing.astype(np.int8),
        account_age=nothing.astype(np.int32),
        firms=firms,
    )


@dataclass
class Book:
    """Whom one party knows, and whose payments it sees under each code.

    Attributes:
        known: (businesses,) bool.
        source: (businesses,) row of the roster whose firm the records are about: the business itself,
            unless the world has taken the signal out of this party's records.
    """

    known: np.ndarray
    source: np.ndarray


def book(roster: Roster, known: np.ndarray, signal: bool, rng: np.random.Generator) -> Book:
    """Open a partner's book.

    Without signal, the partner knows a random set of businesses of the same number, and under each code it
    records another business of the same vintage, sector and size class that the partner does know. So every
    marginal looks as before, and nothing in the records or in being known depends on the business's own
    risk.

    Args:
        roster: all businesses.
        known: (businesses,) bool: whom the partner knows in reality.
        signal: whether the world leaves the partner's records as they are.
        rng: the partner's own stream.
    """
    rows = np.arange(len(roster))
    if not signal:
        return Book(known=rng.permutation(known), source=_records_of_others(roster, known, rng))
    return Book(known=known, source=rows)


def _records_of_others(roster: Roster, known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each row a known row of the same vintage, sector and size, else of the same vintage."""
    firms = roster.firms
    vintage = roster.observed.astype(np.int64) * 2 + roster.applicant
    fine = (vintage * 16 + firms.sector) * 4 + firms.size
    source = _donor(vintage, known, rng)
    same = _donor(fine, known, rng)
    donor = np.where(same >= 0, same, source)
    return np.where(donor >= 0, donor, np.arange(len(roster)))


def _donor(stratum: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each row another known row of its stratum, drawn at random; -1 where there is no other."""
    rows = np.arange(len(stratum))
    if not known.any():
        return np.full(len(rows), -1)
    pool = rng.permutation(rows[known])
    pool = pool[np.argsort(stratum[pool], kind="stable")]
    first = np.searchsorted(stratum[pool], stratum, side="left")
    count = np.searchsorted(stratum[pool], stratum, side="right") - first
    drawn = first + (rng.random(len(rows)) * count).astype(np.int64)
    donor = pool[np.minimum(drawn, len(pool) - 1)]
    own = donor == rows
    donor[own] = pool[first[own] + (drawn[own] - first[own] + 1) % count[own]]
    return np.where((count > 0) & (donor != rows), donor, -1)
