"""A scorecard of several banks: that of all their rows in one table, from sums over rows that stay where they are.

The banks add, in this order:

1. their training rows by the cells of the common grid (`grid`), from which bins follow, and how many goods and bads
   train and validate;
2. the goods and bads of every bin, from which groups follow as for a bank alone (`fl/scorecard/grouping.py`);
3. in each of a few steps, at weights that all of them have: the log loss of the training rows, its gradient and its
   Hessian, and the log loss of the validation rows. From the totals each bank takes the same step of Newton's method,
   under the same signs and penalties as for a bank alone (`fl/scorecard/cone.py`). A step that makes the objective
   worse is halved. The fit ends when the gradient asks for a step that no point would notice;
4. the validation rows by their log odds on a fine grid, and then the goods, the bads and the PDs of each bin that
   follows (`evaluation`), by which the map from points to PDs is fitted.

Of every row a bank rounds its part of the sums to a whole number of 2^−precision before it adds. So a total does not
depend on who holds a row, nor on any order, and the scorecard of several banks is the scorecard of one that has all
rows, bit for bit (`experiments/baselines/banks_scorecard.py`). The loss of the rounding is at most half a unit a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fl.banks.evaluation import cuts_of, outcomes, row_counts, rows_of
from fl.banks.grid import Grid, Schema
from fl.banks.program import Rows
from fl.binning import Binning
from fl.calibration import Calibration
from fl.config.scorecard import ScorecardConfig
from fl.errors import ProtocolError
from fl.scorecard.bank import BankColumns, BankPoints
from fl.scorecard.design import Design, Floats, by_column, gram, one_hot
from fl.scorecard.grouping import Evidence, check_columns, group
from fl.scorecard.points import Scale
from fl.scorecard.regression import cone_of
from fl.splits import TRAIN, VALIDATION
from fl.sums import counts_by_bin

Integers = NDArray[np.int64]

GRAIN = 2.0**-32
"""Weights are multiples of this, so that the banks' machines agree on them though they may round differently."""
SETTLED = 1e-6
"""A step in which no weight moves further ends the fit; a point is a thousand times as much and more."""
WORSE = 1e-9
"""Share of the objective by which it may rise in a step, since what is added is rounded."""


