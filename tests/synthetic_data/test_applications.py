"""Loan applications."""

import numpy as np
import pytest

from synthetic_data.applications import MINIMUM_ACCOUNT, MINIMUM_AGE, disburse, draw_applications
from synthetic_data.economy import Month


def test_applicants_pass_the_banks_first_look(vintage: Month) -> None:
    applications, state = vintage.applications, vintage.state
    slot = applications.slot
    assert (state.missed[slot] == 0).all()
    assert not vintage.failed[slot].any()
    assert (vintage.month - vintage.firms.founded[slot] >= MINIMUM_AGE).all()
    assert (applications.account_age >= MINIMUM_ACCOUNT).all()


def test_first_time_borrowers_have_no_debt_and_young_accounts(vintage: Month) -> None:
    applications = vintage.applications
    first = applications.first_time
    assert first.mean() == pytest.approx(0.2, abs=0.02)
    assert (vintage.state.debt[applications.slot] == 0).tolist() == first.tolist()
    assert applications.account_age[first].max() < np.median(applications.account_age[~first])


def test_loans_raise_debt_by_the_amount_and_cash_by_less(vintage: Month) -> None:
    applications, after = vintage.applications, vintage.state.copy()
    disburse(applications, after)
    slot = applications.slot
    debt = after.debt[slot] - vintage.state.debt[slot]
    assert debt * applications.firms.scale == pytest.approx(applications.amount, rel=1e-3)
    cash = after.liquidity[slot] - vintage.state.liquidity[slot]
    assert (cash > 0).all()
    assert (cash < debt).all()


def test_a_short_population_fills_the_vintage_as_far_as_it_can(vintage: Month) -> None:
    available = np.zeros(len(vintage.firms), dtype=bool)
    available[:600] = True
    drawn = draw_applications(
        vintage.firms, vintage.state, vintage.month, available, 10_000, np.random.default_rng(0)
    )
    assert 0 < len(drawn.slot) < 600
    assert len(set(drawn.slot)) == len(drawn.slot)


def test_firms_in_need_apply_more_often(vintage: Month) -> None:
    everyone = np.ones(len(vintage.firms), dtype=bool)
    means = []
    for seed in range(5):
        drawn = draw_applications(
            vintage.firms, vintage.state, vintage.month, everyone, 300, np.random.default_rng(seed)
        )
        means.append(vintage.state.liquidity[drawn.slot].mean())
    refused_too = vintage.state.liquidity[vintage.state.liquidity > -0.3].mean()
    assert np.mean(means) < refused_too
