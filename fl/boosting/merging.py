"""Bins that hold few rows of a node are merged before anything is told of them.

A sum over few rows tells the bank, which knows every row's gradient, in which bin those rows are. So in each node a
party merges neighbouring bins of a column until each holds `minimum` rows or none. The bank has the sums of one child
and gets those of the other as the difference to their parent, hence both children share one merging, which is a
coarsening of their parent's. Nothing is lost that the rows themselves would not have lost: the pooled twin merges too.

A merging is int64 `homes` (k, columns, width), by node, column and bin: the bin that stands for the group of bins it
is in, that is the group's last one, save that a bin of missing values, the last of its column, never stands for ordered
ones. Counts and sums of a group stand at its home; those of other bins are zero.
"""

import numpy as np
from numpy.typing import NDArray

from fl.binning import Shape

Integers = NDArray[np.int64]


def unmerged(nodes: int, shape: Shape) -> Integers:
    """The merging in which every bin stands for itself."""
    return np.broadcast_to(np.arange(shape.width), (nodes, len(shape), shape.width)).copy()


def merged(sums: Integers, homes: Integers) -> Integers:
    """Sums or counts (k, columns, width, …) moved to the homes of their bins."""
    at_home = np.zeros_like(sums)
    nodes, columns = np.indices(homes.shape[:2])
    for bin_ in range(homes.shape[2]):
        at_home[nodes, columns, homes[:, :, bin_]] += sums[:, :, bin_]
    return at_home


def merge(parts: Integers, homes: Integers, shape: Shape, minimum: int) -> Integers:
    """Coarser homes (k, columns, width), such that each home has `minimum` rows or none in every part of a node.

    parts (k, parts, columns, width) are the rows per bin of the children of each node, or of a root itself; homes the
    merging in force in these nodes. Where a whole column has too few rows, one group is left of it.

    >>> age = Shape(np.array([4]), np.array([0]), np.array([True]), np.array([0], np.int8))
    >>> merge(np.array([[[[3, 9, 12, 20]]]]), unmerged(1, age), age, minimum=10).tolist()  # 3 rows join the 9
    [[[1, 1, 2, 3]]]
    """
    counts = np.stack([merged(part, homes) for part in parts.swapaxes(0, 1)])
    ends = np.zeros(homes.shape, bool)
    missing = np.zeros(homes.shape, bool)
    missing[:, np.flatnonzero(shape.missing), shape.bins[shape.missing] - 1] = True
    # Missing values are a group of their own if they and the rest have enough; else they are the column's last bin.
    rest = np.where(missing, 0, counts).sum(axis=-1, keepdims=True)
    missing &= _enough(counts, minimum) & _enough(rest, minimum)
    others = np.where(missing, 0, counts)
    sums = np.zeros(counts.shape[:-1], np.int64)
    for bin_ in range(shape.width):
        sums += others[..., bin_]
        ends[..., bin_] = _enough(sums, minimum)
        sums[:, ends[..., bin_]] = 0
    # What is left over beyond the last group joins it, and the groups before it as long as it takes.
    sums[:] = 0
    for bin_ in reversed(range(shape.width)):
        ends[..., bin_] &= _enough(sums, minimum)
        sums[:, ends[..., bin_]] = 0
        sums += others[..., bin_]
    coarser = _homes(ends, shape, alone=np.asarray(missing.any(axis=2)))
    coarser[missing] = np.broadcast_to(np.arange(shape.width), homes.shape)[missing]
    return np.take_along_axis(coarser, homes, axis=2)


def siblings(parents: Integers, lighter: Integers, lighter_left: NDArray[np.bool_]) -> Integers:
    """Sums of the children (2s, …), left and right in turn, from those of parents and lighter children (s, …)."""
    side = lighter_left.reshape(-1, *[1] * (parents.ndim - 1))
    heavier = parents - lighter
    pairs = np.stack([np.where(side, lighter, heavier), np.where(side, heavier, lighter)], 1)
    return pairs.reshape(-1, *parents.shape[1:])


def _enough(counts: Integers, minimum: int) -> NDArray[np.bool_]:
    """Whether in every part, the first axis, there are `minimum` rows or none."""
    return np.asarray(((counts == 0) | (counts >= minimum)).all(axis=0), bool)


def _homes(ends: NDArray[np.bool_], shape: Shape, alone: NDArray[np.bool_]) -> Integers:
    """By bin the next end of a group; alone (k, columns): missing values are a group of their own."""
    homes = np.empty(ends.shape, np.int64)
    # The last group ends in any case: before the missing values, or among them where levels are merged with them.
    home = np.where(alone | (shape.missing & shape.ordered), shape.bins - 2, shape.bins - 1)
    last = home = np.maximum(home, 0)
    for bin_ in reversed(range(shape.width)):
        home = np.where(ends[..., bin_] & (bin_ <= last), bin_, home)
        homes[..., bin_] = home
    return homes
