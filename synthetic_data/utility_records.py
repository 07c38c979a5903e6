"""What a utility records of the businesses on its grid: electricity, water, and when the bills are paid.

Power follows what is being made for delivery this month and next, so it runs ahead of sales; water follows less. A
stretched firm pays its bills late, though not as late as its taxes, since the utility can cut it off. Nothing here
looks at who defaults: beyond the size of a business, all that the utility knows comes from its production and its
liquidity.
"""

from __future__ import annotations

import numpy as np

from synthetic_data.arithmetic import exp
from synthetic_data.cash_flow import FULFILMENT
from synthetic_data.observer import Observer, Rows, Scene, money
from synthetic_data.roster import Book, Roster

COVERAGE = (0.82, 0.93, 0.95, 0.95)
"""Share of businesses with a meter of their own, by ownership: a landlord pays the bills of the others."""
ENERGY = (0.020, 0.040, 0.012, 0.006, 0.012, 0.015, 0.030, 0.010)
"""Electricity cost at normal sales by sector, share of sales."""
WATER = (0.006, 0.003, 0.002, 0.0005, 0.001, 0.001, 0.008, 0.001)
"""The same of water."""
POWER_PRICE, WATER_PRICE = 0.75, 4.5
"""CNY per kWh and per cubic metre, business tariff."""
POWER_FIXED, WATER_FIXED = 0.35, 0.6
"""Share of normal use that does not depend on production: light, cooling, people."""
LATE_STRAINED = 22.0
"""Days by which a bill is late at full stretch, in a firm of average punctuality."""
LATEST = 60
"""Days after which the supply is cut off, so that the bill gets paid."""


def on_grid(roster: Roster, rng: np.random.Generator) -> np.ndarray:
    """(businesses,) bool: which businesses the utility supplies under their own name."""
    return rng.random(len(roster)) < np.asarray(COVERAGE)[roster.firms.ownership]


class UtilityRecords(Observer):
    """Keeps ``meters`` and ``bills``."""

    folder = "utility"

    def __init__(self, roster: Roster, book: Book, rng: np.random.Generator) -> None:
        """Draws the errors that stay with each business."""
        super().__init__(roster, book, rng)
        self.power_intensity = self.lasting(0.5)
        self.water_intensity = self.lasting(0.7)
        self.forgetfulness = self.lasting(0.8)
        self.priority = self.lasting(0.5)

    def record(self, scene: Scene) -> dict[str, Rows]:
        """Rows of both tables."""
        rows, firms, used = scene.rows, scene.firms, scene.stretch
        coming = exp(scene.state.backlog + scene.cycle) * scene.season * (1 - FULFILMENT * used)
        making = 0.5 * scene.flows.sales + 0.5 * coming
        power = self._use(
            scene, np.asarray(ENERGY)[firms.sector] * self.power_intensity[rows], POWER_FIXED, making, 0.08
        )
        water = self._use(
            scene, np.asarray(WATER)[firms.sector] * self.water_intensity[rows], WATER_FIXED, making, 0.25
        )
        days_late = self._days_late(scene)
        billed = power + water
        meters = {"electricity": money(power / POWER_PRICE), "water": money(water / WATER_PRICE)}
        bills = {
            "billed": money(billed),
            # A bill that is still open when the next one comes counts whole; one that is nearly paid, hardly.
            "unpaid": money(billed * days_late / 30),
            "days_late": days_late.astype(np.int16),
        }
        return {"meters": (rows, meters), "bills": (rows, bills)}

    def _use(
        self, scene: Scene, intensity: np.ndarray, fixed: float, making: np.ndarray, spread: float
    ) -> np.ndarray:
        """Cost of a month's use, CNY: a part that stays, and one that follows production."""
        return intensity * scene.firms.scale * (fixed + (1 - fixed) * making) * self.passing(scene, spread)

    def _days_late(self, scene: Scene) -> np.ndarray:
        """Days late: anyone forgets a bill now and then, and a stretched firm waits as long as it can."""
        forgotten = self.count(0.06 * self.forgetfulness[scene.rows]) * 7
        strained = self.count(LATE_STRAINED * self.priority[scene.rows] * scene.stretch)
        return np.minimum(forgotten + strained, LATEST)
