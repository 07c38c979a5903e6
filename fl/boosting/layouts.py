"""Which rows an encryption lists, in which order, before it is known where they will go.

The bank sends the numbers for the next sums together with the splits that decide which rows are summed: that saves a
round trip per level. So it lists the rows of all nodes that are split, each with a side, and a party counts an entry
only if the split sent its row to that side:

- for the next level, a node's rows stand under the side of its lighter child; the other child is the difference. Where
  the bank splits, both ends know the rows of that child, and only they are listed;
- for the next tree, whose gradients depend on the last splits of this one, a row of a node that a passive party splits
  stands there twice, with the gradient that it will have on either side (setting `boosting.ahead`).

Both ends work a layout out for themselves from what they know of the tree.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Nodes = NDArray[np.int16]

RIGHT, LEFT, EITHER = 0, 1, 2
NOWHERE = -1
"""The node of a row that has reached a leaf, or takes no part."""


@dataclass(frozen=True)
class Layout:
    """Entries of an encryption, group by group.

    rows     int64 (e,): the row of each entry
    sides    int8 (e,): LEFT, RIGHT or EITHER
    offsets  int64 (groups + 1,)
    """

    rows: NDArray[np.int64]
    sides: NDArray[np.int8]
    offsets: NDArray[np.int64]

    def counted(self, left: Flags) -> Flags:
        """Which entries count, (e,) bool, where left (n,) says to which side each row went."""
        return np.asarray((self.sides == EITHER) | (self.sides == left[self.rows]), bool)

    def only(self, entries: Flags) -> "Layout":
        """Some of the entries, in the same groups."""
        offsets = np.append(0, np.cumsum(entries))[self.offsets]
        return Layout(self.rows[entries], self.sides[entries], offsets)

    def groups(self) -> NDArray[np.int64]:
        """The group of each entry, (e,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def level_layout(
    nodes: Nodes, split: Flags, decided: Flags, lighter_left: Flags, left: Flags, sample: Flags
) -> Layout:
    """For the lighter children of the nodes that are split: one group per such node, its sampled rows in order.

    nodes (n,) is the node of each row; split, decided (by the bank, so that `left` (n,) is known to all) and
    lighter_left (k,) speak of the nodes.
    """
    rows = np.flatnonzero(sample & (nodes != NOWHERE))
    rows = rows[split[nodes[rows]]]
    settled = decided[nodes[rows]]
    listed = ~settled | (left[rows] == lighter_left[nodes[rows]])
    order = np.flatnonzero(listed)[np.argsort(nodes[rows[listed]], kind="stable")]
    rows, settled = rows[order], settled[order]
    sizes = np.bincount(nodes[rows], minlength=len(split))[split]
    sides = np.where(settled, EITHER, np.where(lighter_left[nodes[rows]], LEFT, RIGHT))
    return Layout(rows, sides.astype(np.int8), np.append(0, np.cumsum(sizes)))


def tree_layout(nodes: Nodes, undecided: Flags, sample: Flags) -> Layout:
    """For the root of the next tree: one group of all sampled rows, those of undecided nodes (k,) for either side."""
    rows = np.flatnonzero(sample)
    waits = (nodes[rows] != NOWHERE) & np.append(undecided, False)[nodes[rows]]
    sides = np.append(np.where(waits, LEFT, EITHER), np.full(waits.sum(), RIGHT))
    rows = np.append(rows, rows[waits])
    return Layout(rows, sides.astype(np.int8), np.array([0, len(rows)]))


def children(nodes: Nodes, split: Flags, left: Flags) -> Nodes:
    """The node of each row one level down: those split have the children 2r and 2r + 1, r counting splits."""
    first = np.where(split, 2 * (np.cumsum(split) - 1), NOWHERE)
    there = np.append(first, NOWHERE)[nodes]
    return np.where(there == NOWHERE, NOWHERE, there + ~left).astype(np.int16)
