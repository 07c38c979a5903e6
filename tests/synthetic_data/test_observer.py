"""What the records of all parties have in common."""

import numpy as np
import pytest

from synthetic_data.economy import Month
from synthetic_data.observer import Observer, look, money, share
from synthetic_data.roster import Book, Roster


class Nobody(Observer):
    folder = "nobody"

    def record(self, scene):
        return {}


@pytest.fixture
def roster(vintage: Month) -> Roster:
    applications = vintage.applications
    count = len(applications.slot)
    return Roster(
        code=np.array([f"{k:018d}" for k in range(count)]),
        slot=applications.slot,
        serial=applications.serial,
        observed=np.full(count, vintage.month),
        applicant=np.ones(count, dtype=bool),
        default=np.zeros(count, dtype=bool),
        first_time=applications.first_time,
        account_opened=vintage.month - applications.account_age,
        amount=applications.amount,
        purpose=applications.purpose,
        firms=applications.firms,
    )


def test_a_party_looks_only_at_whom_it_knows(vintage: Month, roster: Roster) -> None:
    known = np.arange(len(roster)) % 3 == 0
    scene = look(vintage, roster, Book(known, np.arange(len(roster))))
    assert (scene.rows == np.flatnonzero(known)).all()
    assert (scene.firms.serial == roster.serial[known]).all()


def test_a_code_shows_the_firm_behind_it(vintage: Month, roster: Roster) -> None:
    source = np.roll(np.arange(len(roster)), 1)
    scene = look(vintage, roster, Book(np.ones(len(roster), dtype=bool), source))
    assert (scene.firms.serial == roster.serial[source]).all()


def test_closed_firms_leave_no_records(vintage: Month, roster: Roster) -> None:
    roster.serial = roster.serial.copy()
    roster.serial[:5] = -1
    scene = look(vintage, roster, Book(np.ones(len(roster), dtype=bool), np.arange(len(roster))))
    assert scene.rows.min() == 5


def test_errors_are_neutral_on_average(roster: Roster) -> None:
    everyone = Book(np.ones(len(roster), dtype=bool), np.arange(len(roster)))
    observer = Nobody(roster, everyone, np.random.default_rng(0))
    draws = np.concatenate([observer.lasting(0.5) for _ in range(400)])
    assert draws.mean() == pytest.approx(1, abs=0.01)
    assert abs(np.mean([observer.opinion(0.5).mean() for _ in range(400)])) < 0.01


def test_amounts_are_whole_and_shares_within_bounds() -> None:
    assert money(np.array([1.4, 2.6])).tolist() == [1, 3]
    assert share(np.array([-0.1, 0.5, 1.2])).tolist() == [0, 0.5, 1]
