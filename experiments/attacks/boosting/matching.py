"""Bins that follow with certainty: sums of few rows in a node, matched with the rows' own numbers.

A sum stands for all bins that are merged in it. Without a gradient and a hessian they are empty. A sum of one or two
rows is matched with all rows of the node that may be in one of its bins, and all pairs of them (a subset sum): rows
that are in no match are in none of its bins, and a single match says which rows are. A row that is sure to be in some
of a sum's bins leaves it, and what is left is matched again.
"""

import numpy as np
from numpy.typing import NDArray

from experiments.attacks.boosting.opened import Flags, Measured

ROUNDS = 4

_KEY = 1 << 32
"""Makes one whole number of a gradient and a hessian."""
_HESSIAN = _KEY - 1


def match(measured: list[Measured], column: int, allowed: Flags) -> Flags:
    """Bins (r, bins) in which rows can still be, of those that were `allowed`, after matching a column's sums."""
    allowed = allowed.copy()
    for _ in range(ROUNDS):
        before = allowed.sum()
        for level in measured:
            for group in np.flatnonzero(level.telling[:, column]):
                _match_group(level, int(group), column, allowed)
        if allowed.sum() == before:
            break
    return allowed


def named(allowed: Flags) -> NDArray[np.int64]:
    """The only bin in which a row can be, (r,); −1 where there are several."""
    return np.where(allowed.sum(axis=1) == 1, allowed.argmax(axis=1), -1)


def _match_group(level: Measured, group: int, column: int, allowed: Flags) -> None:
    rows = np.flatnonzero((level.groups == group) & level.weights.any(axis=1))
    sums = _keys(level.sums[group, column, : allowed.shape[1]])
    # Nothing is there of a column that the tree did not use; and rows without a hessian could hide in any bin.
    if not sums.any() or not level.weights[rows, 1].all():
        return
    keys, homes = _keys(level.weights[rows]), level.homes[group, column, : allowed.shape[1]]
    for home in _telling(keys, sums, homes, allowed[rows]):
        bins, may = homes == home, allowed[rows]
        here, elsewhere = may[:, bins].any(axis=1), may[:, ~bins].any(axis=1)
        places = np.flatnonzero(here & elsewhere)
        inside, outside = _explain(keys[places], sums[home] - keys[here & ~elsewhere].sum())
        allowed[np.ix_(rows[places[outside]], bins)] = False
        allowed[np.ix_(rows[places[inside]], ~bins)] = False


def _telling(
    keys: NDArray[np.int64], sums: NDArray[np.int64], homes: NDArray[np.int64], may: Flags
) -> NDArray[np.int64]:
    """The homes at which `_explain` could find something: sure rows leave nothing, all that is there, or little.

    keys (r,) and bins (r, bins) of the rows, sums (bins,) and homes (bins,).
    """
    standing = np.unique(homes)
    here = np.stack([may[:, homes == home].any(axis=1) for home in standing], axis=1)
    sure = here.sum(axis=1) == 1
    rest = sums[standing] - keys[sure] @ here[sure]
    there = keys[~sure] @ here[~sure]
    few = rest & _HESSIAN < 3 * (keys & _HESSIAN).max(initial=0)
    return standing[here[~sure].any(axis=0) & ((rest == there) | few)]


def _explain(keys: NDArray[np.int64], rest: int) -> tuple[Flags, Flags]:
    """Which of the candidates with these keys are surely among those that sum to the rest, and which surely not."""
    none = np.zeros(len(keys), bool)
    if rest == 0:
        return none, ~none
    if rest == keys.sum():
        return ~none, none
    weights = np.sort(keys & _HESSIAN)[:3]
    ordered, alone = np.sort(keys), keys == rest
    others = _count(ordered, rest - keys) - (2 * keys == rest)
    inside = (others > 0) | alone
    may_be_three = len(weights) == 3 and weights.sum() <= rest & _HESSIAN
    if may_be_three or not inside.any():
        return none, none
    return inside & (alone.sum() + others.sum() // 2 == 1), ~inside


def _count(ordered: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.searchsorted(ordered, wanted, "right") - np.searchsorted(ordered, wanted, "left")


def _keys(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Gradient and hessian (…, 2) as one number that adds up as they do; the hessian, below 2^32, is its low half."""
    return numbers[..., 0] * _KEY + numbers[..., 1]
