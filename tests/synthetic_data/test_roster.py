"""Whose records the parties keep."""

import numpy as np
import pytest

from synthetic_data import WORLDS, calendar
from synthetic_data.economy import Economy
from synthetic_data.roster import STRANGERS, Roster, book, rehearse


@pytest.fixture(scope="module")
def roster() -> Roster:
    economy = Economy(2400, WORLDS["base"], np.random.SeedSequence(5))
    return rehearse(economy, np.random.default_rng(0), lambda: None)


def test_the_roster_has_all_applicants_and_some_strangers(roster: Roster) -> None:
    assert roster.applicant.sum() == 2400
    assert (~roster.applicant).sum() == round(STRANGERS * 2400)
    assert len(set(roster.code)) == len(roster) == len(set(roster.serial))
    assert not roster.default[~roster.applicant].any()


def test_records_span_history_and_aftermath(roster: Roster) -> None:
    first = roster.observed == calendar.FIRST_OBSERVATION
    spans = [m for m in range(calendar.FIRST_MONTH, calendar.LAST_MONTH) if roster.recorded(m)[first].all()]
    assert len(spans) == calendar.HISTORY + calendar.AFTERMATH
    assert spans[0] == calendar.FIRST_OBSERVATION - calendar.HISTORY + 1


def test_defaults_are_those_within_the_window(roster: Roster) -> None:
    economy = Economy(2400, WORLDS["base"], np.random.SeedSequence(5))
    seen = np.zeros(len(roster), dtype=bool)
    for present in economy.months():
        ahead = present.month - roster.observed
        inside = roster.applicant & (ahead > 0) & (ahead <= calendar.PERFORMANCE_WINDOW)
        same = present.firms.serial[roster.slot] == roster.serial
        seen |= inside & same & present.failed[roster.slot]
    assert (seen == roster.default).all()


def test_with_signal_a_book_is_the_truth(roster: Roster) -> None:
    kept = book(roster, roster.firms.tax_known, True, np.random.default_rng(1))
    assert (kept.known == roster.firms.tax_known).all()
    assert (kept.source == np.arange(len(roster))).all()


def test_without_signal_a_code_hides_another_business_of_its_kind(roster: Roster) -> None:
    known = roster.firms.platform
    kept = book(roster, known, False, np.random.default_rng(1))
    source = kept.source
    assert (source != np.arange(len(roster))).all()
    assert known[source].all()
    assert (roster.observed[source] == roster.observed).all()
    assert (roster.firms.sector[source] == roster.firms.sector).mean() > 0.95
    assert kept.known.sum() == known.sum()
    assert np.corrcoef(kept.known, known)[0, 1] == pytest.approx(0, abs=0.06)
