"""What the bank knows about a passive party's bins: the sums that it opened, and where the party's splits send rows.

The bank knows every row's gradient and which node it is in, so the sums of a node by bin are linear measurements of
which bin its rows are in; where bins are merged, of which of the merged ones. Merging grows coarser down a tree, so
the nodes of every level tell something of their own. And the bank has itself said which bins of an anonymous column go
left at a split, so that its outcome halves the bins that a row of the node may be in.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from experiments.attacks.boosting.nodes import levels_in_letters
from experiments.attacks.boosting.recording import Recording
from fl.binning import Binning, Codes
from fl.boosting import YOU, unpacked
from fl.boosting.forest import Splits
from fl.boosting.gradients import sampled_rows
from fl.config.boosting import BoostingConfig
from fl.splits import TEST

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Measured:
    """Sums over groups of r rows, which are the nodes of one level of a tree.

    groups   int64 (r,): the group of each row, NOWHERE of one that is in none
    weights  int64 (r, 2): gradient and hessian, zero where the tree did not learn from the row
    sums     int64 (k, c, width, 2): of each group by column and bin, at the bins' homes
    homes    int64 (k, c, width): the bin that stands for each bin in a group (`fl/boosting/merging.py`)
    telling  bool (k, c): where this is more than the sums of the two children tell
    """

    groups: NDArray[np.int64]
    weights: NDArray[np.int64]
    sums: NDArray[np.int64]
    homes: NDArray[np.int64]
    telling: Flags


@dataclass(frozen=True)
class Knowledge:
    """What the bank knows about the bins of r training rows in a passive party's c columns.

    rows      int (r,): their positions
    measured  by tree and level
    allowed   by column, bool (r, bins): bins in which the outcomes of splits let a row be
    """

    rows: NDArray[np.int_]
    measured: list[Measured]
    allowed: list[Flags]

    def sizes(self, column: int) -> NDArray[np.float64]:
        """The share of the rows in each bin of a column: hessians are equal in the first tree that has sums.

        Bins that are merged in its root are taken to be equal.
        """
        root, bins = self.measured[0], self.allowed[column].shape[1]
        homes, sums = root.homes[0, column, :bins], root.sums[0, column, :bins, 1]
        return np.maximum(sums / np.bincount(homes, minlength=bins).clip(1), 0)[homes] / max(1, sums.sum())


def knowledge(recording: Recording, party: str) -> Knowledge:
    """What the bank knows about the training rows that a passive party knows."""
    rows = recording.training & recording.joined.coverage[party][recording.positions]
    return Knowledge(
        recording.positions[rows],
        list(_measured(recording, party, rows)),
        _allowed(recording, party, rows),
    )


def scored(recording: Recording, party: str) -> tuple[NDArray[np.int_], list[Flags]]:
    """Test rows (t,) that a passive party knows, and by column the bins (t, bins) in which scoring lets them be."""
    test = np.flatnonzero(recording.roles == TEST)
    known = recording.joined.coverage[party][test]
    outcomes = unpacked(recording.outcomes(party), len(test))[:, known]
    splits = [demand.levels[party].splits for demand in recording.demands]
    kept = reduce(Splits.plus, splits, Splits.none()).first(len(outcomes))
    allowed = [np.ones((int(known.sum()), int(count)), bool) for count in recording.shape(party).bins]
    for column, left, outcome in zip(kept.columns, unpacked(kept.left, 256), outcomes, strict=True):
        allowed[column] &= left[: allowed[column].shape[1]] == outcome[:, None]
    return test[known], allowed


def true_bins(recording: Recording, party: str, rows: NDArray[np.int_]) -> Codes:
    """The bins (r, c) by which the knowledge is judged, as the party made them."""
    table, signs = recording.joined.tables[party], recording.joined.signs(party)
    config, train = recording.config.section(BoostingConfig), recording.positions[recording.training]
    return Binning.fit(table, train, config.bins, config.min_bin_count, signs).transform(table, rows)


def _measured(recording: Recording, party: str, rows: Flags) -> Iterator[Measured]:
    number, config = recording.parties.index(party), recording.config.section(BoostingConfig)
    opened = recording.opened
    levels = [level for level in levels_in_letters(recording) if opened[level.number].sums]
    for place, level in enumerate(levels):
        before = opened[level.number]
        homes, sums = before.homes[party][level.places].astype(np.int64), before.sums[number][level.places]
        telling = np.ones(homes.shape[:2], bool)
        if not level.last:
            below = levels[place + 1]
            of_children = opened[below.number].homes[party][below.places[::2]]
            telling[level.seen] = (homes[level.seen] != of_children).any(axis=2)
        trees = config.trees_of(before.round)
        samples = sampled_rows(recording.training, recording.seed, trees, config.row_share)
        weights = before.gradients * samples[level.tree][:, None]
        yield Measured(level.nodes[rows].astype(np.int64), weights[rows], sums, homes, telling)


def _allowed(recording: Recording, party: str, rows: Flags) -> list[Flags]:
    allowed = [np.ones((int(rows.sum()), int(bins)), bool) for bins in recording.shape(party).bins]
    levels = list(levels_in_letters(recording))
    for number, demand in enumerate(recording.demands):
        split, members = demand.levels[party], demand.members[party][:, rows]
        if not len(split.splits):
            continue
        # A demand that did not want sums yet is about the nodes of the one that does.
        counts = min(level.number for level in levels if level.number >= number)
        bins, of_party = unpacked(split.splits.left, 256), np.flatnonzero(split.owners == YOU)
        where = {
            place: (level.tree, level.nodes[rows] == node)
            for level in levels
            if level.number == counts
            for node, place in enumerate(level.places)
        }
        for place, column, left in zip(of_party, split.splits.columns, bins, strict=True):
            (tree, there), cells = where[place], allowed[column]
            cells[there] &= left[: cells.shape[1]] == members[tree, there, None]
    return allowed
