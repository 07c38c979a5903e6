"""What the bank records: the accounts, month by month, and the loan applications with their outcome.

The bank sees the share of a firm's payments that runs through it, money from private lenders included,
which looks like sales. It knows the debt it holds itself, and how the business has served it. A first-time
borrower's account is young and thin, and has no credit history.

Where there are several banks, each keeps the accounts of the firms that apply at it. A firm with two banks has an
account at the other one too, through which the rest of its payments run and which holds the rest of its debt.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from synthetic_data import calendar
from synthetic_data.applications import PURPOSES, account_opened
from synthetic_data.arithmetic import exp
from synthetic_data.banks import Banks, Customers
from synthetic_data.firms import OWNERSHIPS, REGIONS, SECTORS, SIZES
from synthetic_data.observer import Observer, Rows, Scene, money, only
from synthetic_data.roster import Book, Roster

CASH_SPREAD = 1.2
"""Log standard deviation by which the share of a firm's cash at this bank departs from the share of its
payments."""
INFLOW_NOISE = 0.40
"""Log standard deviation by which the share of a month's payments through this bank departs from the
usual."""
THIN_SHARE = 0.45
"""Share of the usual payments that a first-time borrower runs through its young account."""
PRIVATE_ROLL = 0.35
"""Share of private debt that is repaid and lent again every month, through the account."""
FLOAT = 0.12
"""Cash that every firm keeps for its daily payments, months of sales."""
OVERDRAFT_LINE = 1.8
"""Use of the overdraft at full stretch when it bears a half of the emergency finance."""
RETURNED_CALM, RETURNED_STRAINED = 0.06, 0.4
"""Returned payments a month without stretch, and at full stretch through a bank that sees everything."""


LEVELS = {
    "sector": SECTORS,
    "region": REGIONS,
    "area": ("urban", "county"),
    "size": SIZES,
    "ownership": OWNERSHIPS,
    "first_time_borrower": ("no", "yes"),
    "purpose": PURPOSES,
}
"""The levels of each categorical column of the applications."""


class BankRecords(Observer):
    """Keeps ``accounts`` at the bank at which each firm applies; `applications` gives the other table."""

    folder = "bank"

    def __init__(
        self, roster: Roster, book: Book, rng: np.random.Generator, banks: Banks, bank: np.ndarray
    ) -> None:
        """Draws the errors that stay with each business; ``bank`` (businesses,) is the number of its bank."""
        super().__init__(roster, book, rng)
        self.banks, self.bank = banks, bank
        self.account_opened = roster.account_opened
        thin = np.where(roster.first_time, THIN_SHARE, 1.0)
        self.share = (roster.firms.bank_share * thin).astype(np.float32)
        self.cash_share = self.share * self.lasting(CASH_SPREAD)
        self.held = np.where(roster.first_time, 0, 0.25 + 0.75 * rng.random(len(roster))).astype(np.float32)

    def record(self, scene: Scene) -> dict[str, Rows]:
        """Rows of ``accounts`` for the businesses whose account is open."""
        rows, firms, state, flows = scene.rows, scene.firms, scene.state, scene.flows
        seen = self.share[rows] * firms.scale
        rolled = (
            PRIVATE_ROLL * firms.informal + np.maximum(scene.before - state.liquidity, 0) * firms.private_part
        )
        inflow = seen * (flows.collected + rolled) * self.passing(scene, INFLOW_NOISE)
        outflow = seen * (flows.cost + rolled) * self.passing(scene, INFLOW_NOISE)
        cash = np.maximum(state.liquidity, 0) + FLOAT
        average = self.cash_share[rows] * firms.scale * cash * self.passing(scene, 0.4)
        dip = exp(-(0.25 + 2.5 * firms.volatility) * np.abs(1 + self.wobble(scene, 0.7)))
        strain = OVERDRAFT_LINE * firms.overdraft_part * scene.stretch * np.minimum(self.share[rows] / 0.5, 1)
        held = self.held[rows] * state.debt * firms.scale
        columns = {
            "inflow": money(inflow),
            "outflow": money(outflow),
            "average_balance": money(average),
            "minimum_balance": money(average * dip * (1 - np.minimum(strain, 1))),
            "overdraft_days": self.rng.binomial(30, np.clip(0.02 + 0.8 * strain, 0, 0.95)).astype(np.int16),
            "returned_payments": self.count(
                RETURNED_CALM + RETURNED_STRAINED * scene.stretch * self.share[rows]
            ).astype(np.int16),
            "debt": money(held),
            "debt_service": money(self.held[rows] * flows.service * firms.scale),
            "days_past_due": np.where(held > 0, 30 * state.missed, 0).astype(np.int16),
        }
        open_account = scene.month > self.account_opened[rows]
        return {"accounts": only(open_account, rows, columns)}

    def files(self, scene: Scene) -> dict[str, Rows]:
        """See `Observer.files`: each bank has the rows of its own accounts."""
        rows, columns = self.record(scene)["accounts"]
        return {
            f"{name}/accounts": only(self.bank[rows] == number, rows, columns)
            for number, name in enumerate(self.banks.names)
        }


class SecondBankRecords(BankRecords):
    """Keeps ``accounts`` at the other bank of each firm that has two."""

    def __init__(self, first: BankRecords, customers: Customers, rng: np.random.Generator) -> None:
        """Draws the errors of these accounts, which see what runs past those at the ``first`` banks."""
        roster = first.roster
        super().__init__(
            roster, Book(customers.second >= 0, first.book.source), rng, first.banks, customers.second
        )
        self.account_opened = account_opened(roster.firms)
        self.share = 1 - first.share
        self.cash_share = self.share * self.lasting(CASH_SPREAD)
        self.held = np.where(roster.first_time, 0, 1 - first.held).astype(np.float32)


def applications(roster: Roster) -> pd.DataFrame:
    """The table of loan applications: what a loan officer writes down, and the outcome.

    Args:
        roster: of which the applicants are taken.

    Returns:
        One row per applicant in the roster's order: ``business_id``, ``observation_month`` (datetime64[s]),
        ``default`` (int8) and the facts; ages in months, ``requested_amount`` in CNY.
    """
    rows = np.flatnonzero(roster.applicant)
    firms, observed = roster.firms.take(rows), roster.observed[rows]
    return pd.DataFrame(
        {
            "business_id": roster.code[rows],
            "observation_month": calendar.timestamps(observed),
            "default": roster.default[rows].astype(np.int8),
            "sector": np.asarray(SECTORS)[firms.sector],
            "region": np.asarray(REGIONS)[firms.region],
            "area": np.where(firms.county, "county", "urban"),
            "size": np.asarray(SIZES)[firms.size],
            "ownership": np.asarray(OWNERSHIPS)[firms.ownership],
            "business_age": (observed - firms.founded).astype(np.int32),
            "account_age": (observed - roster.account_opened[rows]).astype(np.int32),
            "first_time_borrower": np.where(roster.first_time[rows], "yes", "no"),
            "requested_amount": roster.amount[rows],
            "purpose": np.asarray(PURPOSES)[roster.purpose[rows]],
        }
    )
