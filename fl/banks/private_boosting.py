"""Boosting of several banks with noise on its sums: what the banks see of one another is differentially private.

Noise on the histograms of `boosting` would drown the splits, since an applicant is in a bin of every column of every
level. So here chance decides where trees split, by the seed and the bins alone, and the data decide only what their
leaves say: an applicant changes one leaf of each tree. That is Maddock et al., "Federated Boosted Decision Trees with
Differential Privacy" (CCS 2022), with totally random trees and Newton leaves. Trees learn from all training rows and
columns, all of `boosting.trees` are kept, and scores are not calibrated: validation rows take no part.

The noise (`fl/secure_sums/noise.py`) covers all that a bank learns of another bank's training rows, of which one is
added or taken away: the counts for the bins and labels, which cost `BINS_SHARE` of the budget, and the gradients and
hessians of all leaves. It does not cover the test rows, whose evaluation is counted exactly (`fl/banks/evaluation.py`).
The declared signs are not kept to.

Sums: one for the bins, and one for each round. A fixed-point gradient is at most one unit and a hessian at most a
quarter, whatever the row says.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fl.banks.boosting import Model, refuse_settings_of_one_bank
from fl.banks.grid import Grid, Schema
from fl.banks.program import Rows
from fl.binning import Codes, Shape
from fl.boosting.forest import Flags, Floats, Forest, Splits
from fl.boosting.gradients import gradients, log_odds_of
from fl.calibration import Calibration
from fl.config.boosting import BoostingConfig
from fl.errors import ProtocolError
from fl.secure_sums.noise import Noise
from fl.seeds import generator
from fl.splits import TRAIN

Integers = NDArray[np.int64]

BINS_SHARE = 0.15
"""The part of the budget that the counts for the bins cost; the rest is for the leaves."""
RESOLUTION = 16
"""Cells of the grid between powers of two: fewer than without noise, so that what is in one stands out."""
STANDS_OUT = 3
"""A count stands out from noise if it is so many standard deviations; others are taken for zero."""


@dataclass(frozen=True, kw_only=True)
class PrivateState:
    """What a bank has between two sums.

    budget  ρ, what all sums may cost together
    model   none before the first total
    codes   uint8 (n, c): its rows in bins
    scores  float64 (n,): log odds after `round` rounds
    """

    budget: float
    model: Model | None
    codes: Codes
    scores: Floats
    round: int


class PrivateBoostingProgram:
    """Boosting under noise as a program of sums (`fl/banks/program.py`)."""

    state = PrivateState

    def __init__(self, config: BoostingConfig, seed: int, schema: Schema, noise: Noise) -> None:
        """Raises ConfigError for settings that need what no bank may know of another's rows."""
        refuse_settings_of_one_bank(config)
        self.config, self.seed, self.schema, self.noise = config, seed, schema, noise
        self.grid = Grid(schema, resolution=RESOLUTION)

    def begin(self, rows: Rows) -> PrivateState:
        """Before the first sum."""
        return PrivateState(
            budget=self.noise.budget,
            model=None,
            codes=np.empty((0, 0), np.uint8),
            scores=np.empty(0),
            round=0,
        )

    def addend(self, rows: Rows, state: PrivateState) -> Integers | None:
        """See `Program.addend`. It has this bank's share of the noise, so each call has another result."""
        training = np.flatnonzero(rows.roles == TRAIN)
        labels = rows.labels[training]
        if state.model is None:
            of_grid = self.grid.addend(self.schema.table(rows.table).take(training))
            counts = np.concatenate([np.array([len(training), labels.sum()], np.int64), of_grid])
            return counts + self.noise.share(*self._of_bins(state), len(counts))
        if state.round >= self.config.rounds:
            return None
        numbers = gradients(state.scores[training], labels, self.config.precision)
        trees = [self._tree(state.model.binning.shape, tree) for tree in self.config.trees_of(state.round)]
        sums = np.zeros((len(trees), 1 << self.config.depth, 2), np.int64)
        for of_tree, tree in zip(sums, trees, strict=True):
            np.add.at(of_tree, self._leaves(tree, state.codes[training]), numbers)
        return sums.ravel() + self.noise.share(*self._of_leaves(state), sums.size)

    def advance(self, rows: Rows, state: PrivateState, total: Integers) -> PrivateState:
        """See `Program.advance`. Raises ProtocolError for a total of another length."""
        if state.model is None:
            return self._bin(rows, state, total)
        numbers, model = self.config.trees_of(state.round), state.model
        if total.size != len(numbers) * (2 << self.config.depth):
            raise ProtocolError("the banks' sums are not as many as the leaves of a round")
        scores, forest, splits = state.scores, model.forest, model.splits
        for number, sums in zip(numbers, total.reshape(len(numbers), -1, 2), strict=True):
            tree = self._tree(model.binning.shape, number)
            values = self._values(state, sums) * self.config.learning_rate / len(numbers)
            scores = scores + values[self._leaves(tree, state.codes)]
            forest, splits = _grown(forest, splits, tree, values, sums[:, 1])
        model = replace(model, forest=forest, splits=splits)
        return replace(state, model=model, scores=scores, round=state.round + 1)

    def progress(self, state: PrivateState) -> tuple[int, dict[str, float]] | None:
        """See `Program.progress`: nothing is measured on the way, since that would cost budget."""
        return (state.round, {}) if state.round else None

    def log_odds(self, rows: Rows, state: PrivateState) -> Floats:
        """See `Program.log_odds`."""
        model = _model(state)
        return model.scores(model.binning.transform(self.schema.table(rows.table)))

    def contributions(self, rows: Rows, state: PrivateState) -> dict[int, Floats]:
        """See `Program.contributions`."""
        return _model(state).contributions(self.schema.table(rows.table))

    def shared(self, state: PrivateState) -> PrivateState:
        """See `Program.shared`."""
        none = np.empty((0, 0), np.uint8)
        return replace(state, model=_model(state).trimmed(), codes=none, scores=np.empty(0))

    def _of_bins(self, state: PrivateState) -> tuple[float, float]:
        """By how much an applicant changes the counts, squared, and what they cost: a row, a bad, a cell per column."""
        return 2.0 + len(self.schema.numeric) + len(self.schema.categorical), BINS_SHARE * state.budget

    def _of_leaves(self, state: PrivateState) -> tuple[float, float]:
        """The same of the leaves of all trees."""
        unit = float(1 << self.config.precision)
        return self.config.trees * (unit**2 + (unit / 4) ** 2), (1 - BINS_SHARE) * state.budget

    def _bin(self, rows: Rows, state: PrivateState, total: Integers) -> PrivateState:
        least = STANDS_OUT * self.noise.deviation(*self._of_bins(state))
        counts, of_grid = np.maximum(total[:2], 1), np.where(total[2:] < least, 0, total[2:])
        signs = np.zeros(len(rows.table.names), np.int8)
        minimum = max(self.config.min_bin_count, int(np.ceil(least)))
        binning = self.grid.binning(of_grid, self.config.bins, minimum, signs)
        base = log_odds_of(min(float(counts[1] / counts[0]), 0.5))
        model = Model(
            binning=binning,
            base=base,
            forest=Forest.none(),
            splits=Splits.none(),
            calibration=Calibration(),
        )
        codes = binning.transform(self.schema.table(rows.table))
        return replace(state, model=model, codes=codes, scores=np.full(len(rows), base))

    def _tree(self, shape: Shape, number: int) -> Splits:
        """The splits of a tree, level by level: each of a column and at a cut of it that chance decides."""
        rng, usable = generator(self.seed, "splits", str(number)), np.flatnonzero(shape.bins > 1)
        nodes = (1 << self.config.depth) - 1
        # Without a bin that stands out everybody goes left.
        columns = rng.choice(usable, nodes) if len(usable) else np.zeros(nodes, np.int64)
        left = np.ones((nodes, 256), bool)
        for column, of_node in zip(columns, left, strict=True):
            if len(usable):
                of_node[: shape.bins[column]] = _random_sides(shape, int(column), rng)
        return Splits(columns.astype(np.int64), np.packbits(left, axis=1))

    def _leaves(self, tree: Splits, codes: Codes) -> Integers:
        """The leaf of each row in a tree, (n,)."""
        left, rows = tree.outcomes(codes), np.arange(len(codes))
        nodes = np.zeros(len(codes), np.int64)
        for level in range(self.config.depth):
            nodes = 2 * nodes + ~left[(1 << level) - 1 + nodes, rows]
        return nodes

    def _values(self, state: PrivateState, sums: Integers) -> Floats:
        """The weights of leaves by their sums (k, 2), drawn to zero by the penalty and by how large the noise is."""
        gradient, hessian = sums.T / (1 << self.config.precision)
        noise = self.noise.deviation(*self._of_leaves(state)) / (1 << self.config.precision)
        return np.asarray(-gradient / (np.maximum(hessian, 0) + self.config.l2 + noise))


