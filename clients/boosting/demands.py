"""How far a passive party is in growing, and whether a demand of the bank fits that."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clients.binned import Setup
from fl.arrays import check_bytes, check_integers
from fl.binning import Shape
from fl.boosting import (
    ANOTHER,
    NOBODY,
    YOU,
    Level,
    Task,
    unpacked,
)
from fl.boosting.forest import Splits
from fl.boosting.layouts import (
    NOWHERE,
    roots,
)
from fl.boosting.merging import unmerged
from fl.boosting.search import is_candidate, keeps_groups
from fl.config.boosting import BoostingConfig
from fl.errors import ProtocolError
from fl.records import Array


@dataclass(frozen=True, kw_only=True)
class Sent:
    """Numbers that the bank has encrypted row by row for a round: which is each row's, int64 (n,), in groups."""

    encrypted: Mapping[str, Array]
    entries: NDArray[np.int64]
    offsets: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Growing:
    """What a passive party keeps between demands: its splits so far, and the k nodes that the next one may split.

    nodes       int16 (p, n): the node of each row in each tree of the round
    trees       int64 (k,): the tree of each node
    homes       uint8 (k, c, width): the merged bins in each (`merging`)
    candidates  uint8 (k, ⌈c · width · 4 / 8⌉): packed bits of the splits that it has offered in each, as in `Sums`;
                none once the nodes have been split, or before it has added up
    round       the round of these nodes, level: theirs in it, 0 of the roots
    """

    splits: Splits
    nodes: NDArray[np.int16]
    trees: NDArray[np.int64]
    homes: NDArray[np.uint8]
    candidates: NDArray[np.uint8]
    round: int
    level: int
    sent: Sent | None

    @classmethod
    def at_roots(
        cls, setup: Setup, splits: Splits, number: int, config: BoostingConfig, sent: Sent | None = None
    ) -> Self:
        """Where a round begins: one node of each tree for all rows, and no bin merged. After the last round no tree
        is left, and no row either: a record of rows without columns is not read again.
        """
        shape, trees = setup.binning.shape, len(config.trees_of(number))
        homes = unmerged(trees, shape).astype(np.uint8)
        return cls(
            splits=splits,
            nodes=roots(trees, len(setup.positions) if trees else 0),
            trees=np.arange(trees),
            homes=homes,
            candidates=np.empty((0, -(-len(shape) * shape.width * 4 // 8)), np.uint8),
            round=number,
            level=0,
            sent=sent,
        )

    def with_splits(self, splits: Splits) -> Self:
        """After these splits of its nodes: no node is split twice."""
        return replace(self, splits=self.splits.plus(splits), candidates=self.candidates[:0])


def check_task(task: Task, growing: Growing, config: BoostingConfig) -> None:
    """Raises ProtocolError unless the task fits this party's rows and nodes, and goes on where they are."""
    if task.lighter_left.dtype != bool or task.lighter_left.ndim != 1:
        raise ProtocolError("lighter_left must be bool, one for each node")
    nodes, last = len(task.lighter_left), config.rounds - task.wanted
    following = growing.round + (task.ahead and nodes > 0)
    if task.round != following or following > last:
        raise ProtocolError(
            f"round {task.round} does not follow round {growing.round}, of {config.rounds} at most"
        )
    check_bytes("bank_left", task.bank_left, _bits(growing))
    if not task.ahead and growing.level + 1 >= config.depth:
        raise ProtocolError(f"a tree has {config.depth} levels of splits at most")
    if not task.ahead and nodes != len(growing.homes):
        raise ProtocolError(f"there are {len(growing.homes)} nodes to split, not {nodes}")
    if task.wanted and nodes and growing.nodes.max(initial=NOWHERE) >= nodes:
        raise ProtocolError("lighter_left must be there for each node")


def check_splits(level: Level, growing: Growing, shape: Shape) -> None:
    """Raises ProtocolError unless this party's splits are among those that it has offered in their nodes."""
    size = len(shape) * shape.width * 4
    for node, column, left in zip(
        np.flatnonzero(level.owners == YOU),
        level.splits.columns,
        unpacked(level.splits.left, 256),
        strict=True,
    ):
        if node >= len(growing.candidates):
            raise ProtocolError(f"no split of node {node} has been offered")
        candidates = unpacked(growing.candidates[node], size).reshape(len(shape), shape.width, 2, 2)
        if not is_candidate(int(column), left, candidates, growing.homes[node].astype(np.int64), shape):
            raise ProtocolError(f"the split of node {node} is none of those that were offered")


def check_common_splits(level: Level, growing: Growing, shape: Shape) -> None:
    """Raises ProtocolError unless this party's splits of their nodes send merged bins the same way (`fl/hybrid`).

    All banks choose them, so the rows of this one need not suffice for the split; a side has as many as a merged bin,
    or none.
    """
    owned = np.flatnonzero(level.owners == YOU)
    flags = unpacked(level.splits.left, 256)
    for node, column, left in zip(owned, level.splits.columns, flags, strict=True):
        if node >= len(growing.candidates):
            raise ProtocolError(f"no split of node {node} has been offered")
        if not keeps_groups(left, growing.homes[node, column].astype(np.int64), int(column), shape):
            raise ProtocolError(f"the split of node {node} parts bins that have been merged")


def check_level(level: Level, task: Task, padded: Array | None, growing: Growing, setup: Setup) -> None:
    """Raises ProtocolError unless the level fits the task, this party's columns, and the sides that came with it."""
    check_integers("owners", level.owners, len(task.lighter_left), NOBODY, ANOTHER + 1)
    splits, others = ((level.owners == owner).sum() for owner in (YOU, ANOTHER))
    check_integers("columns", level.splits.columns, int(splits), 0, len(setup.binning.shape))
    check_bytes("left", level.splits.left, (int(splits), 32))
    if (level.pad is None) != (padded is None) or (level.pad is not None and not others):
        raise ProtocolError("sides of other parties come with their pad, where others split")
    if level.pad is not None and padded is not None:
        check_bytes("pad", level.pad, _bits(growing))
        check_bytes("sides", padded, (int(others), _bits(growing)[1]))


def _bits(growing: Growing) -> tuple[int, int]:
    """The shape of packed bits of the rows of each tree."""
    trees, rows = growing.nodes.shape
    return trees, -(-rows // 8)
