"""Bins that follow with certainty: sums of few rows in a node, matched with the rows' own numbers.

A bin without a gradient and a hessian is empty. One of one or two rows is matched with all rows of the node that may
be in it, and all pairs of them (a subset sum): rows that are in no match are not in the bin, and a single match names
its rows. A row that is named leaves the sums of every node, and what is left is matched again.
"""

import numpy as np
from numpy.typing import NDArray

from experiments.attacks.boosting.opened import Flags, Measured

ROUNDS = 4

_KEY = 1 << 32
"""Makes one whole number of a gradient and a hessian."""


def match(measured: list[Measured], column: int, allowed: Flags) -> Flags:
    """Bins (r, bins) in which rows can still be, of those that were `allowed`, after matching a column's sums."""
    allowed = allowed.copy()
    for _ in range(ROUNDS):
        before = allowed.sum()
        for tree in measured:
            for group in range(len(tree.sums)):
                _match_group(tree, group, column, allowed)
        if allowed.sum() == before:
            break
    return allowed


def named(allowed: Flags) -> NDArray[np.int64]:
    """The only bin in which a row can be, (r,); −1 where there are several."""
    return np.where(allowed.sum(axis=1) == 1, allowed.argmax(axis=1), -1)


def _match_group(tree: Measured, group: int, column: int, allowed: Flags) -> None:
    rows = np.flatnonzero((tree.groups == group) & tree.weights.any(axis=1))
    sums = _keys(tree.sums[group, column, : allowed.shape[1]])
    # Nothing is there of a column that the tree did not use; and rows without a hessian could hide in any bin.
    if not sums.any() or not tree.weights[rows, 1].all():
        return
    keys, may = _keys(tree.weights[rows]), allowed[rows]
    certain = may.sum(axis=1) == 1
    for bin_ in np.flatnonzero((may & ~certain[:, None]).any(axis=0)):
        rest = sums[bin_] - keys[certain & may[:, bin_]].sum()
        places = np.flatnonzero(may[:, bin_] & ~certain)
        inside, outside = _explain(keys[places], rest)
        allowed[rows[places[outside]], bin_] = False
        allowed[rows[places[inside]]] = np.arange(allowed.shape[1]) == bin_


def _explain(keys: NDArray[np.int64], rest: int) -> tuple[Flags, Flags]:
    """Which of the candidates with these keys are surely among those that sum to the rest, and which surely not."""
    none = np.zeros(len(keys), bool)
    if rest == 0:
        return none, ~none
    if rest == keys.sum():
        return ~none, none
    weights = np.sort(keys & (_KEY - 1))[:3]
    if len(weights) == 3 and weights.sum() <= rest & (_KEY - 1):
        return none, none  # three rows may be in it, or more
    ordered = np.sort(keys)
    others = _count(ordered, rest - keys) - (2 * keys == rest)
    alone = keys == rest
    inside = (others > 0) | alone
    if not inside.any():
        return none, none
    single = alone.sum() + others.sum() // 2 == 1
    return inside & single, ~inside


def _count(ordered: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.searchsorted(ordered, wanted, "right") - np.searchsorted(ordered, wanted, "left")


def _keys(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Gradient and hessian (…, 2) as one number that adds up as they do; the hessian, below 2^32, is its low half."""
    return numbers[..., 0] * _KEY + numbers[..., 1]
