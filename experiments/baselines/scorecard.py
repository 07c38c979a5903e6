"""The scorecard without a federation: the same one on the joined table, its sums from the rows themselves.

It is the pooled twin: weights and points of a federated scorecard must equal it bit for bit, under every engine. Blocks
are kept, since floating-point sums in another order would differ; that both are right, the comparison with
scikit-learn's logistic regression shows. The bank alone is the twin of one table.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clients.reasons import reasons_of
from clients.scorecard.columns import demanded, values_of
from experiments.baselines import Fitted
from experiments.joined import Joined
from fl.binning import Binning, Codes
from fl.calibration import Calibration
from fl.config.scorecard import ScorecardConfig
from fl.evaluation import Columns
from fl.scorecard import Progress
from fl.scorecard.bank import BankColumns, BankPoints
from fl.scorecard.card import Share, named, tables_of_card, told
from fl.scorecard.design import Floats, one_hot
from fl.scorecard.grouping import Evidence, Grouping, check_columns, group_by_labels
from fl.scorecard.points import PointsTable, Scale
from fl.scorecard.regression import PassiveBlock, cone_of
from fl.splits import TEST, TRAIN, Roles


@dataclass(frozen=True, kw_only=True)
class Scorecard:
    """A scorecard of pooled data.

    weights    by party that has any, those of its groups; the bank's begin with the intercept
    tables     by the same parties, their points beside the others'
    scores     int64 (n,): of all rows
    log_odds   float64 (n,)
    progress   after each exchange
    card       the tables of its model card
    """

    weights: dict[str, Floats]
    tables: dict[str, PointsTable]
    scores: NDArray[np.int64]
    log_odds: Floats
    progress: list[Progress]
    card: dict[str, Columns]


def train(joined: Joined, roles: Roles, seed: int, config: ScorecardConfig) -> Fitted:
    """Train as `fit_scorecard` does; a step of the curve is an exchange, the tables are those of the model card.

    Nothing is drawn by chance: seeds differ by their roles alone.
    """
    scorecard = fit_scorecard(joined, roles, config)
    return Fitted(scorecard.log_odds, [progress.metrics for progress in scorecard.progress], scorecard.card)


def fit_scorecard(joined: Joined, roles: Roles, config: ScorecardConfig) -> Scorecard:
    """Group, fit and round the scorecard of all tables."""
    labels, training, holder = joined.labels, roles == TRAIN, joined.holder
    grouped = {name: group_columns(joined, name, training, config) for name in joined.tables}
    groupings = {name: columns.evidence.grouping for name, columns in grouped.items()}
    check_columns(grouped[holder].evidence, groupings.values(), config)
    used = np.flatnonzero(roles != TEST)
    coverage = {name: joined.coverage[name] for name in joined.tables if name != holder}
    parties = [name for name in coverage if len(groupings[name].columns)]
    bank = BankColumns.of(groupings[holder], {name: known[training] for name, known in coverage.items()})
    bank_groups = bank.transform(grouped[holder].codes, coverage)
    solver = bank.solver(bank_groups[used], labels[used], training[used], len(parties), config)
    passive = {
        name: Passive(
            groupings[name], grouped[name].codes[used], coverage[name][used], training[used], config
        )
        for name in parties
    }
    state, following = solver.begin()
    progress: list[Progress] = []
    while parties and not state.finished:
        steps = [party.step(following.mix, following.residual) for party in passive.values()]
        scores, products = (sum(parts) for parts in zip(*steps, strict=True))
        state, following = solver.advance(state, scores, products)
        progress.append(following.progress)
    scale = Scale.of(config)
    weights = {holder: state.weights} | {name: party.values[-1] for name, party in passive.items()}
    points = BankPoints.of(bank, state.weights, state.alone, scale)
    of_passive = {name: PointsTable.of(groupings[name], scale.points(weights[name])) for name in parties}
    tables = {holder: points.table, **of_passive}
    alone, beside = points.alone_table.totals(bank_groups), points.table.totals(bank_groups)
    total = points.bases(joined.unknown) + np.where(joined.unknown, alone, beside)
    for name, table in of_passive.items():
        total += table.totals(groupings[name].transform(grouped[name].codes))
    validation, odds = used[~training[used]], scale.log_odds(total)
    calibration = Calibration.fit(odds[validation], labels[validation]) if config.calibrate else Calibration()
    card = tables_of_card(_shares(joined, grouped, bank, points, tables, roles), config, points, total, roles)
    return Scorecard(
        weights=weights,
        tables=tables,
        scores=total,
        log_odds=calibration.log_odds(odds),
        progress=progress,
        card=named(card, {name: table.names for name, table in joined.tables.items()}),
    )


@dataclass(frozen=True)
class Grouped:
    """A party's columns: how they are binned, the bins codes (n, c) of all rows, and the groups of the bins."""

    binning: Binning
    codes: Codes
    evidence: Evidence


