"""The scorecard of several banks and passive parties without a federation: the pooled twin.

It is fitted to the joined tables of all banks, block by block as in the federation. It shares with the federation what
defines the model (the grid, groups, the quadratic problem of a step, mixing, units of rounding); sums are taken over
a dense matrix of all rows, and there are no states. `fl/hybrid_scorecard` has the definition.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from clients.scorecard.columns import demanded
from experiments.baselines import Fitted
from experiments.baselines.banks_bins import banks_bins
from experiments.baselines.banks_scorecard import fit_weights, rounded
from experiments.baselines.scorecard import Passive
from fl.banks.grid import Schema
from fl.banks.program import Rows
from fl.binning import UNKNOWN, Binning
from fl.calibration import Calibration
from fl.config.scorecard import ScorecardConfig
from fl.hybrid_scorecard.solving import MOST, NEAR
from fl.scorecard.bank import BankColumns
from fl.scorecard.grouping import check_columns, group_by_labels
from fl.scorecard.mixing import mixing
from fl.scorecard.points import Scale
from fl.scorecard.regression import cone_of
from fl.splits import TEST, TRAIN, VALIDATION
from fl.tables import Table

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Scorecard:
    """A scorecard of all banks' rows.

    base, points  the points that everybody has, and by owner (the banks' under no name) those of all groups
    alone         the base, and the banks' points, of businesses that no passive party knows
    log_odds      float64 (n,): calibrated by each bank's validation rows, of the rows of one bank after the other
    curve         by exchange the mean log loss of training and of validation rows
    """

    base: int
    points: Mapping[str, Integers]
    alone: tuple[int, Integers]
    log_odds: Floats
    curve: list[dict[str, float]]


def train(
    banks: Sequence[Rows],
    partners: Sequence[Mapping[str, Table]],
    signs: Mapping[str, Mapping[str, int]],
    schema: Schema,
    seed: int,
    config: ScorecardConfig,
) -> Fitted:
    """Train as `fit_scorecard` does; log odds (n,) are of the rows of one bank after the other. No seed is used."""
    scorecard = fit_scorecard(banks, partners, signs, schema, config)
    return Fitted(scorecard.log_odds, scorecard.curve)


def fit_scorecard(
    banks: Sequence[Rows],
    partners: Sequence[Mapping[str, Table]],
    signs: Mapping[str, Mapping[str, int]],
    schema: Schema,
    config: ScorecardConfig,
) -> Scorecard:
    """Bin, group and fit the scorecard, round it to points, and calibrate these for each bank.

    partners has for each bank the passive parties' tables of its rows, by name in the order of the federation, and
    signs by party and column what effect on risk is demanded.
    """
    labels = np.concatenate([rows.labels for rows in banks])
    roles = np.concatenate([rows.roles for rows in banks])
    training, used = roles == TRAIN, np.flatnonzero(roles != TEST)
    tables = {name: Table.stacked([of_bank[name] for of_bank in partners]) for name in partners[0]}
    known = {name: table.known for name, table in tables.items()}
    codes, evidences = {}, {}
    for name, table in tables.items():
        binning = Binning.fit(
            table, np.flatnonzero(training), config.bins, config.min_group, signs[name], special=True
        )
        codes[name], learned = binning.transform(table), training & known[name]
        shape = demanded(binning.shape, config)
        evidences[name] = group_by_labels(shape, codes[name][learned], labels[learned], config, True)
    groupings = {name: each.grouping for name, each in evidences.items() if len(each.grouping.columns)}
    binning, table = banks_bins(banks, schema, config.bins, config.min_group, special=True)
    of_banks = binning.transform(table)
    shape = demanded(binning.shape, config)
    evidence = group_by_labels(shape, of_banks[training], labels[training], config, False)
    check_columns(evidence, [each.grouping for each in evidences.values()], config)
    columns = BankColumns.of(evidence.grouping, {name: flags[training] for name, flags in known.items()})
    groups = columns.transform(of_banks, known) + np.cumsum(columns.whole.counts) - columns.whole.counts
    passive = {
        name: Passive(grouping, codes[name][used], known[name][used], training[used], config)
        for name, grouping in groupings.items()
    }
    fit = _Fit(columns, groups[used], labels[used], training[used], passive, config)
    weights, alone, curve = fit.run()
    scale = Scale.of(config)
    points = {"": scale.points(weights[1:])}
    points |= {name: scale.points(party.values[-1]) for name, party in passive.items()}
    base, alone_base, alone_points = (
        scale.base(float(weights[0])),
        scale.base(float(alone[0])),
        scale.points(alone[1:]),
    )
    unknown = ~np.logical_or.reduce([np.zeros(len(labels), bool), *known.values()])
    scores = np.where(
        unknown, alone_base + alone_points[groups].sum(axis=1), base + points[""][groups].sum(axis=1)
    )
    for name, grouping in groupings.items():
        in_groups = grouping.transform(codes[name]).astype(np.int64)
        places = np.where(in_groups == UNKNOWN, 0, in_groups + np.cumsum(grouping.counts) - grouping.counts)
        scores += np.where(known[name], points[name][places].sum(axis=1), 0)
    log_odds = scale.log_odds(scores)
    ends = np.cumsum([len(rows) for rows in banks])
    for start, end in zip(ends - [len(rows) for rows in banks], ends, strict=True):
        judged = start + np.flatnonzero(roles[start:end] == VALIDATION)
        if config.calibrate:
            calibration = Calibration.fit(log_odds[judged], labels[judged])
            log_odds[start:end] = calibration.log_odds(log_odds[start:end])
    return Scorecard(
        base=base, points=points, alone=(alone_base, alone_points), log_odds=log_odds, curve=curve
    )


@dataclass(frozen=True)
class _Fit:
    """The exchanges on rows (n,) that train or validate, with the banks' groups (n, k), numbered over all columns."""

    columns: BankColumns
    groups: Integers
    labels: NDArray[np.int8]
    training: NDArray[np.bool_]
    passive: Mapping[str, Passive]
    config: ScorecardConfig

    def run(self) -> tuple[Floats, Floats, list[dict[str, float]]]:
        """The banks' weights beside the passive parties' and without any, and the losses on the way."""
        config, bads = self.config, int(self.labels[self.training].sum())
        start = np.zeros(1 + int(self.columns.whole.counts.sum()))
        start[0] = rounded(np.log(bads / (self.training.sum() - bads)))
        weights, _ = self._solve(start, 0.0)
        alone, curve = weights, list[dict[str, float]]()
        mix, steps = np.empty(0), list[Floats]()
        products, points = np.empty((0, 0)), list[Floats]()
        while self.passive:
            residual = self._residual(weights, mix, steps)
            told = [party.step(mix, residual) for party in self.passive.values()]
            scores, inner = (sum(parts) for parts in zip(*told, strict=True))
            steps.append(scores)
            points.append(mix)
            count = len(steps)
            products = np.block([[products, inner[:-1, None]], [inner[None]]])
            last = (np.arange(count) == count - 1).astype(np.float64)
            ended = np.sqrt(max(products[-1, -1], 0.0)) <= config.tolerance or count >= config.exchanges
            mix = last
            if not ended:
                mixes = np.array([np.pad(point, (0, count - len(point))) for point in points])
                mix = rounded(mixing(products, mixes, config.depth, 1 / len(self.passive)))
            weights, loss = self._solve(weights, self._offset(mix, steps))
            validation = [each["valid.loss"] for each in [*curve, loss][-3:]]
            if not ended and len(validation) == 3 and (np.abs(np.diff(validation)) < config.settled).all():
                ended = True
                weights, loss = self._solve(weights, self._offset(last, steps))
            curve.append(loss)
            if ended:
                break
        return weights, alone, curve

    def _solve(self, start: Floats, offset: Floats | float) -> tuple[Floats, dict[str, float]]:
        columns, (l1, l2) = self.columns, self.config.penalty
        of_coverage = len(start) - 1 - int(columns.grouping.counts.sum())
        penalties = np.full(len(start), l1), np.full(len(start), l2)
        penalties[0][[0, *range(len(start) - of_coverage, len(start))]] = 0
        penalties[1][0] = 0
        cone = cone_of(columns.whole).with_intercept()
        rows = np.flatnonzero(self.training), np.flatnonzero(~self.training)
        weights, curve = fit_weights(
            self.groups, self.labels, rows, offset, start, cone, penalties, self.config, NEAR, MOST
        )
        return weights, curve[-1]

    def _offset(self, mix: Floats, steps: Sequence[Floats]) -> Floats:
        offset = np.zeros(len(self.labels))
        for share, scores in zip(mix, steps, strict=True):
            offset += share * scores
        return offset

    def _residual(self, weights: Floats, mix: Floats, steps: Sequence[Floats]) -> Integers:
        scores = np.zeros(len(self.labels))
        for of_column in self.groups.T:
            scores += weights[1:][of_column]
        scores += self._offset(mix, steps) + weights[0]
        exact = expit(scores[self.training]) - self.labels[self.training]
        return np.asarray(np.rint(exact * 2.0**self.config.precision), np.int64)
