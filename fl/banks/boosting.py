"""Gradient-boosted trees of several banks: they add histograms of whole-number gradients, and make the same splits.

The model is that of `fl/boosting` with the banks' rows in one table: the same gradients, samples of columns, search for
a node's split and leaf weights. What differs is what one table gives for nothing:

- bins are those of the common grid (`fl/banks/grid.py`);
- each bank draws the samples of its own rows, so that it needs no number for a row among all of them;
- training stops by the log loss of all validation rows, in whole numbers: that is one number of each round, where an
  AUC would take how many goods and bads have which score;
- scores are calibrated on bins of validation rows (`fl/banks/evaluation.py`).

Sums, one after another: the counts for the bins and the labels; for each round one per level of its trees, of which
the first has the losses of the round before, too; the losses of the last round; and two for the calibration. A level
takes the sums of left children only: right ones are what their parents have left. `boosting.depth` · rounds + 4 in all.

What a bank learns of others: every total less its own addend. The minimum counts (`min_bin_count`, `min_leaf_count`)
hold for totals. They keep the model from leaning on few rows, and do not hide that another bank has a single row in a
bin of a node. With three banks or more nobody can tell whose it is; noise hides whether it is there.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fl.arrays import check_bytes, check_integers
from fl.banks.evaluation import cuts_of, outcomes, row_counts, rows_of
from fl.banks.grid import Grid, Schema
from fl.banks.program import Rows
from fl.binning import Binning, Codes, Shape
from fl.boosting.contributions import contributions
from fl.boosting.forest import Flags, Floats, Forest, Splits
from fl.boosting.gradients import gradients, log_odds_of, sampled_columns, sampled_rows
from fl.boosting.merging import unmerged
from fl.boosting.search import BestSplit, allowed, child_bounds, search, weight
from fl.calibration import Calibration
from fl.config.boosting import BoostingConfig
from fl.errors import ConfigError, ProtocolError
from fl.splits import TRAIN, VALIDATION
from fl.sums import sums_by_bin
from fl.tables import Table

Integers = NDArray[np.int64]

BANKS = "banks"
"""In place of a party's name, where columns are drawn for all banks."""
LOSS_UNIT = 1 << 20
"""Log losses are added as whole numbers of this part of one."""
UNBOUNDED = (-np.inf, np.inf)

BINS, TREES, CUTS, CALIBRATION, ENDED = "bins", "trees", "cuts", "calibration", "ended"
"""What the next sum is for."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """The nodes whose sums come next: pairs of children, k/2 of them, of all p trees of a round.

    number   of the level, from 1
    nodes    int32 (k,): left and right children in turn, as places in the forest; trees int64 (k,): each one's tree
    bounds   float64 (k, 2): of their weights
    totals   int64 (k, 3): gradient, hessian and rows of each
    parents  int64 (k/2, c, width, 3): the same of their parents by bin
    places   int32 (p, n): where in the forest each of the bank's rows is
    """

    number: int
    nodes: NDArray[np.int32]
    trees: Integers
    bounds: Floats
    totals: Integers
    parents: Integers
    places: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Model:
    """What the banks have in common: bins, where scores start, trees and their splits, and the calibration."""

    binning: Binning
    base: float
    forest: Forest
    splits: Splits
    calibration: Calibration

    def scores(self, codes: Codes) -> Floats:
        """The log odds of default (n,) before calibration, of rows in bins (n, c)."""
        return self.forest.score(self.base, [self.splits.outcomes(codes)], len(codes))

    def contributions(self, table: Table) -> dict[int, Floats]:
        """What each column adds to the calibrated log odds of rows in the schema's levels, (n,) by its number."""
        sides = self.splits.outcomes(self.binning.transform(table))
        _, by_column = contributions(self.forest, self.base, [sides], len(table))
        return {column.number: self.calibration.slope * added for column, added in by_column.items()}

    def trimmed(self) -> Self:
        """The same without what was grown and is not used. Raises ProtocolError unless its parts fit together."""
        columns = len(self.binning.shape)
        check_integers("columns of splits", self.splits.columns, None, 0, columns)
        check_bytes("sides of splits", self.splits.left, (len(self.splits), 32))
        forest = self.forest.check(len(self.splits), columns).trimmed()
        return replace(self, forest=forest, splits=self.splits.first(forest.split_counts(1)[0]))


