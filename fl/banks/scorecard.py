"""A scorecard of several banks: that of all their rows in one table, from sums over rows that stay where they are.

The banks add, in this order:

1. their training rows by the cells of the common grid (`grid`), from which bins follow, and how many goods and bads
   train and validate;
2. the goods and bads of every bin, from which groups follow as for a bank alone (`fl/scorecard/grouping.py`);
3. in each of a few steps of Newton's method: log losses, gradient and Hessian at weights that all of them have
   (`newton`). The fit ends when the gradient asks for a step that no point would notice;
4. the validation rows by their log odds on a fine grid, and then the goods, the bads and the PDs of each bin that
   follows (`evaluation`), by which the map from points to PDs is fitted.

Whole numbers are added, so the scorecard of several banks is the scorecard of one that has all rows, bit for bit
(`experiments/baselines/banks_scorecard.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fl.banks.evaluation import cuts_of, outcomes, row_counts, rows_of
from fl.banks.grid import Grid, Schema
from fl.banks.newton import Newton, Regression, check_length, grained
from fl.banks.program import Rows
from fl.binning import Binning
from fl.calibration import Calibration
from fl.config.scorecard import ScorecardConfig
from fl.errors import ProtocolError
from fl.scorecard.bank import BankColumns, BankPoints
from fl.scorecard.design import Floats, by_column, one_hot
from fl.scorecard.grouping import Evidence, check_columns, group
from fl.scorecard.points import Scale
from fl.scorecard.regression import cone_of
from fl.splits import TEST, TRAIN, VALIDATION
from fl.sums import counts_by_bin

Integers = NDArray[np.int64]

SETTLED = 1e-6
"""A step in which no weight moves further ends the fit; a point is a thousand times as much and more."""


@dataclass(frozen=True, kw_only=True)
class ScorecardState:
    """What a bank has between two sums; what a later sum makes is None until then.

    labels int64 (2, 2) are the goods and bads of the training and of the validation rows of all banks, and cuts are
    where the bins of validation rows meet.
    """

    labels: Integers
    binning: Binning | None = None
    evidence: Evidence | None = None
    newton: Newton | None = None
    cuts: Floats | None = None
    calibration: Calibration | None = None


class ScorecardProgram:
    """The scorecard of several banks as a program of sums (`program`). Nothing in it is drawn by chance."""

    state = ScorecardState

    def __init__(self, config: ScorecardConfig, seed: int, schema: Schema) -> None:
        self._config, self._schema = config, schema
        self.grid = Grid(schema, special=True)

    def begin(self, rows: Rows) -> ScorecardState:
        """Nothing is known yet."""
        return ScorecardState(labels=np.zeros((2, 2), np.int64))

    def addend(self, rows: Rows, state: ScorecardState) -> Integers | None:
        """What the bank adds next; see the module."""
        if state.binning is None:
            training = self._schema.table(rows.table).take(np.flatnonzero(rows.roles == TRAIN))
            return np.concatenate([_labels(rows).ravel(), self.grid.addend(training)])
        if state.evidence is None:
            return self._outcomes_by_bin(rows, state.binning, np.flatnonzero(rows.roles == TRAIN))
        if state.newton is not None and not state.newton.settled:
            return self._derivatives(rows, state)
        if not self._config.calibrate or state.calibration is not None:
            return None
        validation = rows.roles == VALIDATION
        odds = self._odds(rows, state)[validation]
        return row_counts(odds) if state.cuts is None else outcomes(odds, rows.labels[validation], state.cuts)

    def advance(self, rows: Rows, state: ScorecardState, total: Integers) -> ScorecardState:
        """What all banks make of the total. Raises ConfigError if no column stays, ProtocolError for other totals."""
        if state.binning is None:
            labels, config = total[:4].reshape(2, 2), self._config
            if not labels.all():
                raise ProtocolError("the banks' training and validation rows must hold goods and bads")
            binning = self.grid.binning(total[4:], config.bins, config.min_group, self._signs(rows))
            return replace(state, labels=labels, binning=binning)
        if state.evidence is None:
            return self._grouped(state, state.binning, total)
        if state.newton is not None and not state.newton.settled:
            return replace(state, newton=self._regression(state).step(state.newton, total))
        if state.cuts is None:
            return replace(state, cuts=cuts_of(total))
        of_bins, pd = rows_of(total)
        return replace(state, calibration=Calibration.fit(np.log(pd / (1 - pd)), of_bins))

    def progress(self, state: ScorecardState) -> tuple[int, Mapping[str, float]] | None:
        """The sums of Newton's method so far, and both log losses where the last of them was taken."""
        if state.newton is None or not len(state.newton.losses) or state.cuts is not None:
            return None
        training, validation = state.newton.losses[-1].tolist()
        return len(state.newton.losses), {"train.loss": training, "valid.loss": validation}

    def log_odds(self, rows: Rows, state: ScorecardState) -> Floats:
        """The calibrated log odds (n,) for which the points of the rows stand."""
        return self.calibration(state).log_odds(self._odds(rows, state))

    def shared(self, state: ScorecardState) -> ScorecardState:
        """See `Program.shared`; the goods and bads of each group are part of a scorecard."""
        binning, evidence = self.trained(state)
        evidence.grouping.check()
        weights, no_losses = self.weights(state), np.empty((0, 2))
        newton = Newton(origin=weights, objective=0.0, weights=weights, losses=no_losses, settled=True)
        return ScorecardState(
            labels=np.zeros((2, 2), np.int64),
            binning=binning,
            evidence=evidence,
            newton=newton,
            calibration=state.calibration,
        )

    def contributions(self, rows: Rows, state: ScorecardState) -> dict[int, Floats]:
        """By how much each column's points are other than those of the banks' mean training row, as log odds."""
        table, (binning, evidence) = self.points(state).table, self.trained(state)
        groups = evidence.grouping.transform(binning.transform(self._schema.table(rows.table)))
        sizes = by_column(evidence.goods + evidence.bads, table.counts)
        means = [
            of_groups @ shares / shares.sum()
            for of_groups, shares in zip(table.by_column, sizes, strict=True)
        ]
        slope = self.calibration(state).slope / Scale.of(self._config).factor
        of_columns = slope * (np.array(means) - table.of_columns(groups))
        return dict(zip(table.columns.tolist(), of_columns.T, strict=True))

    def calibration(self, state: ScorecardState) -> Calibration:
        """The map from the log odds of the points to those of the PD."""
        return state.calibration or Calibration()

    def scores(self, rows: Rows, state: ScorecardState) -> Integers:
        """The points (n,) of the rows."""
        binning, evidence = self.trained(state)
        groups = evidence.grouping.transform(binning.transform(self._schema.table(rows.table)))
        points = self.points(state)
        return points.base + points.table.totals(groups)

    def points(self, state: ScorecardState) -> BankPoints:
        """The points tables of the trained scorecard: those of one bank alone, with no passive party beside it."""
        columns, weights = BankColumns(self.trained(state)[1].grouping, {}), self.weights(state)
        return BankPoints.of(columns, weights, weights, Scale.of(self._config))

    def _odds(self, rows: Rows, state: ScorecardState) -> Floats:
        """The log odds (n,) for which the points of the rows stand."""
        return Scale.of(self._config).log_odds(self.scores(rows, state))

    def _signs(self, rows: Rows) -> NDArray[np.int8]:
        columns = (*self._schema.numeric, *self._schema.categorical)
        return np.array([rows.signs.get(name, 0) for name in columns], np.int8)

    def _outcomes_by_bin(self, rows: Rows, binning: Binning, places: Integers) -> Integers:
        codes, shape = binning.transform(self._schema.table(rows.table), places), binning.shape
        return counts_by_bin(codes, rows.labels[places], 2, shape.width)[:, shape.cells].ravel()

    def _grouped(self, state: ScorecardState, binning: Binning, total: Integers) -> ScorecardState:
        """Groups by the goods and bads of every bin, and where Newton's method begins: all groups alike."""
        shape = binning.shape if self._config.monotone else binning.shape.without_signs()
        check_length(total, 2 * int(shape.bins.sum()))
        goods, bads = total.reshape(2, -1)
        evidence = group(shape, goods, bads, self._config, protected=False)
        check_columns(evidence, (), self._config)
        return replace(
            state, evidence=evidence, newton=Newton.at(start_of(state.labels, evidence.grouping.counts))
        )

    def _derivatives(self, rows: Rows, state: ScorecardState) -> Integers:
        """What is added for the next step of Newton's method."""
        binning, evidence = self.trained(state)
        used = np.flatnonzero(rows.roles != TEST)
        groups = evidence.grouping.transform(binning.transform(self._schema.table(rows.table), used))
        design, training = one_hot(groups, evidence.grouping.counts), rows.roles[used] == TRAIN
        return self._regression(state).addend(design, rows.labels[used], training, 0.0, self.weights(state))

    def _regression(self, state: ScorecardState) -> Regression:
        config, grouping = self._config, self.trained(state)[1].grouping
        width = int(grouping.counts.sum())
        l1, l2 = (np.append(0.0, np.full(width, penalty)) for penalty in config.penalty)
        return Regression(
            cone=cone_of(grouping).with_intercept(),
            l1=l1,
            l2=l2,
            rows=state.labels.sum(axis=1),
            precision=config.precision,
            near=SETTLED,
            most=config.exchanges,
        )

    def trained(self, state: ScorecardState) -> tuple[Binning, Evidence]:
        """The bins, and what is known of their groups."""
        if state.binning is None or state.evidence is None:
            raise ProtocolError("the banks' scorecard has no groups yet")
        return state.binning, state.evidence

    def weights(self, state: ScorecardState) -> Floats:
        """The weights (1 + width,), the intercept first."""
        return self._newton(state).weights

    def _newton(self, state: ScorecardState) -> Newton:
        if state.newton is None:
            raise ProtocolError("the banks' scorecard has no weights yet")
        return state.newton


def _labels(rows: Rows) -> Integers:
    """The goods and bads of the training and of the validation rows, (2, 2)."""
    return np.array(
        [np.bincount(rows.labels[rows.roles == role], minlength=2) for role in (TRAIN, VALIDATION)]
    )


def start_of(labels: Integers, counts: Integers) -> Floats:
    """The weights (1 + all groups,) before the first step: all groups are alike.

    labels (2, 2) as in `ScorecardState`, counts (k,) are the groups of each column.
    """
    weights = np.zeros(1 + int(counts.sum()))
    weights[0] = grained(np.log(labels[0, 1] / labels[0, 0]))
    return weights
