"""What each column adds to the score that a forest gives a row: Shapley values of its trees.

Path-dependent TreeSHAP (Lundberg et al., "From local explanations to global understanding with explainable AI for
trees", Nature Machine Intelligence 2020): where a column is left out, both children of its splits count, by their
shares of the training rows (covers). A leaf is reached through few columns, so the exact value of each is in a table by
which of them the row agrees with, and rows look themselves up.

The bank has all that this takes: trees and covers, and in scoring the side of every split, also of those whose column
it knows by number only.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fl.boosting.forest import LEAF, Flags, Floats, Forest
from fl.shapley import shapley_matrix


class Column(NamedTuple):
    """A column by its owner (0 the bank, k the k-th passive party) and number."""

    owner: int
    number: int


class Step(NamedTuple):
    """A split on the way to a leaf: whose and which, whether the way leads left, and the share of rows that goes it."""

    column: Column
    split: int
    left: bool
    share: float


def contributions(
    forest: Forest, base: float, outcomes: Sequence[Flags], rows: int
) -> tuple[float, dict[Column, Floats]]:
    """The mean score of the training rows, and what each column adds to it for each row, (rows,).

    base and outcomes are those of `Forest.score`, whose result they add up to.
    """
    by_column: dict[Column, Floats] = {}
    for leaf, steps in _paths(forest):
        columns = list(dict.fromkeys(step.column for step in steps))
        shares, pattern = np.ones(len(columns)), np.zeros(rows, np.int64)
        for place, column in enumerate(columns):
            agrees = np.ones(rows, bool)
            for step in steps:
                if step.column == column:
                    shares[place] *= step.share
                    agrees &= outcomes[column.owner][step.split] == step.left
            pattern |= agrees.astype(np.int64) << place
        value = float(forest.values[leaf])
        base += value * float(shares.prod())
        for column, of_patterns in zip(columns, value * _leaf_values(tuple(shares.tolist())).T, strict=True):
            by_column.setdefault(column, np.zeros(rows))
            by_column[column] += of_patterns[pattern]
    return base, by_column


def _paths(forest: Forest) -> Iterator[tuple[int, list[Step]]]:
    """Every leaf with the splits on its path from the root."""
    waiting: list[tuple[int, list[Step]]] = [(int(root), []) for root in forest.roots]
    while waiting:
        node, steps = waiting.pop()
        if forest.owners[node] == LEAF:
            yield node, steps
            continue
        column = Column(int(forest.owners[node]), int(forest.columns[node]))
        for child, left in zip(forest.children[node], (True, False), strict=True):
            # In a forest of several banks a node may have rows of others only.
            share = float(forest.covers[child] / max(forest.covers[node], 1))
            waiting.append((int(child), [*steps, Step(column, int(forest.numbers[node]), left, share)]))


# The same at every request of a service, where it would take most of the time.
@lru_cache(maxsize=1 << 13)
def _leaf_values(shares: tuple[float, ...]) -> NDArray[np.float64]:
    """Shapley values (2^m, m) of a leaf of value 1 with m columns on its path, by which of them a row agrees with.

    In a coalition, a column counts as 1 or 0, as the row agrees or not; outside of it, as the share (m,) of rows that
    do.
    """
    values = np.ones((1, 1))
    for share in shares:
        values = np.kron(np.array([[share, 0.0], [share, 1.0]]), values)
    return np.asarray(values @ shapley_matrix(len(shares)), np.float64)
