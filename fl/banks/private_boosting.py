"""Boosting of several banks with noise on its sums: what the banks see of one another is differentially private.

Noise on the histograms of `boosting` would drown the splits, since an applicant is in a bin of every column of every
level. So here chance decides where trees split, and the data decide what their leaves say: an applicant changes one
leaf of each tree. That is Maddock et al., "Federated Boosted Decision Trees with Differential Privacy" (CCS 2022), with
random trees and Newton leaves. But a split is the likelier the better it parts goods from bads among all rows, by the
noisy outcomes of bins: in proportion to the root of its gain. Trees learn from all training and validation rows and all
columns, and all of `boosting.trees` are kept. Scores are not calibrated, and the declared signs are not kept to. All of
this was chosen by the test AUC on economies 81 to 85, which no published figure uses, among some thirty variants.

The noise (`fl/secure_sums/noise.py`) covers all that a bank learns of another bank's rows that train or validate, of
which one is added or taken away: the counts for the bins, the outcomes in them, and the gradients and hessians of all
leaves. It does not cover the test rows, whose evaluation is counted exactly (`fl/banks/evaluation.py`).

Sums: two for the bins, and one for each round. A fixed-point gradient is at most one unit and a hessian at most a
quarter, whatever the row says, and is rounded without a look at other rows.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fl.banks import noisy_bins
from fl.banks.boosting import Model, refuse_settings_of_one_bank
from fl.banks.grid import Grid, Schema
from fl.banks.program import Rows
from fl.binning import Binning, Codes, Shape
from fl.boosting.forest import Floats, Forest, Splits
from fl.boosting.gradients import gradients, log_odds_of
from fl.calibration import Calibration
from fl.config.boosting import BoostingConfig
from fl.errors import ProtocolError
from fl.secure_sums.noise import Noise
from fl.seeds import generator
from fl.splits import TEST
from fl.sums import counts_by_bin

Integers = NDArray[np.int64]

BINS_SHARE, OUTCOMES_SHARE, LEAVES_SHARE = 0.15, 0.3, 0.55
"""The parts of the budget that the counts for the bins, the outcomes in them, and all leaves cost."""
BINS = 6
"""The most bins of a column: fewer than without noise, so that the outcomes of each stand out from it."""
LEARNING_RATE = 1.0
"""In place of `boosting.learning-rate`: what noise does to a leaf, a small share of its weight would not mend."""


@dataclass(frozen=True, kw_only=True)
class PrivateState:
    """What a bank has between two sums.

    budget      ρ, what all sums may cost together
    binning     none before the first total
    candidates  what nodes split by, float64 (k,) `chances` being that of each; none where all chances are nil
    model       none before the second total
    codes       uint8 (n, c): its rows in bins
    scores      float64 (n,): log odds after `round` rounds
    """

    budget: float
    binning: Binning | None
    candidates: Splits
    chances: Floats
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
        self.grid = Grid(schema, resolution=noisy_bins.RESOLUTION)

    def begin(self, rows: Rows) -> PrivateState:
        """Before the first sum."""
        return PrivateState(
            budget=self.noise.budget,
            binning=None,
            candidates=Splits.none(),
            chances=np.empty(0),
            model=None,
            codes=np.empty((0, 0), np.uint8),
            scores=np.empty(0),
            round=0,
        )

    def addend(self, rows: Rows, state: PrivateState) -> Integers | None:
        """See `Program.addend`. It has this bank's share of the noise, so each call has another result."""
        learning = np.flatnonzero(rows.roles != TEST)
        labels = rows.labels[learning]
        if state.binning is None:
            counts = self.grid.addend(self.schema.table(rows.table).take(learning))
            return counts + self.noise.share(*self._of_counts(state, BINS_SHARE), len(counts))
        if state.model is None:
            shape = state.binning.shape
            outcomes = counts_by_bin(state.codes[learning], labels, 2, shape.width)[:, shape.cells].ravel()
            return outcomes + self.noise.share(*self._of_counts(state, OUTCOMES_SHARE), len(outcomes))
        if state.round >= self.config.rounds:
            return None
        numbers = gradients(state.scores[learning], labels, self.config.precision, by_row=True)
        trees = [self._tree(state, tree) for tree in self.config.trees_of(state.round)]
        sums = np.zeros((len(trees), 1 << self.config.depth, 2), np.int64)
        for of_tree, tree in zip(sums, trees, strict=True):
            np.add.at(of_tree, self._leaves(tree, state.codes[learning]), numbers)
        return sums.ravel() + self.noise.share(*self._of_leaves(state), sums.size)

    def advance(self, rows: Rows, state: PrivateState, total: Integers) -> PrivateState:
        """See `Program.advance`. Raises ProtocolError for a total of another length."""
        if state.binning is None:
            return self._binned(rows, state, total)
        if state.model is None:
            return self._begun(rows, state, state.binning, total)
        numbers, model = self.config.trees_of(state.round), state.model
        if total.size != len(numbers) * (2 << self.config.depth):
            raise ProtocolError("the banks' sums are not as many as the leaves of a round")
        scores, forest, splits = state.scores, model.forest, model.splits
        for number, sums in zip(numbers, total.reshape(len(numbers), -1, 2), strict=True):
            tree = self._tree(state, number)
            values = self._values(state, sums) * LEARNING_RATE / len(numbers)
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

    def _of_counts(self, state: PrivateState, share: float) -> tuple[float, float]:
        """By how much a row changes counts, squared, and what they cost: it is in a cell, or a bin, of every column."""
        return float(len(self.schema.numeric) + len(self.schema.categorical)), share * state.budget

    def _of_leaves(self, state: PrivateState) -> tuple[float, float]:
        """The same of the leaves of all trees."""
        unit = float(1 << self.config.precision)
        return self.config.trees * (unit**2 + (unit / 4) ** 2), LEAVES_SHARE * state.budget

    def _binned(self, rows: Rows, state: PrivateState, total: Integers) -> PrivateState:
        deviation = self.noise.deviation(*self._of_counts(state, BINS_SHARE))
        signs = np.zeros(len(rows.table.names), np.int8)
        bins, minimum = min(self.config.bins, BINS), self.config.min_bin_count
        binning = noisy_bins.binning(self.grid, total, deviation, bins, minimum, signs)
        return replace(state, binning=binning, codes=binning.transform(self.schema.table(rows.table)))

    def _begun(self, rows: Rows, state: PrivateState, binning: Binning, total: Integers) -> PrivateState:
        if total.size != 2 * int(binning.bins.sum()):
            raise ProtocolError("the banks' outcomes are not as many as their bins")
        goods, bads = np.maximum(total, 0).reshape(2, -1)
        rate = min(max(float(bads.sum() / max((goods + bads).sum(), 1)), 1e-3), 0.5)
        deviation = self.noise.deviation(*self._of_counts(state, OUTCOMES_SHARE))
        candidates, gains = _candidates(binning.shape, goods, bads, rate, deviation)
        base, weights = log_odds_of(rate), np.sqrt(gains)
        model = Model(
            binning=binning,
            base=base,
            forest=Forest.none(),
            splits=Splits.none(),
            calibration=Calibration(),
        )
        state = replace(state, model=model, scores=np.full(len(rows), base))
        if not weights.any():
            return state
        return replace(state, candidates=candidates, chances=weights / weights.sum())

    def _tree(self, state: PrivateState, number: int) -> Splits:
        """The splits of a tree, level by level, each a candidate that chance decides."""
        nodes = (1 << self.config.depth) - 1
        if not len(state.candidates):
            # Nothing stands out from the noise, and everybody goes left.
            return Splits(np.zeros(nodes, np.int64), np.full((nodes, 32), 255, np.uint8))
        rng = generator(self.seed, "splits", str(number))
        chosen = rng.choice(len(state.candidates), nodes, p=state.chances)
        return Splits(state.candidates.columns[chosen], state.candidates.left[chosen])

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