@dataclass(frozen=True, kw_only=True)
class Newton:
    """How far the fit of the weights is, float64 (1 + width,), the intercept first.

    origin     where the last accepted step began, and `objective` there
    weights    where the next sums are taken, or the final ones when the fit has `settled`
    losses     float64 (t, 2): the mean log loss of training and of validation rows at each of the sums so far
    """

    origin: Floats
    objective: float
    weights: Floats
    losses: Floats
    settled: bool


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
            return self._outcomes_by_bin(rows, state.binning)
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
            signs = np.array(
                [rows.signs.get(name, 0) for name in (*self._schema.numeric, *self._schema.categorical)],
                np.int8,
            )
            binning = self.grid.binning(total[4:], config.bins, config.min_group, signs)
            return replace(state, labels=labels, binning=binning)
        if state.evidence is None:
            return self._grouped(state, state.binning, total)
        if state.newton is not None and not state.newton.settled:
            return replace(state, newton=self._step(state, state.newton, total))
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

    def _outcomes_by_bin(self, rows: Rows, binning: Binning) -> Integers:
        training = rows.roles == TRAIN
        codes = binning.transform(self._schema.table(rows.table), np.flatnonzero(training))
        shape = binning.shape
        return counts_by_bin(codes, rows.labels[training], 2, shape.width)[:, shape.cells].ravel()

    def _grouped(self, state: ScorecardState, binning: Binning, total: Integers) -> ScorecardState:
        """Groups by the goods and bads of every bin, and where Newton's method begins: all groups alike."""
        shape = binning.shape if self._config.monotone else binning.shape.without_signs()
        _check_length(total, 2 * int(shape.bins.sum()))
        goods, bads = total.reshape(2, -1)
        evidence = group(shape, goods, bads, self._config, protected=False)
        check_columns(evidence, (), self._config)
        weights = np.zeros(1 + int(evidence.grouping.counts.sum()))
        weights[0] = np.rint(np.log(state.labels[0, 1] / state.labels[0, 0]) / GRAIN) * GRAIN
        newton = Newton(
            origin=weights, objective=np.inf, weights=weights, losses=np.empty((0, 2)), settled=False
        )
        return replace(state, evidence=evidence, newton=newton)

    def _derivatives(self, rows: Rows, state: ScorecardState) -> Integers:
        """Log loss of the validation rows and of the training rows, and its gradient and Hessian, in whole numbers."""
        binning, evidence = self.trained(state)
        groups = evidence.grouping.transform(binning.transform(self._schema.table(rows.table)))
        weights, counts = self.weights(state), evidence.grouping.counts
        scores = weights[0] + one_hot(groups, counts) @ weights[1:]
        of_rows = self._whole(np.logaddexp(0, scores) - rows.labels * scores)
        losses = [of_rows[rows.roles == role].sum() for role in (VALIDATION, TRAIN)]
        training = rows.roles == TRAIN
        design, pd = one_hot(groups[training], counts), expit(scores[training])
        residual, variance = self._whole(pd - rows.labels[training]), self._whole(pd * (1 - pd))
        return np.concatenate([losses, _sums(design, residual), _triangle(design, variance)]).astype(np.int64)

    def _step(self, state: ScorecardState, newton: Newton, total: Integers) -> Newton:
        """Where to go from the sums at the weights."""
        grouping, width = self.trained(state)[1].grouping, len(newton.weights)
        places = np.triu_indices(width)
        _check_length(total, 2 + width + len(places[0]))
        sums = total / 2.0**self._config.precision
        losses = np.vstack([newton.losses, sums[1::-1] / state.labels.sum(axis=1)])
        l1, l2 = (np.append(0.0, np.full(width - 1, penalty)) for penalty in self._config.penalty)
        weights = newton.weights
        objective = float(sums[1] + (l2 * weights) @ weights / 2 + l1 @ np.abs(weights))
        if objective > newton.objective + WORSE * abs(newton.objective):
            return self._moved(newton, (newton.origin + weights) / 2, losses)
        hessian = np.diag(l2)
        hessian[places] += sums[2 + width :]
        hessian = np.triu(hessian) + np.triu(hessian, 1).T
        cone = cone_of(grouping).with_intercept()
        wanted = cone.least(hessian, sums[2 : 2 + width] + l2 * weights, weights, l1)
        return self._moved(replace(newton, origin=weights, objective=objective), wanted, losses)

    def _moved(self, newton: Newton, wanted: Floats, losses: Floats) -> Newton:
        """The same at other weights, which are the final ones if they are as good as those before."""
        weights = np.rint(wanted / GRAIN) * GRAIN
        near = bool(np.abs(weights - newton.origin).max() < SETTLED)
        settled = near or len(losses) == self._config.exchanges
        return replace(newton, weights=weights, losses=losses, settled=settled)

    def _whole(self, values: Floats) -> Floats:
        """Values in whole numbers of 2^−precision; their sums are below 2^53, where floating point is exact."""
        return np.rint(values * 2.0**self._config.precision)

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


def _sums(design: Design, values: Floats) -> Floats:
    """The sum of values (n,) over all rows, and over those of each group, (1 + width,)."""
    return np.append(values.sum(), design.T @ values)


def _triangle(design: Design, values: Floats) -> Floats:
    """The sum of values (n,) over the rows of each pair of groups, all rows being the first group; upper triangle."""
    across = _sums(design, values)
    whole = np.block([[across[:1, None], across[None, 1:]], [across[1:, None], gram(design, values)]])
    return np.asarray(whole[np.triu_indices(len(whole))], np.float64)


def _check_length(total: Integers, length: int) -> None:
    """Raises ProtocolError unless the total has so many numbers."""
    if total.shape != (length,):
        raise ProtocolError(f"the banks' sums must be {length} numbers, not {total.shape}")
