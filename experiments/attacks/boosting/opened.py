"""What the bank knows about a passive party's bins: the sums that it opened, and where the party's splits send rows.

The bank knows every row's gradient and which node it is in, so the sums of a node by bin are linear measurements of
which bin its rows are in. And it has itself said which bins of an anonymous column go left at a split, so that each
outcome halves the bins that a row may be in.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.attacks.boosting.nodes import levels_of_coordinator
from experiments.attacks.boosting.recording import Recording
from fl.binning import Binning, Codes, Shape
from fl.boosting import Demanded, SplitRequest, unpacked
from fl.boosting.gradients import sampled_rows
from fl.boosting.layouts import NOWHERE
from fl.nesting import of_party

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Measured:
    """Sums over groups of r rows, all of one tree.

    groups   int64 (r,): the group of each row, its deepest node with sums
    weights  int64 (r, 2): gradient and hessian, zero where the tree did not learn from the row
    sums     int64 (k, c, width, 2): of each group by column and bin
    """

    groups: NDArray[np.int64]
    weights: NDArray[np.int64]
    sums: NDArray[np.int64]


@dataclass(frozen=True)
class Knowledge:
    """What the bank knows about the bins of r training rows in a passive party's c columns.

    rows      int (r,): their positions
    measured  by tree
    allowed   by column, bool (r, bins): bins in which the outcomes of splits let a row be
    """

    rows: NDArray[np.int_]
    measured: list[Measured]
    allowed: list[Flags]

    def sizes(self, column: int) -> NDArray[np.float64]:
        """The share of the rows in each bin of a column: hessians are equal in the first tree that has sums."""
        sums = self.measured[0].sums[:, column, : self.allowed[column].shape[1], 1].sum(axis=0)
        return np.maximum(sums, 0) / max(1, sums.sum())


def knowledge(recording: Recording, party: str) -> Knowledge:
    """What the bank knows about the training rows that a passive party knows."""
    number = recording.parties.index(party)
    shape = Shape.from_arrays(of_party(recording.begin.shapes, number))
    rows = recording.training & recording.joined.coverage[party][recording.positions]
    return Knowledge(
        recording.positions[rows],
        list(_measured(recording, number, rows)),
        _allowed(recording, party, shape, rows),
    )


def true_bins(recording: Recording, party: str, rows: NDArray[np.int_]) -> Codes:
    """The bins (r, c) by which the knowledge is judged, as the party made them."""
    joined, config, train = recording.joined, recording.config, recording.positions[recording.training]
    table, signs = joined.tables[party], joined.signs[party]
    return Binning.fit(table, train, config.bins, config.min_bin_count, signs).transform(table, rows)


def _measured(recording: Recording, party: int, rows: Flags) -> Iterator[Measured]:
    parts: list[NDArray[np.int64]] = []
    groups, nodes = np.full(len(rows), NOWHERE, np.int64), 0
    for level in levels_of_coordinator(recording):
        opened = recording.opened[level.number]
        if opened.sums:
            there = level.nodes != NOWHERE
            groups[there] = nodes + level.nodes[there]
            parts.append(opened.sums[party])
            nodes += len(opened.sums[party])
        if level.last and parts:
            share = recording.config.row_share
            sample = sampled_rows(recording.training, recording.seed, opened.tree, share)
            weights = opened.gradients * sample[:, None]
            used, found = np.unique(groups[rows], return_inverse=True)
            yield Measured(found, weights[rows], np.concatenate(parts)[used])
            parts, nodes = [], 0


def _allowed(recording: Recording, party: str, shape: Shape, rows: Flags) -> list[Flags]:
    allowed = [np.ones((int(rows.sum()), int(bins)), bool) for bins in shape.bins]
    messages = recording.messages[recording.joined.active]
    demands = [message for message in messages if isinstance(message, Demanded)]
    replies = [message for message in messages if isinstance(message, SplitRequest)]
    for demand, reply in zip(demands, replies, strict=False):
        outcomes = unpacked(reply.outcomes[party], len(rows))[:, rows]
        bins = unpacked(demand.left[party], 256)
        for column, left, outcome in zip(demand.columns[party], bins, outcomes, strict=True):
            cells = allowed[column]
            cells &= left[: cells.shape[1]] == outcome[:, None]
    return allowed
