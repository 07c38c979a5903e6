"""What the records of all parties have in common: who is in this month's book, and how a party's eye errs.

A party sees a firm through its own channel: a part of the payments, an accounting practice, a buyer's
opinion. Each such channel has an error that stays with the business (one draw per business) and one that is
new every month.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from synthetic_data.arithmetic import exp
from synthetic_data.cash_flow import Flows, State, stretch
from synthetic_data.economy import Month
from synthetic_data.firms import Firms
from synthetic_data.roster import Book, Roster

f32 = np.float32


@dataclass
class Scene:
    """A month of the firms behind the codes in one party's book; all arrays have one entry per row."""

    month: int
    rows: np.ndarray  # rows of the roster whose codes are written
    firms: Firms
    state: State
    flows: Flows
    before: np.ndarray  # liquidity a month earlier
    cycle: np.ndarray
    season: float
    core_standing: np.ndarray
    largest_customer: np.ndarray

    @property
    def stretch(self) -> np.ndarray:
        """Share of emergency finance in use."""
        return stretch(self.state.liquidity, self.firms.capacity)

    @property
    def shortfall(self) -> np.ndarray:
        """Emergency finance in use, months of sales."""
        return np.maximum(-self.state.liquidity, 0)


def look(present: Month, roster: Roster, book: Book) -> Scene:
    """The part of the economy that a party with this book records in this month."""
    rows = np.flatnonzero(book.known & roster.recorded(present.month))
    source = book.source[rows]
    alive = present.firms.serial[roster.slot[source]] == roster.serial[source]
    rows, slots = rows[alive], roster.slot[source[alive]]
    flows = present.flows
    return Scene(
        month=present.month,
        rows=rows,
        firms=present.firms.take(slots),
        state=present.state.take(slots),
        flows=Flows(*(flow[slots] for flow in flows)),
        before=present.before.liquidity[slots],
        cycle=present.around.cycle[slots],
        season=present.around.season,
        core_standing=present.economy.core_standing(slots),
        largest_customer=present.economy.largest_customer(slots),
    )


Rows = tuple[np.ndarray, dict[str, np.ndarray]]
"""Rows of a record table: the roster's rows they belong to, and the columns."""


class Observer(ABC):
    """Keeps one party's books: turns a month's scene into rows of its record tables."""

    folder: ClassVar[str]
    """Folder of the party in the dataset."""

    def __init__(self, roster: Roster, book: Book, rng: np.random.Generator) -> None:
        """Opens the books of a party that knows ``book`` of the roster and errs by ``rng``."""
        self.roster, self.book, self.rng = roster, book, rng

    @abstractmethod
    def record(self, scene: Scene) -> dict[str, Rows]:
        """Rows of this month by table name."""

    def files(self, scene: Scene) -> dict[str, Rows]:
        """Rows of this month by the table's path in the dataset, without its suffix."""
        return {f"{self.folder}/{name}": rows for name, rows in self.record(scene).items()}

    def lasting(self, spread: float) -> np.ndarray:
        """(businesses,) log-normal factor of mean 1 that stays with each business."""
        return self._factor(len(self.roster), spread)

    def passing(self, scene: Scene, spread: float) -> np.ndarray:
        """(rows,) log-normal factor of mean 1 of this month."""
        return self._factor(len(scene.rows), spread)

    def opinion(self, spread: float) -> np.ndarray:
        """(businesses,) normal error that stays with each business."""
        return f32(spread) * self.rng.standard_normal(len(self.roster), dtype=f32)

    def wobble(self, scene: Scene, spread: float) -> np.ndarray:
        """(rows,) normal error of this month."""
        return f32(spread) * self.rng.standard_normal(len(scene.rows), dtype=f32)

    def count(self, rate: np.ndarray) -> np.ndarray:
        """Poisson counts, int32."""
        return self.rng.poisson(np.maximum(rate, 0)).astype(np.int32)

    def _factor(self, count: int, spread: float) -> np.ndarray:
        return exp(f32(spread) * self.rng.standard_normal(count, dtype=f32) - f32(spread**2 / 2))


def only(mask: np.ndarray, rows: np.ndarray, columns: dict[str, np.ndarray]) -> Rows:
    """The rows at which the mask holds."""
    return rows[mask], {name: values[mask] for name, values in columns.items()}


def money(amount: np.ndarray) -> np.ndarray:
    """CNY, rounded to whole yuan, float32."""
    return np.round(amount).astype(f32)


def share(value: np.ndarray) -> np.ndarray:
    """Clipped to 0 … 1 and rounded to four digits, float32."""
    return np.round(np.clip(value, 0, 1), 4).astype(f32)


def logistic(value: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-x)."""
    return 1 / (1 + exp(-value))