def _model(state: PrivateState) -> Model:
    if state.model is None:
        raise ProtocolError("the banks have no bins yet")
    return state.model


def _random_sides(shape: Shape, column: int, rng: np.random.Generator) -> Flags:
    """Which bins of a column of two or more go left: those up to one of them, or any levels."""
    bins, gap = int(shape.bins[column]), int(shape.missing[column])
    left = np.zeros(bins, bool)
    if shape.ordered[column]:
        values = bins - gap
        left[: rng.integers(1, max(values, 2))] = True
        left[values:] = values > 1 and rng.random() < 0.5
        return left
    while left.all() or not left.any():
        left = rng.random(bins) < 0.5
    return left


def _grown(
    forest: Forest, splits: Splits, tree: Splits, values: Floats, hessians: Integers
) -> tuple[Forest, Splits]:
    """A forest with one more tree, of these splits level by level and these leaves; covers are by its hessians."""
    place, forest = len(forest.owners), forest.with_root(0.0)
    level = np.array([place])
    covers = [np.maximum(hessians, 1)]
    while len(covers[0]) > 1:
        covers.insert(0, covers[0].reshape(-1, 2).sum(axis=1))
    places, number = [level], 0
    while len(level) < len(values):
        for node in level:
            last = 2 * len(level) == len(values)
            pair = 2 * (int(node) - int(level[0]))
            of_children = values[pair : pair + 2] if last else np.zeros(2)
            forest = forest.with_split(int(node), 0, int(tree.columns[number]), 0.0, of_children)
            number += 1
        level = forest.children[level].ravel()
        places.append(level)
    forest = forest.with_covers(np.concatenate(places).astype(np.int32), np.concatenate(covers))
    return forest, splits.plus(tree)
