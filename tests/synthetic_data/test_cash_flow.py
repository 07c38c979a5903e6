"""The law of motion of one firm's cash."""

from dataclasses import replace

import numpy as np
import pytest

from synthetic_data.cash_flow import (
    CALAMITY_LOSS,
    State,
    Surroundings,
    Traits,
    calamities,
    miss_probability,
    opening,
    step,
    stretch,
)
from synthetic_data.firms import found

CALM = Surroundings(1.0, np.float32(0), np.float32(0.1), np.float32(0), np.float32(0))
COUNT = 400


@pytest.fixture
def firms():
    return found(COUNT, 0, 0, np.random.default_rng(0))


def indebted(firms, **changes: float) -> State:
    state = opening(firms, np.random.default_rng(1))
    state.debt[:] = 1
    return replace(state, **{name: np.full(COUNT, value, np.float32) for name, value in changes.items()})


def move(state, firms, around=CALM, shock=0.0, calamity=False):
    quiet = np.zeros(COUNT, np.float32)
    return step(state, Traits.of(firms), around, quiet, quiet + np.float32(shock), np.full(COUNT, calamity))


def test_three_missed_months_are_a_default_and_a_recovery_before_is_not(firms) -> None:
    state = indebted(firms, liquidity=-4)
    for missed in (1, 2, 3, 3):
        state.liquidity[:] = -4
        state, _ = move(state, firms)
        assert (state.missed == missed).all()
    state = indebted(firms, liquidity=3, missed=2)
    assert (move(state, firms)[0].missed == 0).all()


def test_unpaid_service_stays_with_the_firm_and_paid_service_lowers_the_debt(firms) -> None:
    strained = indebted(firms, liquidity=-0.3)
    after, flows = move(strained, firms, shock=0)
    paid = flows.room >= 0
    assert (after.debt[paid] < strained.debt[paid]).all()
    unable, _ = move(indebted(firms, liquidity=-4), firms)
    assert (unable.debt == 1).all()


def test_late_customers_leave_less_cash_and_more_receivables(firms) -> None:
    prompt, first = move(indebted(firms), firms)
    late, second = move(indebted(firms), firms, CALM._replace(lateness=np.float32(0.6)))
    assert (second.collected < first.collected).all()
    assert (late.liquidity < prompt.liquidity).all()
    assert (late.owed > prompt.owed).all()
    assert (late.overdue > prompt.overdue).all()


def test_a_failed_customer_costs_receivables_now_and_sales_in_two_months(firms) -> None:
    hit = CALM._replace(loss=np.float32(0.2), lost_demand=np.float32(0.2))
    spared, struck = move(indebted(firms), firms)[0], move(indebted(firms), firms, hit)[0]
    assert struck.owed == pytest.approx(0.8 * spared.owed)
    sales = []
    for state in (spared, struck):
        for _ in range(2):
            state, _ = move(state, firms)
        sales.append(move(state, firms)[1].sales)
    assert (sales[1] < sales[0]).all()


def test_a_stretched_firm_delivers_less_and_pays_penalties(firms) -> None:
    _, calm = move(indebted(firms, liquidity=0.5), firms)
    _, strained = move(indebted(firms, liquidity=-2), firms)
    assert (strained.sales < calm.sales).all()
    assert (strained.service > calm.service).all()


def test_fixed_cost_follows_sales_slowly(firms) -> None:
    boom = CALM._replace(cycle=np.float32(0.4))
    state, _ = move(indebted(firms), firms, boom)
    assert ((state.habit > 1) & (state.habit < 1.2)).mean() > 0.9


def test_stretch_is_the_used_share_of_capacity() -> None:
    assert stretch(np.array([0.5, -0.4, -9.0]), np.array([0.8, 0.8, 0.8])) == pytest.approx([0, 0.5, 1])


def test_miss_probability_is_the_frequency_of_missed_months(firms) -> None:
    state = indebted(firms, liquidity=-0.7)
    rng = np.random.default_rng(2)
    draws = 4000
    traits = Traits.of(firms, trailing=1)
    wide = State(**{k: np.repeat(v[:, None], draws, axis=1) for k, v in vars(state).items()})
    shape = (COUNT, draws)
    after, flows = step(
        wide,
        traits,
        CALM,
        np.zeros(shape, np.float32),
        rng.standard_normal(shape, np.float32),
        calamities(shape, rng),
    )
    expected = miss_probability(flows.room[:, 0], firms.volatility)
    assert (after.missed > 0).mean(axis=1) == pytest.approx(expected, abs=0.04)
    assert (after.missed > 0).mean() == pytest.approx(expected.mean(), abs=0.002)


def test_a_calamity_costs_its_price(firms) -> None:
    # Liquidity below the owners' target, and means enough to pay in both cases.
    firms.capacity[:] = 3
    state = indebted(firms, liquidity=0)
    struck, calm = move(state, firms, calamity=True)[0], move(state, firms)[0]
    assert not (struck.missed > 0).any()
    assert calm.liquidity - struck.liquidity == pytest.approx(CALAMITY_LOSS, abs=1e-4)


def test_the_same_step_serves_futures(firms) -> None:
    state = indebted(firms)
    wide = State(**{k: np.repeat(v[:, None], 3, axis=1) for k, v in vars(state).items()})
    zeros = np.zeros((COUNT, 3), np.float32)
    many, _ = step(wide, Traits.of(firms, trailing=1), CALM, zeros, zeros, zeros > 0)
    one, _ = move(state, firms)
    assert (many.liquidity == one.liquidity[:, None]).all()
