"""The law of motion of one firm's cash, the heart of the economy.

A firm sells, waits for its customers' money, pays its costs and its debt service. When cash runs short it
raises emergency finance in fixed proportions (overdraft, unpaid tax, unpaid suppliers, private lenders) up
to its capacity K. When that is used up it misses its debt service, and after three missed months it has
defaulted. One month, in units of the firm's normal monthly sales::

    sales     q  = season * exp(z + cycle) * (1 - f * stretch)      a stretched firm cannot buy its inputs
    collected C  = g * (1 - lateness) * (a + q)                     customers' lateness is contagion
    owed      a' = (a + q - C) * (1 - loss)                         failed customers never pay
    expected  m  = l + C - (1 - margin) * q - fixed * k - charges   before debt service
    liquidity l' = m + sigma * epsilon - J * calamity - service     if that is >= -K, else service is missed

with liquidity l = cash - emergency finance, stretch = max(-l, 0) / K, demand z behind an order book of two
months, and k the scale to which fixed cost has adapted. A calamity is a rare large loss: a fire, a fraud, a
guarantee that is called. Both shocks are independent over firms and months, so the probability of a missed
month given everything else is a mixture of two normal probabilities (`miss_probability`): this is what
makes true default probabilities tractable (`futures`).

The same function steps the realised economy (arrays of shape (n,)), its futures (n, futures) and a firm's own
futures (n, futures, draws).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from synthetic_data.arithmetic import exp
from synthetic_data.firms import Firms

PERSISTENCE, DEMAND_SHOCK = 0.96, 0.095
"""Monthly autocorrelation of a firm's log demand, and the standard deviation of its innovation."""
ADAPTATION = 0.06
"""Share by which fixed cost adapts to the present scale of sales in a month."""
FULFILMENT = 0.25
"""Share of orders that a fully stretched firm cannot deliver."""
SHORTFALL_CHARGE, INFORMAL_RATE, BANK_RATE = 0.02, 0.022, 0.005
"""Monthly price of emergency finance (penalties), of private debt, and of bank debt."""
AMORTISATION = 1 / 24
"""Monthly repayment of bank debt that is not rolled over."""
ROLLOVER_STRETCH = 0.6
"""Stretch at which no lender rolls anything over any more."""
CASH_TARGET, PAYOUT = 1.0, 0.15
"""Liquidity (months of sales) above which owners take money out, and the share they take a month."""
OVERDUE_KEPT = 0.65
"""Share of overdue receivables still overdue a month later."""
DEFAULT_MISSED = 3
"""Missed months at which a firm is 90 days past due."""
CALAMITY_CHANCE, CALAMITY_LOSS = 0.003, 1.5
"""Monthly chance of a calamity, and its cost in months of sales."""
DEEPEST = 3.0
"""Unpaid obligations stop growing at this multiple of the capacity: nobody delivers any more."""
f32 = np.float32


