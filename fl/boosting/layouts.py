"""Which rows an encryption lists, in which order, before it is known where they will go.

The bank sends the numbers for the next sums together with the splits that decide which rows are summed: that saves a
round trip per level. So it lists the rows of all nodes that are split, each with a side, and a party counts an entry
only if the split sent its row to that side:

- for the next level, a node's rows stand under the side of its lighter child; the other child is the difference. Where
  the bank splits, both ends know the rows of that child, and only they are listed;
- for the roots of the next round, whose gradients depend on the last splits of this one, a row of a node that a passive
  party splits stands there twice, with the gradient that it will have on either side (setting `boosting.ahead`).

All trees of a round are in one layout: a level has groups of each tree, and the roots share one group, whose sums are
made for each tree by columns of its own (`Layout.samples`). Both ends work a layout out for themselves from what they
know of the trees; n rows, p trees, k nodes of all trees together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fl.binning import Shape

Flags = NDArray[np.bool_]
Nodes = NDArray[np.int16]

RIGHT, LEFT, EITHER = 0, 1, 2
NOWHERE = -1
"""The node of a row that has reached a leaf, or takes no part."""


@dataclass(frozen=True)
class Layout:
    """Entries of an encryption, group by group, and the sums that are wanted of them: s for each group.

    rows     int64 (e,): the row of each entry
    sides    int8 (e,): LEFT, RIGHT or EITHER
    offsets  int64 (groups + 1,)
    samples  bool (s, e): the entries that each of the sums is over
    trees    int64 (s · groups,): the tree of each sum in its round, all groups of the first of `samples` before others
    """

    rows: NDArray[np.int64]
    sides: NDArray[np.int8]
    offsets: NDArray[np.int64]
    samples: Flags
    trees: NDArray[np.int64]

    def counted(self, left: Flags) -> Flags:
        """Which entries count, (e,) bool, where left (p, n) says to which side each row of each tree went."""
        went = left[self.trees[self.groups()], self.rows]
        return np.asarray((self.sides == EITHER) | (self.sides == went), bool)

    def only(self, entries: Flags) -> "Layout":
        """Some of the entries, in the same groups."""
        offsets = np.append(0, np.cumsum(entries))[self.offsets]
        return Layout(self.rows[entries], self.sides[entries], offsets, self.samples[:, entries], self.trees)

    def groups(self) -> NDArray[np.int64]:
        """The group of each entry, (e,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def by_group(self, of_sums: Flags) -> Flags:
        """Flags (s · groups, m) of m bins of each sum in the form of `encrypted_sums`: (groups, s · m)."""
        s, groups = len(self.samples), len(self.offsets) - 1
        return of_sums.reshape(s, groups, -1).swapaxes(0, 1).reshape(groups, s * of_sums.shape[1])

    def sums(self) -> NDArray[np.int64]:
        """By sample the sum in which each entry is, (s, e), or NOWHERE."""
        first = np.arange(len(self.samples))[:, None] * (len(self.offsets) - 1)
        return np.where(self.samples, first + self.groups(), NOWHERE)


def level_layout(
    nodes: Nodes,
    split: Flags,
    decided: Flags,
    lighter_left: Flags,
    left: Flags,
    sample: Flags,
    trees: NDArray[np.int64],
) -> Layout:
    """For the lighter children of the nodes that are split: one group per such node, its sampled rows in order.

    nodes, left and sample (p, n) are the node of each row in each tree, where its split sends it, and whether the tree
    learns from it; split, decided (by the bank, so that `left` is known to all), lighter_left and trees (k,) speak of
    the nodes.
    """
    listed = sample & (nodes != NOWHERE) & np.append(split, False)[nodes]
    lighter = left == np.append(lighter_left, False)[nodes]
    listed &= lighter | ~np.append(decided, False)[nodes]
    rows, of_rows = np.nonzero(listed)[1], nodes[listed]
    order = np.argsort(of_rows, kind="stable")
    rows, of_rows = rows[order], of_rows[order]
    sizes = np.bincount(of_rows, minlength=len(split))[split]
    sides = np.where(decided[of_rows], EITHER, np.where(lighter_left[of_rows], LEFT, RIGHT))
    everyone = np.ones((1, len(rows)), bool)
    return Layout(rows, sides.astype(np.int8), np.append(0, np.cumsum(sizes)), everyone, trees[split])


def root_layout(nodes: Nodes, undecided: Flags, samples: Flags) -> Layout:
    """For the roots of the next round: one group of all rows of its samples (p, n), and a sum for each of them.

    Rows of undecided nodes (k,) are there for either side; nodes are those of the round before.
    """
    rows = np.flatnonzero(samples.any(axis=0))
    waits = np.isin(nodes[:, rows], np.flatnonzero(undecided)).any(axis=0)
    sides = np.append(np.where(waits, LEFT, EITHER), np.full(waits.sum(), RIGHT))
    rows = np.append(rows, rows[waits])
    offsets, trees = np.array([0, len(rows)]), np.arange(len(samples))
    return Layout(rows, sides.astype(np.int8), offsets, samples[:, rows], trees)


def children(nodes: Nodes, split: Flags, left: Flags) -> Nodes:
    """The node of each row one level down: those split have the children 2r and 2r + 1, r counting splits."""
    first = np.where(split, 2 * (np.cumsum(split) - 1), NOWHERE)
    there = np.append(first, NOWHERE)[nodes]
    return np.where(there == NOWHERE, NOWHERE, there + ~left).astype(np.int16)


def roots(trees: int, rows: int) -> Nodes:
    """The node of each row where a round begins, (p, n)."""
    return np.repeat(np.arange(trees, dtype=np.int16)[:, None], rows, axis=1)


def wanted_sums(
    homes: NDArray[np.int64], columns: NDArray[np.int64], told: NDArray[np.int64], shape: Shape
) -> Flags:
    """Which bins of a party have a sum: those that stand for themselves and are not their column's last.

    homes (s, c, width) are the merged bins where each of s sums is made, columns (s, m) the columns at its places, told
    (m,) how many bins there are at each. Result: (s, all told), places side by side.
    """
    everyone, places = np.arange(len(columns)), []
    for column, count in zip(columns.T, told, strict=True):
        bins = np.arange(count)
        places.append((homes[everyone, column, :count] == bins) & (bins < shape.bins[column, None] - 1))
    return np.concatenate([np.zeros((len(columns), 0), bool), *places], axis=1)


def summed_columns(used: Flags, bins: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which column of a party a round adds up for each tree at each of m places, (p, m), and how many bins it tells.

    used (p, c) are the columns that each tree may use, bins (c,) those of each column; the last one is not told, since
    it is the rest. Columns of many bins come first, so that trees have columns of like size at a place.
    """
    order = np.argsort(-bins, kind="stable")
    places = order[np.nonzero(used[:, order])[1]].reshape(len(used), -1)
    return places, (bins[places] - 1).max(axis=0)