@dataclass(frozen=True, kw_only=True)
class BoostingState:
    """What a bank has between two sums, with n rows of its own.

    stage   what the next sum is for
    model   none before the first total
    codes   uint8 (n, c): its rows in bins
    scores  float64 (n,): log odds after `round` rounds
    level   of the trees of the round that grows; none: their roots come next
    judged  after how many rounds the losses are; 0 where the last sum told none
    losses  float64 (2,): mean log loss of all training and all validation rows
    counts  int64 (3,): how many rows train and validate at all banks, and how many of the former are bad
    best    how many rounds have the least validation loss, which is `best_loss`
    cuts    float64 (b − 1,): where the bins of the calibration meet
    """

    stage: str
    model: Model | None
    codes: Codes
    scores: Floats
    round: int
    level: Level | None
    judged: int
    losses: Floats
    counts: Integers
    best: int
    best_loss: float
    cuts: Floats


class BoostingProgram:
    """Boosting as a program of sums (`fl/banks/program.py`)."""

    state = BoostingState

    def __init__(self, config: BoostingConfig, seed: int, schema: Schema) -> None:
        """Raises ConfigError for settings that need what no bank may know of another's rows."""
        refuse_settings_of_one_bank(config)
        self.config, self.seed, self.schema = config, seed, schema
        self.grid = Grid(schema)

    def begin(self, rows: Rows) -> BoostingState:
        """Before the first sum."""
        return _without_rows(BINS, None)

    def addend(self, rows: Rows, state: BoostingState) -> Integers | None:
        """See `Program.addend`."""
        training, validation = rows.roles == TRAIN, rows.roles == VALIDATION
        match state.stage:
            case "bins":
                counts = np.array([training.sum(), validation.sum(), rows.labels[training].sum()], np.int64)
                of_grid = self.grid.addend(self.schema.table(rows.table).take(np.flatnonzero(training)))
                return np.concatenate([counts, of_grid])
            case "trees" if state.level is None:
                losses = [
                    loss_sum(state.scores[of_role], rows.labels[of_role])
                    for of_role in (training, validation)
                ]
                return np.concatenate([np.array(losses), self._sums(rows, state)])
            case "trees":
                return self._sums(rows, state)
            case "cuts":
                return row_counts(_model(state).scores(state.codes[validation]))
            case "calibration":
                scores = _model(state).scores(state.codes[validation])
                return outcomes(scores, rows.labels[validation], state.cuts)
        return None

    def advance(self, rows: Rows, state: BoostingState, total: Integers) -> BoostingState:
        """See `Program.advance`. Raises ProtocolError for a total of another length."""
        state = replace(state, judged=0)
        match state.stage:
            case "bins":
                return self._bin(rows, state, total)
            case "trees":
                return self._grow(rows, state, total)
            case "cuts":
                return replace(state, stage=CALIBRATION, cuts=cuts_of(total))
        labels, pd = rows_of(total)
        calibration = Calibration.fit(np.log(pd / (1 - pd)), labels)
        return replace(state, stage=ENDED, model=replace(_model(state), calibration=calibration))

    def progress(self, state: BoostingState) -> tuple[int, dict[str, float]] | None:
        """See `Program.progress`; a step is a round."""
        if not state.judged:
            return None
        return state.judged, {"train.loss": float(state.losses[0]), "valid.loss": float(state.losses[1])}

    def log_odds(self, rows: Rows, state: BoostingState) -> Floats:
        """See `Program.log_odds`."""
        model, table = _model(state), self.schema.table(rows.table)
        return model.calibration.log_odds(model.scores(model.binning.transform(table)))

    def shared(self, state: BoostingState) -> BoostingState:
        """See `Program.shared`."""
        return _without_rows(ENDED, _model(state).trimmed())

    def contributions(self, rows: Rows, state: BoostingState) -> dict[int, Floats]:
        """See `Program.contributions`."""
        return _model(state).contributions(self.schema.table(rows.table))

    def _bin(self, rows: Rows, state: BoostingState, total: Integers) -> BoostingState:
        """From the counts to bins, and to scores that are the same for all rows."""
        counts, of_grid = total[:3], total[3:]
        signs = np.array([rows.signs.get(name, 0) for name in rows.table.names], np.int8)
        binning = self.grid.binning(of_grid, self.config.bins, self.config.min_bin_count, signs)
        base = log_odds_of(int(counts[2]) / int(counts[0]))
        return replace(
            state,
            stage=TREES,
            model=Model(
                binning=binning,
                base=base,
                forest=Forest.none(),
                splits=Splits.none(),
                calibration=Calibration(),
            ),
            codes=binning.transform(self.schema.table(rows.table)),
            scores=np.full(len(rows), base),
            counts=counts,
        )

    def _sums(self, rows: Rows, state: BoostingState) -> Integers:
        """What this bank adds for the roots or the left children: (nodes · used columns · width · 3,)."""
        model, level, config = _model(state), state.level, self.config
        trees, training = self._trees(state), rows.roles == TRAIN
        values = np.ones((len(rows), 3), np.int64)
        values[training, :2] = gradients(state.scores[training], rows.labels[training], config.precision)
        samples = sampled_rows(training, self.seed, trees, config.row_share)
        parts = [np.empty(0, np.int64)]
        for tree, (sample, used) in enumerate(zip(samples, self.used(state), strict=True)):
            nodes, places = np.zeros(1, np.int32), np.zeros(len(rows), np.int32)
            if level is not None:
                nodes, places = level.nodes[::2][level.trees[::2] == tree], level.places[tree]
            group = np.full(max(1, len(model.forest.owners)), -1)
            group[nodes] = np.arange(len(nodes))
            groups = np.where(sample, group[places], -1)
            width = model.binning.shape.width
            parts.append(sums_by_bin(state.codes[:, used], values, groups, len(nodes), width).ravel())
        return np.concatenate(parts)

    def _trees(self, state: BoostingState) -> range:
        """The trees of the round that grows; none after the last one."""
        return self.config.trees_of(state.round) if state.round < self.config.rounds else range(0)

    def used(self, state: BoostingState) -> Flags:
        """Which columns each tree of the round may use, (p, c)."""
        columns, trees = state.codes.shape[1], self._trees(state)
        if not trees:
            return np.empty((0, columns), bool)
        return sampled_columns(columns, BANKS, self.seed, trees, self.config.column_share)

    def _grow(self, rows: Rows, state: BoostingState, total: Integers) -> BoostingState:
        """From the sums of a level to its splits, and from the last level of a round to the next round."""
        if state.level is not None:
            lefts = self.by_bin(state, state.level.trees[::2], total)
            pairs = np.stack([lefts, state.level.parents - lefts], axis=1)
            return self._split(state, state.level, pairs.reshape(-1, *lefts.shape[1:]))
        state = self._judge(state, total[:2] / LOSS_UNIT / state.counts[:2])
        if state.stage != TREES:
            return state
        used, model = self.used(state), _model(state)
        sums, forest, totals = self.by_bin(state, np.arange(len(used)), total[2:]), model.forest, []
        for of_tree, of_columns in zip(sums, used, strict=True):
            # Every row is in one bin of each column.
            totals.append(of_tree[np.argmax(of_columns)].sum(axis=0))
            forest = forest.with_root(
                float(weight(totals[-1][:2], *UNBOUNDED, self.config) * self._rate(state))
            )
        roots = forest.roots[len(model.forest.roots) :]
        level = Level(
            number=0,
            nodes=roots,
            trees=np.arange(len(used)),
            bounds=np.array([UNBOUNDED] * len(used)),
            totals=np.array(totals),
            parents=sums[:0],
            places=np.repeat(roots[:, None], len(rows), axis=1),
        )
        forest = forest.with_covers(roots, level.totals[:, 2])
        return self._split(replace(state, model=replace(model, forest=forest)), level, sums)

    def by_bin(self, state: BoostingState, trees: Integers, total: Integers) -> Integers:
        """Sums (k, c, width, 3) of nodes of these trees (k,), from a total; zero in columns that are not used."""
        shape, used = _model(state).binning.shape, self.used(state)
        sums = np.zeros((len(trees), len(shape), shape.width, 3), np.int64)
        if total.size != used[trees].sum() * shape.width * 3:
            raise ProtocolError("the banks' sums are not as many as the nodes, columns and bins")
        sums[used[trees]] = total.reshape(-1, shape.width, 3)
        return sums

    def _rate(self, state: BoostingState) -> float:
        """What a leaf adds of its best weight: the trees of a round add their mean."""
        return self.config.learning_rate / len(self._trees(state))

    def _judge(self, state: BoostingState, losses: Floats) -> BoostingState:
        """Take the losses after a round, and see whether there is another one."""
        config, loss = self.config, float(losses[1])
        state = replace(state, judged=state.round, losses=losses)
        if not config.patience or loss < state.best_loss:
            state = replace(state, best=state.round, best_loss=loss)
        if state.round < config.rounds and not 0 < config.patience <= state.round - state.best:
            return state
        model = _model(state)
        forest = model.forest.first(config.trees_after(state.best))
        return replace(state, stage=CUTS if config.calibrate else ENDED, model=replace(model, forest=forest))

    def _split(self, state: BoostingState, level: Level, sums: Integers) -> BoostingState:
        """Split the nodes of a level whose sums (k, c, width, 3) are there, and let the bank's rows go their ways."""
        model, places = _model(state), level.places.copy()
        shape, forest, splits = model.binning.shape, model.forest, model.splits
        used, below, totals = self.used(state), list[int](), list[list[int]]()
        bounds: list[tuple[float, float]] = []
        for node, of_bins in enumerate(sums):
            low, high = level.bounds[node].tolist()
            split = self._best(of_bins, level.totals[node], (low, high), shape, used[level.trees[node]])
            if split is None:
                continue
            place, tree = int(level.nodes[node]), int(level.trees[node])
            values = np.array(split.weights) * self._rate(state)
            forest = forest.with_split(place, 0, split.column, split.gain, values)
            splits = splits.plus(Splits(np.array([split.column]), np.packbits(split.left)[None]))
            left_rows = of_bins[split.column, split.left[: shape.width], 2].sum()
            totals += [[*split.sums[0], left_rows], [*split.sums[1], level.totals[node, 2] - left_rows]]
            bounds += child_bounds(split, shape, (low, high), self.config)
            below.append(node)
            here, children = places[tree] == place, forest.children[place]
            left = split.left[state.codes[here, split.column]]
            places[tree, here] = np.where(left, *children)
        parents = np.array(below, np.int64)
        nodes = forest.children[level.nodes[parents]].ravel()
        child_totals = np.array(totals, np.int64).reshape(-1, 3)
        forest = forest.with_covers(nodes, child_totals[:, 2])
        state = replace(state, model=replace(model, forest=forest, splits=splits))
        if not below or level.number + 1 == self.config.depth:
            scores = state.scores
            for of_tree in places:
                scores = scores + forest.values[of_tree]
            return replace(state, scores=scores, round=state.round + 1, level=None)
        following = Level(
            number=level.number + 1,
            nodes=nodes,
            trees=np.repeat(level.trees[parents], 2),
            bounds=np.array(bounds),
            totals=child_totals,
            parents=sums[parents],
            places=places,
        )
        return replace(state, level=following)

    def _best(
        self, sums: Integers, total: Integers, bounds: tuple[float, float], shape: Shape, used: Flags
    ) -> BestSplit | None:
        """The best split of a node by its sums (c, width, 3) and their total (3,), in the columns used (c,)."""
        homes, least = unmerged(1, shape)[0], self.config.min_leaf_count
        candidates = allowed(sums[..., 2], int(total[2]), homes, shape, least, used)
        return search(sums[..., :2], total[:2], bounds, candidates, homes, shape, self.config)


def _without_rows(stage: str, model: Model | None) -> BoostingState:
    """What a bank has that has no rows yet, or with a model that it has not learned."""
    return BoostingState(
        stage=stage,
        model=model,
        codes=np.empty((0, 0), np.uint8),
        scores=np.empty(0),
        round=0,
        level=None,
        judged=0,
        losses=np.empty(0),
        counts=np.empty(0, np.int64),
        best=0,
        best_loss=np.inf,
        cuts=np.empty(0),
    )


def refuse_settings_of_one_bank(config: BoostingConfig) -> None:
    """Raises ConfigError for settings that need what no bank may know of another's rows."""
    for name, is_set in (("goss-top", config.goss_top), ("reweigh", config.reweigh)):
        if is_set:
            raise ConfigError(
                f"Setting 'boosting.{name}' is for one bank; leave it out where several banks train together."
            )


def _model(state: BoostingState) -> Model:
    if state.model is None:
        raise ProtocolError("the banks have no bins yet")
    return state.model


def loss_sum(scores: Floats, labels: NDArray[np.int8]) -> int:
    """The sum of the log losses of log odds (n,), each in whole units."""
    return int(np.rint((np.logaddexp(0, scores) - labels * scores) * LOSS_UNIT).sum())
