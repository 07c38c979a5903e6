"""The realised economy: a population of firms with its network, moved on month by month from one seed.

Each month the economy, the sectors and the core enterprises draw their shocks; customers' late payments and
failures reach their suppliers; every firm takes one `cash_flow.step`. Then parties keep their books,
businesses apply for loans, and at last failed firms and those that close in good order leave, newcomers
take their slots, and links are renewed. The whole run is a function of seed, size and world, so it can be
replayed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from synthetic_data import calendar
from synthetic_data.applications import Applications, disburse, draw_applications
from synthetic_data.arithmetic import exp
from synthetic_data.cash_flow import (
    DEFAULT_MISSED,
    Flows,
    State,
    Surroundings,
    Traits,
    calamities,
    opening,
    step,
)
from synthetic_data.firms import Firms, found
from synthetic_data.network import Network
from synthetic_data.systemic import Factors, core_lateness, firm_lateness, surroundings
from synthetic_data.worlds import World

FIRMS_PER_APPLICANT, FIRMS_AT_LEAST = 2.6, 400
"""Size of the population: firms for each applicant, and a floor."""
INITIAL_INDEBTED, INITIAL_DEBT = 0.6, 0.8
"""Share of the first firms with bank debt, and its mean (months of sales); the burn-in forgets both."""
CLOSING_HAZARD, CLOSING_AGE, CLOSING_DECLINE = 0.055, 12.0, 0.7
"""Monthly chance that a firm which can repay its debt closes: h (1 + age/12)^-0.7."""
FIRST_LOAN_HAZARD, FIRST_LOAN, FIRST_LOAN_SPREAD = 0.03, 0.7, 0.5
"""Monthly chance that a debt-free firm takes a loan elsewhere; its median (months of sales) and log spread."""
FIRST_LOAN_CASH = 0.5
"""Share of that loan that stays in the account."""
f32 = np.float32


@dataclass
class Month:
    """A month as parties may look at it: after the step and the applications, before anyone leaves.

    ``state`` is that of the month's end, before the vintage's loans are paid out.
    """

    month: int
    economy: Economy
    firms: Firms
    state: State
    before: State
    flows: Flows
    around: Surroundings
    failed: np.ndarray  # (n,) bool: 90 days past due
    closed: np.ndarray  # (n,) bool: closed debt-free
    applications: Applications | None


class Economy:
    """Population, network and systemic factors at a month's end."""

    def __init__(self, businesses: int, world: World, seeds: np.random.SeedSequence) -> None:
        """An economy that is large enough for that many applicants, before its first month."""
        shocks, network, founding, lending = (np.random.default_rng(child) for child in seeds.spawn(4))
        count = max(int(np.ceil(FIRMS_PER_APPLICANT * businesses)), FIRMS_AT_LEAST)
        self.businesses, self.world = businesses, world
        self.shocks, self.founding, self.lending = shocks, founding, lending
        self.firms = found(count, calendar.FIRST_MONTH, 0, founding)
        self.firms.founded -= (24 * founding.standard_exponential(count) ** 1.4).astype(np.int32)
        self.founded = count
        self.state = opening(self.firms, founding)
        indebted = founding.random(count) < INITIAL_INDEBTED
        self.state.debt = np.where(indebted, 2 * INITIAL_DEBT * founding.random(count), 0).astype(f32)
        self.network = Network(self.firms, network)
        self.factors = Factors.opening(self.network.cores, founding)
        self.failed = np.zeros(count, dtype=bool)
        self.exposures = self.network.exposures()

    def months(self) -> Iterator[Month]:
        """Run through the calendar; what is done with a `Month` is done before the next is asked for."""
        for month in range(calendar.FIRST_MONTH, calendar.LAST_MONTH + 1):
            present = self._advance(month)
            yield present
            self._turn_over(present)

    def core_standing(self, slots: np.ndarray) -> np.ndarray:
        """Standing of the core enterprise that each of these firms supplies."""
        return self.factors.cores[self.network.core[slots]]

    def largest_customer(self, slots: np.ndarray) -> np.ndarray:
        """Share of the largest customer in the sales of these firms, explicit or outside."""
        exposures = self.exposures[slots]
        explicit = exposures.max(axis=1).toarray().ravel()
        outside = 1 - np.asarray(exposures.sum(axis=1), dtype=f32).ravel()
        return np.maximum(explicit, outside * self.firms.top_share[slots])

    def _advance(self, month: int) -> Month:
        self.factors.advance(self.shocks)
        around = self._surroundings(month)
        firms, before, count = self.firms, self.state, len(self.firms)
        demand_shock, cash_shock = self.shocks.standard_normal((2, count), dtype=f32)
        self.state, flows = step(
            before, Traits.of(firms), around, demand_shock, cash_shock, calamities((count,), self.shocks)
        )
        self.failed = self.state.missed >= DEFAULT_MISSED
        chance = closing_hazard(month - firms.founded) * can_close(self.state)
        closed = self.shocks.random(count, dtype=f32) < chance
        applications = None
        if calendar.FIRST_OBSERVATION <= month <= calendar.LAST_OBSERVATION:
            applications = self._vintage(month, alive=~(self.failed | closed))
        return Month(month, self, firms, self.state, before, flows, around, self.failed, closed, applications)

    def _vintage(self, month: int, alive: np.ndarray) -> Applications:
        number, last = month - calendar.FIRST_OBSERVATION, calendar.VINTAGES
        quota = (number + 1) * self.businesses // last - number * self.businesses // last
        # Each firm thinks of borrowing in one of the months, so that the last vintage is drawn like the first.
        available = alive & (self.firms.serial % last == number)
        return draw_applications(self.firms, self.state, month, available, quota, self.lending)

    def _surroundings(self, month: int) -> Surroundings:
        firms, state = self.firms, self.state
        late = firm_lateness(state.liquidity, firms.capacity, firms.trade_part)
        nodes = np.concatenate([late, core_lateness(self.factors.cores)])
        failed = np.concatenate([self.failed, np.zeros(self.network.cores, dtype=bool)]).astype(f32)
        cycle = self.factors.cycle(firms.sector, month, self.world.downturn)
        return surroundings(month, cycle, self.exposures, nodes, failed, self.world.contagion)

    def _turn_over(self, present: Month) -> None:
        if present.applications is not None:
            disburse(present.applications, self.state)
        self._lend_elsewhere(present.month)
        # A failed firm's suppliers lose next month what it owed them; only then its slot is free.
        self.exposures = self.network.exposures()
        exits = present.failed | present.closed
        slots = np.flatnonzero(exits)
        self.network.drop(exits)
        newcomers = found(len(slots), present.month + 1, self.founded, self.founding)
        self.founded += len(slots)
        self.firms.put(slots, newcomers)
        self.state.put(slots, opening(newcomers, self.founding))
        self.network.enrol(slots)
        self.network.renew()

    def _lend_elsewhere(self, month: int) -> None:
        """Let some firms without bank debt take their first loan at another bank."""
        count = len(self.firms)
        hazard = f32(FIRST_LOAN_HAZARD) * (self.state.debt == 0) * (month - self.firms.founded >= 6)
        slots = np.flatnonzero(self.lending.random(count, dtype=f32) < hazard)
        loan = FIRST_LOAN * exp(FIRST_LOAN_SPREAD * self.lending.standard_normal(len(slots), dtype=f32))
        self.state.debt[slots] += loan
        self.state.liquidity[slots] += FIRST_LOAN_CASH * loan


def can_close(state: State) -> np.ndarray:
    """Whether a firm could repay its debt and close in good order (bool)."""
    return (state.liquidity >= state.debt) & (state.missed == 0)


def closing_hazard(age: np.ndarray) -> np.ndarray:
    """Monthly chance that a firm which could repay its debt closes, by its age in months (float32)."""
    return (CLOSING_HAZARD * (1 + np.maximum(age, 0) / CLOSING_AGE) ** -CLOSING_DECLINE).astype(f32)
