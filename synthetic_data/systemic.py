"""What firms share: the macro cycle, their sector, the core enterprises, and the customers who pay late or
fail.

Everything here works for the realised economy (arrays over firms) and for many futures at once (a last axis
more).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from synthetic_data import calendar
from synthetic_data.arithmetic import exp, weighted_sum
from synthetic_data.cash_flow import Surroundings, stretch
from synthetic_data.firms import SECTORS, TRAITS

MACRO_PERSISTENCE, MACRO_SHOCK = 0.95, 0.006
SECTOR_PERSISTENCE, SECTOR_SHOCK = 0.93, 0.012
"""Monthly autocorrelation and innovation of log demand, of the economy and of a sector."""
CORE_PERSISTENCE, CORE_LATENESS, CORE_RESPONSE = 0.94, 0.18, 1.0
"""Standing of a core enterprise (unit variance), its lateness when the standing is 0, and the response to
it."""
OUTSIDE_LATENESS, OUTSIDE_RESPONSE = 0.10, 0.6
"""Lateness of customers outside the population in normal times, and how it rises when demand falls."""
PATIENT_LATENESS, TRADE_LATENESS = 0.04, 3.6
"""Lateness of a linked customer without stretch, and its rise per unit of stretch financed by suppliers."""
LOSS_GIVEN_FAILURE, DEMAND_NOT_REPLACED = 0.8, 0.6
"""Shares of a failed customer's receivables, and of its orders, that the supplier loses for good."""
f32 = np.float32


@dataclass
class Factors:
    """Systemic state at a month's end; each array may have a last axis of futures."""

    macro: np.ndarray  # () log demand
    sectors: np.ndarray  # (sectors,) log demand
    cores: np.ndarray  # (cores,) standing of the core enterprises, standard normal in the long run

    @classmethod
    def opening(cls, cores: int, rng: np.random.Generator) -> Factors:
        """A normal month."""
        return cls(np.zeros((), f32), np.zeros(len(SECTORS), f32), rng.standard_normal(cores, dtype=f32))

    def repeat(self, futures: int) -> Factors:
        """The same state at the start of several futures."""
        return Factors(
            *(np.repeat(x[..., None], futures, axis=-1) for x in (self.macro, self.sectors, self.cores))
        )

    def advance(self, rng: np.random.Generator) -> None:
        """Draw a month's systemic shocks."""
        innovation = np.sqrt(1 - CORE_PERSISTENCE**2)
        self.macro = _autoregress(self.macro, MACRO_PERSISTENCE, MACRO_SHOCK, rng)
        self.sectors = _autoregress(self.sectors, SECTOR_PERSISTENCE, SECTOR_SHOCK, rng)
        self.cores = _autoregress(self.cores, CORE_PERSISTENCE, innovation, rng)

    def cycle(self, sector: np.ndarray, month: int, downturn: float) -> np.ndarray:
        """Log demand that economy and sector bring to firms of these sectors."""
        macro = self.macro + f32(calendar.downturn(month, downturn))
        return (np.multiply.outer(np.asarray(TRAITS.cycle, f32), macro) + self.sectors)[sector]


def _autoregress(
    values: np.ndarray, persistence: float, shock: float, rng: np.random.Generator
) -> np.ndarray:
    return f32(persistence) * values + f32(shock) * rng.standard_normal(np.shape(values), dtype=f32)


def core_lateness(standing: np.ndarray) -> np.ndarray:
    """Share of its payments that a core enterprise of that standing puts off."""
    return np.minimum(f32(CORE_LATENESS) * exp(f32(-CORE_RESPONSE) * standing), f32(0.85))


def firm_lateness(liquidity: np.ndarray, capacity: np.ndarray, trade_part: np.ndarray) -> np.ndarray:
    """Share of its payments that a firm puts off: its suppliers finance ``trade_part`` of its stretch."""
    return np.minimum(
        f32(PATIENT_LATENESS) + f32(TRADE_LATENESS) * trade_part * stretch(liquidity, capacity), f32(1)
    )


def surroundings(
    month: int,
    cycle: np.ndarray,
    exposures: sparse.csr_matrix,
    lateness: np.ndarray,
    failed: np.ndarray,
    contagion: bool,
) -> Surroundings:
    """What last month's books of the customers mean for their suppliers this month.

    Args:
        month: the month that begins.
        cycle: (n, ...) log demand of sector and economy.
        exposures: (n, nodes) share of each supplier's sales by explicit customer.
        lateness: (nodes, ...) share of payments that each customer puts off.
        failed: (nodes, ...) float32, 1 where the customer failed last month.
        contagion: if not, explicit customers pay like the average one and their failure costs nothing.
    """
    outside = np.clip(f32(OUTSIDE_LATENESS) - f32(OUTSIDE_RESPONSE) * cycle, f32(0.02), f32(0.6))
    explicit = np.asarray(exposures.sum(axis=1), dtype=f32).reshape((-1,) + (1,) * (cycle.ndim - 1))
    if contagion:
        late = (1 - explicit) * outside + weighted_sum(exposures, lateness)
        hit = weighted_sum(exposures, failed)
    else:
        late = (1 - explicit) * outside + explicit * lateness.mean(axis=0)
        hit = np.zeros((1,) * cycle.ndim, dtype=f32)
    return Surroundings(
        calendar.season(month), cycle, late, f32(LOSS_GIVEN_FAILURE) * hit, f32(DEMAND_NOT_REPLACED) * hit
    )
