"""What a bank reads in the trees that the banks grow together: the histograms of all others' rows in every node.

A total less the bank's own addend is the others' sum. Sums are of left children; the right one's is what its parent has
left, here as for all banks' rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.attacks.banks.recording import Heard
from fl.banks.boosting import TREES, BoostingProgram, BoostingState
from fl.banks.program import Rows

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node of a tree as a bank sees it, and who of some rows (n,) would be in it.

    round, tree  of the node; trees are numbered within their round
    level        0 at the root
    used         bool (c,): the columns that the tree may use
    sums         int64 (c, width, 3): gradient, hessian and number of the others' rows in each bin
    inside       bool (n,): which of the rows go to it; their bins are codes, uint8 (n, c)
    """

    round: int
    tree: int
    level: int
    used: Flags
    sums: Integers
    inside: Flags
    codes: NDArray[np.uint8]

    @property
    def count(self) -> int:
        """How many of the others' rows are in the node."""
        return int(self.sums[np.argmax(self.used), :, 2].sum())


def nodes_of(program: BoostingProgram, heard: Sequence[Heard], rows: Rows) -> Iterator[Node]:
    """Every node that a training has looked at, with the ways of some rows (n,) that need not have been in it."""
    # As if there were a bank with these rows, which hears all totals.
    state, of_others = program.begin(rows), dict[int, Integers]()
    for one in heard:
        if state.stage == TREES and state.round < program.config.rounds:
            yield from _nodes(program, state, one.others, of_others)
        state = program.advance(rows, state, one.total)


def _nodes(
    program: BoostingProgram, state: BoostingState, others: Integers, of_others: dict[int, Integers]
) -> Iterator[Node]:
    """The nodes whose sums have just been heard; of_others has those of their parents, by place, and gets these."""
    used, level = program.used(state), state.level
    if level is None:
        sums = program.by_bin(state, np.arange(len(used)), others[2:])
        trees, number = np.arange(len(used)), 0
        # The roots get their places when the total is known: one after the other.
        places = (0 if state.model is None else len(state.model.forest.owners)) + trees
        inside = np.ones((len(trees), len(state.codes)), bool)
    else:
        assert state.model is not None
        children = state.model.forest.children
        lefts = program.by_bin(state, level.trees[::2], others)
        parents = [int(np.flatnonzero(children[:, 0] == left)[0]) for left in level.nodes[::2]]
        rights = np.stack([of_others[parent] for parent in parents]) - lefts
        sums = np.stack([lefts, rights], axis=1).reshape(-1, *lefts.shape[1:])
        trees, number, places = level.trees, level.number, level.nodes
        inside = np.stack([level.places[tree] == place for tree, place in zip(trees, places, strict=True)])
    for tree, place, of_node, rows_inside in zip(trees, places, sums, inside, strict=True):
        of_others[int(place)] = of_node
        yield Node(
            round=state.round,
            tree=int(tree),
            level=number,
            used=used[tree],
            sums=of_node,
            inside=rows_inside,
            codes=state.codes,
        )
