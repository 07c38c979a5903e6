"""The scorecard without a federation: the same one on the joined table, its sums from the rows themselves.

It is the pooled twin: weights and points of a federated scorecard must equal it bit for bit, under every engine. Blocks
are kept, since floating-point sums in another order would differ; that both are right, the comparison with
scikit-learn's logistic regression shows. The bank alone is the twin of one table.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clients.scorecard.shares import texts_of, values_of
from experiments.joined import Joined
from fl.binning import Binning, Codes
from fl.calibration import Calibration
from fl.config.scorecard import ScorecardConfig
from fl.evaluation import Table
from fl.scorecard.bank import BankColumns, BankPoints
from fl.scorecard.card import Card, Share, named, told, told_by_bank
from fl.scorecard.design import Design
from fl.scorecard.grouping import Evidence, Grouping, group
from fl.scorecard.points import PointsTable, Scale
from fl.scorecard.regression import PassiveBlock, cone_of
from fl.scorecard.solver import Look
from fl.splits import TEST, TRAIN, Roles

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scorecard:
    """A scorecard of pooled data.

    weights    by party that has any, those of its groups; the bank's begin with the intercept
    tables     by the same parties, their points beside the others'
    base       points that rows have to begin with, int64 (n,)
    scores     int64 (n,): of all rows
    pd         float64 (n,)
    evidence   by party: goods and bads of its groups
    looks      after each exchange
    card       the tables of its model card
    """

    weights: dict[str, Floats]
    tables: dict[str, PointsTable]
    base: NDArray[np.int64]
    scores: NDArray[np.int64]
    pd: Floats
    evidence: dict[str, Evidence]
    looks: list[Look]
    card: dict[str, Table]


def train_scorecard(
    joined: Joined, roles: Roles, config: ScorecardConfig
) -> tuple[Floats, list[dict[str, float]], dict[str, Table]]:
    """PDs (n,) of all rows, the metrics after every exchange, and the tables of the model card.

    No chance: seeds differ by their roles alone.
    """
    found = fit_scorecard(joined, roles, config)
    return found.pd, [metrics(look) for look in found.looks], found.card


def metrics(look: Look) -> dict[str, float]:
    """A look as stepped metrics."""
    return {
        "train.loss": look.train_loss,
        "valid.auc": look.validation_auc,
        "valid.loss": look.validation_loss,
    }


def fit_scorecard(joined: Joined, roles: Roles, config: ScorecardConfig) -> Scorecard:
    """Group, fit and round the scorecard of all tables."""
    labels, training = joined.labels, roles == TRAIN
    found = {name: group_columns(joined, name, training, config) for name in joined.tables}
    groupings = {name: own.evidence.grouping for name, own in found.items()}
    used = np.flatnonzero(roles != TEST)
    known = [joined.coverage[name] for name in joined.tables if name != joined.active]
    parties = [name for name in joined.tables if name != joined.active and len(groupings[name].columns)]
    bank = BankColumns.of(groupings[joined.active], [mask[training] for mask in known])
    own = bank.transform(found[joined.active].codes, known)
    solver = bank.solver(own[used], labels[used], training[used], len(parties), config)
    passive = {}
    for name in parties:
        seen = joined.coverage[name][used]
        passive[name] = _Passive(groupings[name], found[name].codes[used], seen, training[used], config)
    state, to_do = solver.begin()
    alone = state.weights
    looks: list[Look] = []
    while parties and not state.finished:
        steps = [one.step(to_do.mix, to_do.residual) for one in passive.values()]
        scores, products = np.zeros(len(used)), np.zeros(len(looks) + 1)
        for partial, own_products in steps:
            scores += partial
            products += own_products
        state, to_do = solver.advance(state, scores, products)
        looks.append(to_do.look)
    scale = Scale.of(config)
    weights = {joined.active: state.weights} | {name: one.values[-1] for name, one in passive.items()}
    points = BankPoints.of(bank, state.weights, alone, scale)
    tables = {joined.active: points.table}
    base = points.bases(joined.unknown)
    total = base + points.totals(own, joined.unknown)
    for name in parties:
        grouping = groupings[name]
        tables[name] = PointsTable(grouping.columns, grouping.counts, scale.points(weights[name]))
        total += tables[name].totals(grouping.transform(found[name].codes))
    validation, odds = used[~training[used]], scale.log_odds(total)
    calibration = Calibration.fit(odds[validation], labels[validation]) if config.calibrate else Calibration()
    evidence = {name: own.evidence for name, own in found.items()}
    card = _card(joined, found, bank, points, tables, roles).tables(config, points, total, roles)
    names = {name: table.names for name, table in joined.tables.items()}
    pd = calibration.apply(odds)
    return Scorecard(weights, tables, base, total, pd, evidence, looks, named(card, names))


@dataclass(frozen=True)
class Grouped:
    """A party's columns: how they are binned, the bins codes (n, c) of all rows, and the groups of the bins."""

    binning: Binning
    codes: Codes
    evidence: Evidence