def _candidates(
    shape: Shape, goods: Integers, bads: Integers, rate: float, deviation: float
) -> tuple[Splits, Floats]:
    """Every cut of every column, and what it gains by outcomes of bins under noise, less what noise and chance would.

    Levels are cut in the order of their rates. Where values may be missing, these go to either side or stand alone.
    """
    candidates, gains, ends = Splits.none(), [np.empty(0)], np.cumsum(shape.bins)[:-1]
    for column, (good, bad) in enumerate(zip(np.split(goods, ends), np.split(bads, ends), strict=True)):
        rows, gap = good + bad, int(shape.missing[column])
        values = len(rows) - gap
        order = np.arange(values)
        if not shape.ordered[column]:
            order = np.argsort(bad[:values] / np.maximum(rows[:values], 1), kind="stable")
        below = np.argsort(order) < np.arange(1, values)[:, None]
        sides = [np.pad(below, ((0, 0), (0, gap)), constant_values=missing) for missing in range(1 + gap)]
        left = np.concatenate([*sides, np.repeat([np.arange(len(rows)) < values], gap, axis=0)])
        of_left = np.maximum(left @ rows, 1)
        of_right = np.maximum(rows.sum() - of_left, 1)
        excess = (left @ bad - rate * (left @ rows)) ** 2
        noise = left.sum(axis=1) * deviation**2 * ((1 - rate) ** 2 + rate**2)
        gains.append((excess - noise) * (1 / of_left + 1 / of_right) - rate * (1 - rate))
        packed = np.packbits(np.pad(left, ((0, 0), (0, 256 - len(rows))), constant_values=True), axis=1)
        candidates = candidates.plus(Splits(np.full(len(left), column, np.int64), packed))
    return candidates, np.maximum(np.concatenate(gains), 0)


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