@dataclass
class State:
    """Where firms stand at a month's end; all arrays of one shape, stocks in months of normal sales."""

    orders: np.ndarray  # log demand that becomes sales in two months
    backlog: np.ndarray  # log demand that becomes sales next month
    demand: np.ndarray  # log demand behind this month's sales
    habit: np.ndarray  # scale of sales to which fixed cost has adapted
    liquidity: np.ndarray  # cash less emergency finance
    owed: np.ndarray  # receivables
    overdue: np.ndarray  # of which past their date
    debt: np.ndarray  # bank debt
    missed: np.ndarray  # float32, months of debt service missed

    def take(self, index: object) -> State:
        """The same of some firms (any numpy index)."""
        return State(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def copy(self) -> State:
        """A state of its own arrays."""
        return State(**{field.name: getattr(self, field.name).copy() for field in fields(self)})

    def put(self, index: object, other: State) -> None:
        """Overwrite some firms."""
        for field in fields(self):
            getattr(self, field.name)[index] = getattr(other, field.name)


class Surroundings(NamedTuple):
    """What happens to firms in a month: scalars or arrays that broadcast with the state."""

    season: float
    cycle: np.ndarray  # log demand of sector and economy
    lateness: np.ndarray  # share of payments that customers put off
    loss: np.ndarray  # share of receivables owed by customers that failed
    lost_demand: np.ndarray  # share of sales that went with them


class Traits(NamedTuple):
    """The fixed traits of firms that enter the law of motion, shaped to broadcast with the state."""

    margin: np.ndarray
    fixed: np.ndarray
    volatility: np.ndarray
    capacity: np.ndarray
    collection: np.ndarray
    informal: np.ndarray

    @classmethod
    def of(cls, firms: Firms, trailing: int = 0) -> Traits:
        """Traits of the firms with ``trailing`` more axes of length one."""
        shape = (len(firms),) + (1,) * trailing
        return cls(*(getattr(firms, name).reshape(shape) for name in cls._fields))


class Flows(NamedTuple):
    """What a month's step decides before the cash shock: the flows and the distance to a missed payment."""

    sales: np.ndarray
    collected: np.ndarray
    cost: np.ndarray  # all operating cost, without finance
    service: np.ndarray  # debt service due
    room: np.ndarray  # m - service + K: the service is missed when volatility * shock < -room


def stretch(liquidity: np.ndarray, capacity: np.ndarray) -> np.ndarray:
    """Share of its emergency finance that a firm uses, 0 to 1: how late it pays its suppliers."""
    return np.clip(liquidity / -capacity, f32(0), f32(1))


def opening(firms: Firms, rng: np.random.Generator) -> State:
    """State of firms that were just founded, without bank debt."""
    count = len(firms)
    demand = (0.1 * rng.standard_normal(count)).astype(f32)
    return State(
        orders=demand.copy(),
        backlog=demand.copy(),
        demand=demand.copy(),
        habit=np.ones(count, f32),
        liquidity=(0.2 + 0.9 * rng.random(count)).astype(f32),
        owed=(1 / firms.collection - 1).astype(f32),
        overdue=np.full(count, 0.1, f32),
        debt=np.zeros(count, f32),
        missed=np.zeros(count, f32),
    )


def step(
    state: State,
    traits: Traits,
    around: Surroundings,
    demand_shock: np.ndarray,
    cash_shock: np.ndarray,
    calamity: np.ndarray,
) -> tuple[State, Flows]:
    """Move firms on by one month.

    Args:
        state: at the end of the month before.
        traits: of the firms.
        around: what happens to them this month.
        demand_shock: standard normal, the state's shape.
        cash_shock: standard normal, the state's shape.
        calamity: bool, the state's shape.

    Returns:
        The state at the month's end (``missed`` counts the months without debt service, capped at
        ``DEFAULT_MISSED``), and the month's flows.
    """
    orders = f32(PERSISTENCE) * state.orders + f32(DEMAND_SHOCK) * demand_shock - around.lost_demand
    demand = state.backlog
    used = stretch(state.liquidity, traits.capacity)
    activity = exp(demand + around.cycle)
    sales = activity * (f32(around.season) * (1 - f32(FULFILMENT) * used))
    due = state.owed + sales
    payable = traits.collection * due
    collected = payable * (1 - around.lateness)
    cost = (1 - traits.margin) * sales + traits.fixed * state.habit
    charges = (f32(SHORTFALL_CHARGE) * traits.capacity) * used + f32(INFORMAL_RATE) * traits.informal
    repaid = f32(AMORTISATION) * np.minimum(used * f32(1 / ROLLOVER_STRETCH), f32(1)) * state.debt
    service = repaid + f32(BANK_RATE) * state.debt
    room = state.liquidity + collected - cost - charges - service + traits.capacity

    after = room + traits.volatility * cash_shock - f32(CALAMITY_LOSS) * calamity
    paid = after >= 0
    # Missed service stays with the firm; a firm that can pay twice catches up, one that can pay once stays
    # behind.
    liquidity = after - traits.capacity + np.where(paid, f32(0), service)
    caught_up = after >= service * state.missed
    missed = np.where(paid, np.where(caught_up, f32(0), state.missed), state.missed + 1)
    liquidity -= f32(PAYOUT) * np.maximum(liquidity - f32(CASH_TARGET), f32(0))
    new = State(
        orders=orders,
        backlog=state.orders,
        demand=demand,
        habit=state.habit + f32(ADAPTATION) * (activity - state.habit),
        liquidity=np.maximum(liquidity, f32(-DEEPEST) * traits.capacity),
        owed=(due - collected) * (1 - around.loss),
        overdue=(f32(OVERDUE_KEPT) * state.overdue + payable * around.lateness) * (1 - around.loss),
        debt=state.debt - np.where(paid, repaid, f32(0)),
        missed=np.minimum(missed, f32(DEFAULT_MISSED)),
    )
    return new, Flows(sales, collected, cost, service, room)


def miss_probability(room: np.ndarray, volatility: np.ndarray) -> np.ndarray:
    """Probability that a firm misses its debt service this month, given `Flows.room`: the own shock
    integrated."""
    calm, struck = ndtr(-room / volatility), ndtr((f32(CALAMITY_LOSS) - room) / volatility)
    return calm + f32(CALAMITY_CHANCE) * (struck - calm)


def calamities(
    shape: tuple[int, ...], rng: np.random.Generator, chance: float = CALAMITY_CHANCE
) -> np.ndarray:
    """Draw which firms are struck this month (bool)."""
    return rng.random(shape, dtype=f32) < chance