def group_columns(joined: Joined, name: str, training: NDArray[np.bool_], config: ScorecardConfig) -> Grouped:
    """A party's bins and its groups by the labels of the training rows."""
    table = joined.tables[name]
    rows = np.flatnonzero(training)
    binning = Binning.fit(table, rows, config.bins, config.min_group, joined.signs(name))
    codes, shape = binning.transform(table), binning.shape
    if not config.monotone:
        shape = shape.without_signs()
    learned = np.flatnonzero(training & table.known)
    design = Design(codes[learned], shape.bins)
    bads = design.totals(joined.labels[learned].astype(np.float64)).astype(np.int64)
    goods = design.totals(np.ones(len(learned))).astype(np.int64) - bads
    return Grouped(binning, codes, group(shape, goods, bads, config))


def _card(
    joined: Joined,
    found: dict[str, Grouped],
    bank: BankColumns,
    points: BankPoints,
    tables: dict[str, PointsTable],
    roles: Roles,
) -> Card:
    """The model card, as the parties tell it in the federation, with the values of every group."""
    shares, training = [], roles == TRAIN
    passive = [name for name in joined.tables if name != joined.active]
    for name, own_points in tables.items():
        table, grouping, codes = joined.tables[name], found[name].evidence.grouping, found[name].codes
        values = values_of(joined.columns[name], table, found[name].binning, grouping)
        texts = texts_of(joined.columns[name], table, grouping.columns)
        if name == joined.active:
            groups = bank.transform(codes, [joined.coverage[party] for party in passive])
            finished = told_by_bank(own_points, bank, groups, roles, values, texts, passive)
            own, information = groups[training], found[name].evidence.information
            share = Share.of_bank(name, finished, bank, points, own, joined.labels[training], information)
        else:
            groups = grouping.transform(codes[table.known])
            finished = told(own_points, grouping, groups, roles[table.known], values, texts)
            share = Share.of_passive(name, finished, found[name].evidence)
        shares.append(share)
    return Card(shares)


class _Passive:
    """A passive party's way through the exchanges, of rows (n,) that train or validate."""

    def __init__(
        self,
        grouping: Grouping,
        codes: Codes,
        known: NDArray[np.bool_],
        training: NDArray[np.bool_],
        config: ScorecardConfig,
    ) -> None:
        learned = known & training
        self._known, self._learned, self._precision = known, known[training], config.precision
        self._design = Design(grouping.transform(codes[known]), grouping.counts)
        own, all_known = (
            Design(grouping.transform(codes[learned]), grouping.counts),
            bool(self._learned.all()),
        )
        self._block = PassiveBlock.of(own, cone_of(grouping), config.penalty, all_known)
        self.values = np.empty((0, own.width))
        self._steps = np.empty((0, own.width))

    def step(self, mix: Floats, residual: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Partial scores (n,) after a step from the mixed weights, and inner products (t,) with the steps so far."""
        own, weights = self._block.design, mix @ self.values
        sums = np.zeros(own.width, np.int64)
        for start, codes in zip(own.starts, own.codes.T, strict=True):
            np.add.at(sums, start + codes.astype(np.int64), residual[self._learned])
        after = self._block.step(weights, sums, self._precision)
        self.values = np.concatenate([self.values, after[None]])
        self._steps = np.concatenate([self._steps, (after - weights)[None]])
        scores = np.zeros(len(self._known))
        scores[self._known] = self._design.scores(after)
        return scores, self._block.products(self._steps)