def group_columns(joined: Joined, name: str, training: NDArray[np.bool_], config: ScorecardConfig) -> Grouped:
    """A party's bins and its groups by the labels of the training rows."""
    table, signs = joined.tables[name], joined.signs(name)
    binning = Binning.fit(table, np.flatnonzero(training), config.bins, config.min_group, signs, special=True)
    codes, learned = binning.transform(table), training & table.known
    shape, labels = demanded(binning.shape, config), joined.labels[learned]
    protected = name != joined.holder
    return Grouped(binning, codes, group_by_labels(shape, codes[learned], labels, config, protected))


def _shares(
    joined: Joined,
    grouped: dict[str, Grouped],
    bank: BankColumns,
    points: BankPoints,
    tables: dict[str, PointsTable],
    roles: Roles,
) -> list[Share]:
    """What the model card is made of, as the parties tell it in the federation, with the values of every group."""
    shares, training = [], roles == TRAIN
    for name, table_of_points in tables.items():
        table, evidence, codes = joined.tables[name], grouped[name].evidence, grouped[name].codes
        values = values_of(joined.columns[name], table, grouped[name].binning, evidence.grouping)
        reasons = reasons_of(joined.columns[name], table, evidence.grouping.columns)
        if name == joined.holder:
            groups = bank.transform(codes, joined.coverage)
            card = told(table_of_points, groups, roles, values, reasons, bank.covered)
            trained, labels = groups[training], joined.labels[training]
            share = Share.of_bank(name, card, bank, points, trained, labels, evidence.information)
        else:
            groups = evidence.grouping.transform(codes[table.known])
            card = told(table_of_points, groups, roles[table.known], values, reasons)
            share = Share.of_passive(name, card, evidence)
        shares.append(share)
    return shares


class Passive:
    """A passive party's way through the exchanges, of rows (n,) that train or validate."""

    def __init__(
        self,
        grouping: Grouping,
        codes: Codes,
        known: NDArray[np.bool_],
        training: NDArray[np.bool_],
        config: ScorecardConfig,
    ) -> None:
        self._known, self._learned, self._precision = known, known[training], config.precision
        self._design = one_hot(grouping.transform(codes[known]), grouping.counts)
        learned = one_hot(grouping.transform(codes[known & training]), grouping.counts)
        self._block = PassiveBlock.of(
            learned, cone_of(grouping), config.penalty, all_known=bool(self._learned.all())
        )
        self.values = self._steps = np.empty((0, learned.shape[1]))

    def step(self, mix: Floats, residual: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Partial scores (n,) after a step from the mixed weights, and inner products (t,) with the steps so far."""
        learned, weights = self._block.design, mix @ self.values
        # Whole numbers, whose sums are below 2^53 and so exact.
        sums = (learned.T @ residual[self._learned]).astype(np.int64)
        after = self._block.step(weights, sums, self._precision)
        self.values = np.concatenate([self.values, after[None]])
        self._steps = np.concatenate([self._steps, (after - weights)[None]])
        scores = np.zeros(len(self._known))
        scores[self._known] = self._design @ after
        return scores, self._block.products(self._steps)
