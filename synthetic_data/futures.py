"""True probabilities of default, from many futures of the economy at an observation month.

The probability of default of firm i, given the state x of the whole economy at its observation month, is
estimated in two layers::

    PD_i(x) = E_outer E_own [ sum over h of w_{h-1} * 1{missed = 2} * P(miss in month h) ]

*Outer* futures run all firms on, with their network and the systemic factors, and give what surrounds i:
demand of its sector, late payment and failures of its customers. *Own* paths run firm i alone many times
within each of them. The last step is not sampled but integrated: whether the third payment is missed is
weighted by its conditional probability (`cash_flow.miss_probability`), and a debt-free closing by its chance
(the weight w), so that an unlucky path counts for what it was likely to become (Rao-Blackwell). Own
calamities are drawn more often than they happen, and paths weighted by the likelihood ratio.

Two simplifications, both in the surroundings: links that die within the window are replaced by the average
partner, and firms founded within it are not followed. A firm's own effect on its customers' fate is
neglected.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy import sparse

from synthetic_data import calendar
from synthetic_data.applications import disburse
from synthetic_data.cash_flow import (
    CALAMITY_CHANCE,
    DEFAULT_MISSED,
    State,
    Surroundings,
    Traits,
    calamities,
    miss_probability,
    step,
)
from synthetic_data.economy import Month, can_close, closing_hazard
from synthetic_data.network import LINK_SURVIVAL
from synthetic_data.systemic import Factors, core_lateness, firm_lateness, surroundings

f32 = np.float32
OUTER_BATCHES, OUTER_BATCH = 8, 8
"""Futures of the economy: batches, and futures in each (a batch is one array axis)."""
OWN_PATHS = 32
"""A firm's own paths within each future."""
RESOLUTION = 0.5 / (OUTER_BATCHES * OUTER_BATCH * OWN_PATHS)
"""Nearest to 0 or 1 that so many paths can tell a probability."""
OVERSAMPLED_CHANCE = 0.02
"""Monthly chance of a calamity on own paths: sound firms fail by calamities, which are too rare to be met
by chance."""
STRUCK_WEIGHT = f32(CALAMITY_CHANCE / OVERSAMPLED_CHANCE)
SPARED_WEIGHT = f32((1 - CALAMITY_CHANCE) / (1 - OVERSAMPLED_CHANCE))
"""Likelihood ratios that make up for it."""
CHUNK = 32
"""Applicants whose paths are stepped together; their arrays fit the cache."""


def true_default_probabilities(present: Month, seeds: np.random.SeedSequence) -> np.ndarray:
    """Probability of default of each applicant of the month within the performance window, float64.

    Args:
        present: an observation month, before its loans are paid out; not changed.
        seeds: of these futures alone.
    """
    outer, own = (np.random.default_rng(child) for child in seeds.spawn(2))
    applications = present.applications
    start = present.state.copy()
    disburse(applications, start)
    probability = np.zeros(len(applications.slot))
    for _ in range(OUTER_BATCHES):
        around = _futures(present, start, outer)
        for first in range(0, len(probability), CHUNK):
            rows = slice(first, first + CHUNK)
            probability[rows] += _own_paths(present, start, around, rows, own)
    return np.clip(probability / OUTER_BATCHES, RESOLUTION, 1 - RESOLUTION)


@dataclass
class _Partners:
    """Exposures some months ahead: living links, core enterprises, and the average partner for the dead."""

    firms: sparse.csr_matrix  # (n, n)
    cores: sparse.csr_matrix  # (n, cores)

    def exposures(self, ahead: int) -> sparse.csr_matrix:
        """(n, n + cores + 1), the last node being the average partner."""
        alive = f32(LINK_SURVIVAL**ahead)
        died = sparse.csr_matrix(self.firms.sum(axis=1).astype(f32) * (1 - alive))
        return sparse.hstack([self.firms * alive, self.cores, died], format="csr", dtype=f32)

    def nodes(self, firms: np.ndarray, cores: np.ndarray, alive: np.ndarray) -> np.ndarray:
        """A quantity of all nodes; closed firms, too, are replaced by the average partner."""
        attraction = np.asarray(self.firms.sum(axis=0), dtype=f32).ravel()
        weight = alive * attraction[:, None]
        average = (weight * firms).sum(axis=0) / weight.sum(axis=0)
        return np.concatenate([np.where(alive, firms, average), cores, average[None]])


