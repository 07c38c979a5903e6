"""The scorecard of several banks, fitted by one who has all their rows.

It is the pooled twin: points and PDs of the banks' scorecard must equal it bit for bit, whoever holds which row. To be
worth something as a check it shares with the program of sums only what defines the model (the grid, groups, the
quadratic problem of a step, units of rounding); sums are taken over a dense matrix of all rows, and there are no
states. That both are right, the comparison with scikit-learn's logistic regression shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from experiments.baselines import Fitted
from experiments.baselines.banks_bins import banks_bins
from fl.banks.evaluation import cuts_of, outcomes, row_counts, rows_of
from fl.banks.grid import Schema
from fl.banks.newton import GRAIN, WORSE
from fl.banks.program import Rows
from fl.banks.scorecard import SETTLED
from fl.calibration import Calibration
from fl.config.scorecard import ScorecardConfig
from fl.scorecard.cone import Cone
from fl.scorecard.grouping import Grouping, group_by_labels
from fl.scorecard.points import Scale
from fl.scorecard.regression import cone_of
from fl.splits import TRAIN, VALIDATION

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Scorecard:
    """A scorecard of all banks' rows.

    base, points   the points that everybody has, and int64 (all groups,) those of each group
    log_odds       float64 (n,): calibrated, of all rows
    curve          by step the mean log loss of training and of validation rows
    """

    grouping: Grouping
    base: int
    points: Integers
    log_odds: Floats
    curve: list[dict[str, float]]


def train(banks: Sequence[Rows], schema: Schema, seed: int, config: ScorecardConfig) -> Fitted:
    """Train; log odds (n,) are of the rows of one bank after the other. Nothing is drawn by the seed."""
    scorecard = fit_scorecard(banks, schema, config)
    return Fitted(scorecard.log_odds, scorecard.curve)


def fit_scorecard(banks: Sequence[Rows], schema: Schema, config: ScorecardConfig) -> Scorecard:
    """Bin, group and fit the scorecard, round it to points, and calibrate these."""
    labels, roles = (np.concatenate([getattr(rows, name) for rows in banks]) for name in ("labels", "roles"))
    training, validation = (np.flatnonzero(roles == role) for role in (TRAIN, VALIDATION))
    binning, table = banks_bins(banks, schema, config.bins, config.min_group, special=True)
    codes = binning.transform(table)
    shape = binning.shape if config.monotone else binning.shape.without_signs()
    grouping = group_by_labels(shape, codes[training], labels[training], config, protected=False).grouping
    groups = grouping.transform(codes) + np.cumsum(grouping.counts) - grouping.counts
    bads = int(labels[training].sum())
    start = np.zeros(1 + int(grouping.counts.sum()))
    start[0] = rounded(np.log(bads / (len(training) - bads)))
    penalty = tuple(np.append(0.0, np.full(len(start) - 1, each)) for each in config.penalty)
    cone = cone_of(grouping).with_intercept()
    weights, curve = fit_weights(groups, labels, (training, validation), 0.0, start, cone, penalty, config)
    scale = Scale.of(config)
    base, points = scale.base(float(weights[0])), scale.points(weights[1:])
    odds = scale.log_odds(base + points[groups].sum(axis=1))
    calibration = Calibration()
    if config.calibrate:
        judged = odds[validation]
        of_bins, pd = rows_of(outcomes(judged, labels[validation], cuts_of(row_counts(judged))))
        calibration = Calibration.fit(np.log(pd / (1 - pd)), of_bins)
    return Scorecard(
        grouping=grouping, base=base, points=points, log_odds=calibration.log_odds(odds), curve=curve
    )


def fit_weights(
    groups: Integers,
    labels: NDArray[np.int8],
    roles: tuple[Integers, Integers],
    offset: Floats | float,
    start: Floats,
    cone: Cone,
    penalty: tuple[Floats, Floats],
    config: ScorecardConfig,
    near: float = SETTLED,
    most: int | None = None,
) -> tuple[Floats, list[dict[str, float]]]:
    """The weights (1 + width,), the intercept first, of rows in groups (n, k), numbered over all columns.

    roles are the rows that train and those that validate, offset (n,) is added to their scores, penalty has the L1 and
    the L2 penalty of each weight; near and most say where the fit ends (`fl/banks/newton.py`).
    """
    unit, (l1, l2), (training, validation) = 2.0**config.precision, penalty, roles
    matrix = np.zeros((len(training), len(start)))
    matrix[:, 0] = 1
    np.put_along_axis(matrix, 1 + groups[training], 1, axis=1)
    weights = origin = start
    least, curve = np.inf, []
    while True:
        scores = np.zeros(len(labels))
        for of_column in groups.T:
            scores += weights[1:][of_column]
        scores += offset + weights[0]
        losses = np.rint((np.logaddexp(0, scores) - labels * scores) * unit)
        loss = losses[training].sum() / unit
        means = loss / len(training), losses[validation].sum() / unit / len(validation)
        curve.append(dict(zip(("train.loss", "valid.loss"), means, strict=True)))
        objective = float(loss + (l2 * weights) @ weights / 2 + l1 @ np.abs(weights))
        if objective > least + WORSE * abs(least):
            weights = rounded((origin + weights) / 2)
        else:
            pd = expit(scores[training])
            gradient = matrix.T @ np.rint((pd - labels[training]) * unit) / unit
            hessian = matrix.T @ (matrix * np.rint(pd * (1 - pd) * unit)[:, None]) / unit
            origin, least = weights, objective
            weights = rounded(cone.least(hessian + np.diag(l2), gradient + l2 * weights, weights, l1))
        if np.abs(weights - origin).max() < near or len(curve) == (most or config.exchanges):
            return weights, curve


def rounded(weights: Floats) -> Floats:
    """The nearest multiples of the grain."""
    return np.rint(weights / GRAIN) * GRAIN
