"""What the supply-chain platform records of its suppliers: orders, deliveries, receivables and their buyers.

Orders are the sales of two months later. A stretched firm delivers late, since its own suppliers wait for
money. Receivables past their date are the contagion before it reaches the account: the buyers pay late.
"""

from __future__ import annotations

import numpy as np

from synthetic_data.arithmetic import exp
from synthetic_data.observer import Observer, Rows, Scene, logistic, money, only, share
from synthetic_data.roster import Book, Roster

AGES = (0.50, 0.32, 0.18)
"""Overdue receivables by age: up to 30 days, up to 90, and more."""


class SupplyChainRecords(Observer):
    """Keeps ``orders`` and ``receivables``."""

    folder = "supply_chain"

    def __init__(self, roster: Roster, book: Book, rng: np.random.Generator) -> None:
        """Draws the errors that stay with each business."""
        super().__init__(roster, book, rng)
        self.share = np.clip(0.25 + 0.5 * rng.random(len(roster)), 0, 1).astype(np.float32)
        self.reliability = self.opinion(0.35)
        self.contentment = self.lasting(0.5)
        self.ageing = self.lasting(0.3)

    def record(self, scene: Scene) -> dict[str, Rows]:
        """Rows of both tables for the members of the platform."""
        rows, firms, state, used = scene.rows, scene.firms, scene.state, scene.stretch
        seen = self.share[rows] * firms.scale
        coming = exp(state.orders + scene.cycle) * scene.season
        number = np.maximum(self.count(0.25 * firms.customers * coming), 1)
        orders = {
            "orders_number": number,
            "orders_amount": money(seen * coming * self.passing(scene, 0.25)),
            "on_time_share": share(
                logistic(
                    2.2 + 0.4 * firms.quality + self.reliability[rows] - 3.0 * used + self.wobble(scene, 0.4)
                )
            ),
            "disputes": self.count(
                0.02 * number * self.contentment[rows] * exp(0.8 * used - 0.2 * firms.quality)
            ),
            "largest_buyer_share": share(scene.largest_customer * 1.2 + self.wobble(scene, 0.03)),
            "core_rating": np.round(60 + 12 * (scene.core_standing + self.wobble(scene, 0.4))).astype(
                np.int16
            ),
            "tenure": (scene.month - firms.joined).astype(np.int16),
        }
        overdue = seen * state.overdue * self.ageing[rows] * self.passing(scene, 0.15)
        receivables = {
            "not_due": money(seen * np.maximum(state.owed - state.overdue, 0) * self.passing(scene, 0.15)),
            "overdue_30": money(overdue * AGES[0] * self.passing(scene, 0.2)),
            "overdue_90": money(overdue * AGES[1] * self.passing(scene, 0.2)),
            "overdue_older": money(overdue * AGES[2] * self.passing(scene, 0.2)),
        }
        member = scene.month > firms.joined
        return {"orders": only(member, rows, orders), "receivables": only(member, rows, receivables)}
