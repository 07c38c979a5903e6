"""Every algorithm of several banks is a program of sums: each bank adds whole numbers, and all banks see the total.

A program turns what it has so far, and the total of what the banks have added, into what it has next. All banks compute
the same model from the same totals, by the same operations in the same order, so their models are equal bit for bit;
and since whole numbers are added, neither the order of the banks nor their number of processes changes a model.
How the numbers are added without anybody seeing a bank's own is no concern of a program (`fl/secure_sums`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fl.tables import Table

State = TypeVar("State")


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What one bank trains on, or scores.

    name      of the bank
    table     its columns, n rows
    labels    int8 (n,), 1 for a default; empty for applicants, whose outcome is not known
    roles     int8 (n,), training, validation or test as in `fl/splits.py`; empty for applicants
    signs     by column of which it is known: the direction in which the risk goes with it, 1 up or −1 down
    segments  texts (n,) by the name of a segment, for the evaluation
    """

    name: str
    table: Table
    labels: NDArray[np.int8]
    roles: NDArray[np.int8]
    signs: Mapping[str, int]
    segments: Mapping[str, NDArray[np.str_]]

    def __len__(self) -> int:
        return len(self.table)


class Program(Protocol[State]):
    """One algorithm. `state` is the class of the record (`fl/records.py`) that a bank keeps between two sums.

    A state may hold what is known of single rows, since it never leaves its bank; only what is `shared` of it may.
    """

    state: type[State]

    def begin(self, rows: Rows) -> State:
        """What the bank has before the first sum."""

    def addend(self, rows: Rows, state: State) -> NDArray[np.int64] | None:
        """What this bank adds next, int64 (k,) with the same k at every bank; None when the training has ended."""

    def advance(self, rows: Rows, state: State, total: NDArray[np.int64]) -> State:
        """What the bank has after a sum, from the total int64 (k,) of what all banks added."""

    def progress(self, state: State) -> tuple[int, Mapping[str, float]] | None:
        """The step that the last sum has ended and its metrics by name, such as `valid.auc`; None if it ended none."""

    def log_odds(self, rows: Rows, state: State) -> NDArray[np.float64]:
        """The log odds of default (n,) of all rows by the trained model; the rows may be those of applicants."""

    def shared(self, state: State) -> State:
        """What of the last state is the model: enough to score and to explain, and nothing of the bank's own.

        It is the same at every bank, bit for bit. Raises ProtocolError for a state of another's making that holds none.
        """

    def contributions(self, rows: Rows, state: State) -> Mapping[int, NDArray[np.float64]]:
        """What each column that the model uses adds to these log odds, (n,) by its number; the rest is common."""