def _futures(present: Month, start: State, rng: np.random.Generator) -> list[Surroundings]:
    """Run the economy on and return what surrounds the applicants in each month of the window."""
    economy, firms, slot = present.economy, present.firms, present.applications.slot
    count = len(firms)
    shape = (count, OUTER_BATCH)
    exposures = economy.network.exposures()
    partners = _Partners(exposures[:, :count], exposures[:, count:])
    state = State(
        **{f.name: np.repeat(getattr(start, f.name)[:, None], OUTER_BATCH, axis=1) for f in fields(State)}
    )
    factors: Factors = economy.factors.repeat(OUTER_BATCH)
    traits = Traits.of(firms, trailing=1)
    capacity, trade_part = firms.capacity[:, None], firms.trade_part[:, None]
    failed = np.repeat(present.failed[:, None], OUTER_BATCH, axis=1)
    alive = ~np.repeat((present.failed | present.closed)[:, None], OUTER_BATCH, axis=1)
    seen = []
    for ahead in range(calendar.PERFORMANCE_WINDOW):
        month = present.month + 1 + ahead
        late = partners.nodes(
            firm_lateness(state.liquidity, capacity, trade_part), core_lateness(factors.cores), alive
        )
        newly_failed = partners.nodes(failed.astype(f32), np.zeros_like(factors.cores), alive | failed)
        factors.advance(rng)
        cycle = factors.cycle(firms.sector, month, economy.world.downturn)
        around = surroundings(
            month, cycle, partners.exposures(ahead), late, newly_failed, economy.world.contagion
        )
        seen.append(
            Surroundings(
                around.season, *(np.broadcast_to(part, shape)[slot][:, :, None] for part in around[1:])
            )
        )
        demand_shock, cash_shock = rng.standard_normal((2, *shape), dtype=f32)
        state, _ = step(state, traits, around, demand_shock, cash_shock, calamities(shape, rng))
        failed = alive & (state.missed >= DEFAULT_MISSED)
        chance = closing_hazard(month - firms.founded)[:, None] * can_close(state)
        alive &= ~failed & (rng.random(shape, dtype=f32) >= chance)
    return seen


def _own_paths(
    present: Month, start: State, seen: list[Surroundings], rows: slice, rng: np.random.Generator
) -> np.ndarray:
    """Probability of default of some applicants, averaged over these futures and their own paths."""
    applications = present.applications
    firms = applications.firms.take(rows)
    traits = Traits.of(firms, trailing=2)
    shape = (len(firms), OUTER_BATCH, OWN_PATHS)
    own = start.take(applications.slot[rows])
    state = State(
        **{f.name: np.broadcast_to(getattr(own, f.name)[:, None, None], shape) for f in fields(State)}
    )
    weight = np.ones(shape, dtype=f32)
    probability = np.zeros(len(firms))
    for ahead, around in enumerate(seen):
        around = Surroundings(around.season, *(part[rows] for part in around[1:]))
        demand_shock, cash_shock = rng.standard_normal((2, *shape), dtype=f32)
        last_chance = np.nonzero((state.missed == DEFAULT_MISSED - 1) & (weight > 0))
        struck = calamities(shape, rng, OVERSAMPLED_CHANCE)
        state, flows = step(state, traits, around, demand_shock, cash_shock, struck)
        firm = last_chance[0]
        missing = miss_probability(flows.room[last_chance], firms.volatility[firm])
        probability += np.bincount(firm, weight[last_chance] * missing, minlength=len(firms))
        hazard = closing_hazard(present.month + 1 + ahead - firms.founded)[:, None, None]
        weight *= (state.missed < DEFAULT_MISSED) * (1 - hazard * can_close(state))
        weight *= np.where(struck, STRUCK_WEIGHT, SPARED_WEIGHT)
    return probability / (OUTER_BATCH * OWN_PATHS)
