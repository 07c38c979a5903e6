"""Which rows are in which node of every tree, as a receiver of the messages can tell.

A passive party is told where the bank's splits and those of other parties send the rows of a node, and makes its own.
The letters that the coordinator carries say all of that, and the bank has it as well. Nobody but the bank sees where
the bank's own splits at the last level of a tree send rows.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from experiments.attacks.boosting.recording import Demand, Recording
from fl import boosting
from fl.boosting import (
    ANOTHER,
    NOBODY,
    THE_BANK,
    YOU,
    Grown,
    GrowRequest,
    Members,
    SumRequest,
    Task,
    unpacked,
)
from fl.boosting.layouts import NOWHERE, Nodes, children, roots
from fl.boosting.padding import within
from fl.config.boosting import BoostingConfig

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Level:
    """The k nodes of one level of a tree, and the n rows that train or validate, to the eyes of a receiver.

    number        of the demand that splits them, among all of the bank's
    tree          the number of the tree in its round
    places        int64 (k,): these nodes among those of all trees of the round
    nodes         int16 (n,): the node of each row, NOWHERE for one that has reached a leaf before
    seen          bool (k,): nodes that are split, and whose rows it sees go left or right
    left          bool (n,): to which side, where seen
    lighter_left  bool (k,): the left child has the smaller sum of hessians
    last          the next level is another tree's root
    """

    number: int
    tree: int
    places: NDArray[np.int64]
    nodes: Nodes
    seen: Flags
    left: Flags
    lighter_left: Flags
    last: bool


def levels_of_party(recording: Recording, party: str) -> Iterator[Level]:
    """What a passive party sees."""
    messages = [*recording.messages[party], None]
    places = [place for place, message in enumerate(messages) if isinstance(message, GrowRequest)]
    return _levels(recording, [partial(_seen, *messages[place : place + 3]) for place in places])


def levels_in_letters(recording: Recording) -> Iterator[Level]:
    """What the letters say that the coordinator carries, all together; the bank sees as much."""
    return _levels(recording, [partial(_seen_in_letters, demand) for demand in recording.demands])


def _levels(
    recording: Recording, demands: Iterable[Callable[[Nodes], tuple[Task, Flags, Flags]]]
) -> Iterator[Level]:
    """From what a receiver sees of each demand when it knows the nodes (p, n) of its rows; tree after tree."""
    config, of_round = recording.config.section(BoostingConfig), list[list[Level]]()
    nodes, trees = _at_roots(recording, config.trees_of(0))
    for number, see in enumerate(demands):
        task, seen, left = see(nodes)
        # A demand that wants no sums yet comes a second time, and then counts.
        counts, lighter_left = len(seen) > 0 and (task.wanted or task.ahead), task.lighter_left
        if len(seen) != len(trees):  # the last nodes of a round that the bank has grown alone
            seen = lighter_left = np.zeros(len(trees), bool)
        if counts:
            of_round.append([])
            for tree, (of_tree, left_in_tree) in enumerate(zip(nodes, left, strict=True)):
                places = np.flatnonzero(trees == tree)
                in_tree = np.append(np.where(trees == tree, np.cumsum(trees == tree) - 1, NOWHERE), NOWHERE)
                level = Level(
                    number,
                    tree,
                    places,
                    in_tree[of_tree].astype(np.int16),
                    seen[places],
                    left_in_tree,
                    lighter_left[places],
                    last=task.ahead,
                )
                of_round[-1].append(level)
        if task.ahead:
            yield from (level for of_tree in zip(*of_round, strict=True) for level in of_tree)
            nodes, trees = _at_roots(recording, config.trees_of(task.round))
            of_round = []
        elif counts:
            nodes, trees = children(nodes, seen, left), np.repeat(trees[seen], 2)


def _at_roots(recording: Recording, trees: range) -> tuple[Nodes, NDArray[np.int64]]:
    """The node of each row where a round begins, (p, n), and the tree of each node, (p,)."""
    return roots(len(trees), len(recording.positions)), np.arange(len(trees))


def leaves(levels: Iterable[Level], training: Flags) -> NDArray[np.float32]:
    """Which rows a receiver sees together: 1 where a training row is in a leaf, float32 (rows, leaves of all trees).

    A tree's leaves are the nodes in which the receiver loses sight of a row.
    """
    path = np.ones(len(training), np.int64)
    of_trees = []
    for level in levels:
        moved = (level.nodes != NOWHERE) & np.append(level.seen, False)[level.nodes]
        path[moved] = 2 * path[moved] + ~level.left[moved]
        if level.last:
            of_trees.append(path[training, None] == np.unique(path[training]))
            path[:] = 1
    return np.concatenate(of_trees, axis=1).astype(np.float32)


def lightness(levels: Iterable[Level], training: Flags) -> NDArray[np.float64]:
    """How much each training row's nodes weigh less than their size says, (rows,): a light row is a sure one.

    Of two children the one with more rows and the smaller sum of hessians has the lower risk by at least the ratio of
    their sizes, while defaults are rarer than one in two.
    """
    score = np.zeros(len(training))
    for level in levels:
        for node in np.flatnonzero(level.seen):
            rows = np.flatnonzero(training & (level.nodes == node))
            lighter = level.left[rows] == level.lighter_left[node]
            light, heavy = lighter.sum(), (~lighter).sum()
            if light > heavy > 0:
                score[rows] += np.where(lighter, 1, -1) * np.log(light / heavy)
    return score[training]


def _seen(request: GrowRequest, grown: Grown, sums: object, nodes: Nodes) -> tuple[Task, Flags, Flags]:
    """The nodes (k,) of a demand whose rows the party sees go left or right, and who goes left (p, n)."""
    task, level = request.task.read(Task), request.level.read(boosting.Level)
    seen, others = level.owners != NOBODY, level.owners == ANOTHER
    left = task.bank_left | grown.members.read(Members).left
    if level.pad is not None and request.sides is not None:
        left |= within(request.sides, nodes, np.flatnonzero(others)) ^ level.pad
    elif isinstance(sums, SumRequest):
        for letter in sums.members:
            left |= letter.read(Members).left
    else:
        seen &= ~others
    if task.ahead:
        seen &= level.owners != THE_BANK
    return task, seen, unpacked(left, nodes.shape[1])


def _seen_in_letters(demand: Demand, nodes: Nodes) -> tuple[Task, Flags, Flags]:
    """The same in all letters of a demand."""
    # Each party is told alike which nodes are split, and which of them by the bank.
    owners = next(iter(demand.levels.values())).owners
    left = np.logical_or.reduce([unpacked(demand.task.bank_left, nodes.shape[1]), *demand.members.values()])
    return demand.task, owners >= (YOU if demand.task.ahead else THE_BANK), left
