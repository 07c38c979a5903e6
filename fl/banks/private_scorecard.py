"""A scorecard of several banks with noise on its sums: what the banks see of one another is differentially private.

The Hessian of the log loss has a number for each two groups, and noise would drown it. So here the weights of a
column's groups are their weights of evidence times one factor, as in the classic scorecard (Siddiqi, "Credit Risk
Scorecards", 2006). The banks add, in this order:

1. their rows by the cells of a coarse grid, from which bins follow (`fl/banks/noisy_bins.py`);
2. the goods and bads of every bin, from which groups and weights of evidence follow;
3. the products of each two columns' weights of evidence in a row, and of each with the residual of the row, where all
   rows have one PD. These are Hessian and gradient of the log loss by the factors there, and one step of Newton's
   method leads to the factors. None is negative, so points keep to the declared signs as the groups do. The level
   of the log odds is that at which normal ones of their variance have the share of bads as their mean PD.

Validation rows train, too, since more rows are worth more under noise than a calibration would be. The settings
`max-p`, `c`, `l1-ratio`, `exchanges` and `calibrate` are not used. All of this was chosen by the test AUC on economies
81 to 85, which no published figure uses, among some fifty variants.

The noise (`fl/secure_sums/noise.py`) covers all that a bank learns of another bank's rows that train or validate, of
which one is added or taken away. It does not cover the test rows, whose evaluation is counted exactly
(`fl/banks/evaluation.py`).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from fl.banks import noisy_bins
from fl.banks.grid import Grid, Schema
from fl.banks.newton import Newton, check_length, grained
from fl.banks.program import Rows
from fl.banks.scorecard import ScorecardProgram, ScorecardState
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError
from fl.scorecard.cone import Cone
from fl.scorecard.design import Floats, by_column
from fl.scorecard.grouping import DROPPED, Evidence, group
from fl.secure_sums.noise import Noise
from fl.splits import TEST

Integers = NDArray[np.int64]

BINS_SHARE, OUTCOMES_SHARE, PRODUCTS_SHARE = 0.15, 0.55, 0.3
"""The parts of the budget that the three sums cost."""
BINS = 6
"""The most bins of a column: fewer than without noise, so that the outcomes of each stand out from it."""
ADDED = 2
"""So many standard deviations of noise are added to the bads of a group, to draw its weight of evidence to zero."""
GREATEST = 1.5
"""How far from zero a weight of evidence is at most."""
PRECISION = 10
"""Fractional bits of what is multiplied in a product."""

NODES = 32
"""Of the quadrature by which the level of the log odds follows from their variance."""


class PrivateScorecardProgram(ScorecardProgram):
    """The scorecard under noise as a program of sums (`fl/banks/program.py`)."""

    def __init__(self, config: ScorecardConfig, seed: int, schema: Schema, noise: Noise) -> None:
        super().__init__(config, seed, schema)
        self.noise = noise
        self.grid = Grid(schema, special=True, resolution=noisy_bins.RESOLUTION)

    def addend(self, rows: Rows, state: ScorecardState) -> Integers | None:
        """See `Program.addend`. It has this bank's share of the noise, so each call has another result."""
        learning = np.flatnonzero(rows.roles != TEST)
        if state.binning is None:
            numbers = self.grid.addend(self._schema.table(rows.table).take(learning))
        elif state.evidence is None:
            numbers = self._outcomes_by_bin(rows, state.binning, learning)
        elif state.newton is None:
            numbers = self._products(rows, state, learning)
        else:
            return None
        return numbers + self.noise.share(*self._cost(state), len(numbers))

    def advance(self, rows: Rows, state: ScorecardState, total: Integers) -> ScorecardState:
        """See `Program.advance`. Raises ConfigError if nothing stands out, ProtocolError for other totals."""
        deviation, config = self.noise.deviation(*self._cost(state)), self._config
        if state.binning is None:
            bins, signs = min(config.bins, BINS), self._signs(rows)
            binning = noisy_bins.binning(self.grid, total, deviation, bins, config.min_group, signs)
            return replace(state, binning=binning)
        if state.evidence is None:
            shape = state.binning.shape if config.monotone else state.binning.shape.without_signs()
            check_length(total, 2 * int(shape.bins.sum()))
            goods, bads = np.maximum(total, 0).reshape(2, -1)
            # The test of chance knows nothing of noise; what is weak has a small factor in any case.
            evidence = group(shape, goods, bads, replace(config, max_p=1.0), protected=False)
            if not len(evidence.grouping.columns):
                raise ConfigError("No column stands out from the noise of banks.epsilon; raise it.")
            return replace(state, evidence=evidence)
        return replace(state, newton=self._fitted(state, total, deviation))

    @property
    def _of_counts(self) -> float:
        """By how much a row changes counts, squared: it is in a cell, and in a bin, of every column."""
        return float(len(self._schema.numeric) + len(self._schema.categorical))

    def _cost(self, state: ScorecardState) -> tuple[float, float]:
        """By how much a row changes the next sum, squared, and what the sum costs."""
        if state.binning is None:
            return self._of_counts, BINS_SHARE * self.noise.budget
        if state.evidence is None:
            return self._of_counts, OUTCOMES_SHARE * self.noise.budget
        # The squares of a row's numbers add up to s at most; those of the products of each two of them to s² / 2.
        unit = 4.0**PRECISION
        squares = self._mean_square(state.evidence) * unit
        return squares**2 / 2 + squares * unit, PRODUCTS_SHARE * self.noise.budget

    def _evidence(self, evidence: Evidence) -> Floats:
        """The weight of evidence of each group, (width,), drawn to zero by its noise; over the rows its mean is 0."""
        bins = np.concatenate(
            [np.bincount(groups) for groups in evidence.grouping.by_column if groups[0] != DROPPED]
        )
        deviation = self.noise.deviation(self._of_counts, OUTCOMES_SHARE * self.noise.budget)
        rate, added = _rate(evidence), ADDED * deviation * np.sqrt(bins) + 0.5
        odds = (evidence.bads + added) / (evidence.goods + added * (1 - rate) / rate)
        weights = np.clip(np.log(odds) - logit(rate), -GREATEST, GREATEST)
        counts, rows = evidence.grouping.counts, evidence.goods + evidence.bads
        columns = zip(by_column(weights, counts), by_column(rows, counts), strict=True)
        means = np.array([np.average(of_column, weights=of_rows) for of_column, of_rows in columns])
        return np.asarray(weights - np.repeat(means, counts), np.float64)

    def _squares(self, evidence: Evidence) -> Floats:
        """By column the sum of squared weights of evidence over all rows, (k,)."""
        rows, counts = evidence.goods + evidence.bads, evidence.grouping.counts
        return np.array([part.sum() for part in by_column(self._evidence(evidence) ** 2 * rows, counts)])

    def _mean_square(self, evidence: Evidence) -> float:
        """The mean, over rows, of the sum of a row's squared weights of evidence: no row counts for more."""
        rows = (evidence.goods + evidence.bads).sum() / len(evidence.grouping.columns)
        return float(self._squares(evidence).sum() / rows)

    def _products(self, rows: Rows, state: ScorecardState, learning: Integers) -> Integers:
        """Of each two columns, and then of each column with the residual, the sum of products over the rows."""
        binning, evidence = self.trained(state)
        groups = evidence.grouping.transform(binning.transform(self._schema.table(rows.table), learning))
        weights = by_column(self._evidence(evidence), evidence.grouping.counts)
        values = np.stack([of[column] for of, column in zip(weights, groups.T, strict=True)], 1)
        squares, most = (values**2).sum(axis=1), self._mean_square(evidence)
        values *= np.sqrt(np.minimum(1, most / np.maximum(squares, most)))[:, None]
        # Towards zero, so that no row counts for more than that. Sums are below 2^53, where floating point is exact.
        numbers = np.trunc(values * 2.0**PRECISION)
        residuals = np.rint((rows.labels[learning] - _rate(evidence)) * 2.0**PRECISION)
        pairs = (numbers.T @ numbers)[np.triu_indices(numbers.shape[1], 1)]
        return np.concatenate([pairs, numbers.T @ residuals]).astype(np.int64)

    def _fitted(self, state: ScorecardState, total: Integers, deviation: float) -> Newton:
        """The weights after one step of Newton's method by the factors of all columns, from a PD that all rows have."""
        evidence = self.trained(state)[1]
        counts, rate = evidence.grouping.counts, _rate(evidence)
        places = np.triu_indices(len(counts), 1)
        check_length(total, len(places[0]) + len(counts))
        sums, noise = total / 4.0**PRECISION, deviation / 4.0**PRECISION
        products = np.zeros((len(counts), len(counts)))
        products[places] = sums[: len(places[0])]
        products += products.T + np.diag(self._squares(evidence))
        # A bound on the eigenvalues of the noise, as a penalty; and what else a Hessian that is convex takes.
        penalty = 2 * noise * np.sqrt(len(counts)) + max(0.0, -float(np.linalg.eigvalsh(products)[0]))
        hessian = products + penalty * np.eye(len(counts))
        cone = Cone(np.eye(len(counts)), np.ones(len(counts), bool))
        gradient = -sums[len(places[0]) :] / (rate * (1 - rate))
        factors = cone.least(hessian, gradient, np.zeros(len(counts)))
        rows = (evidence.goods + evidence.bads).sum() / len(counts)
        level = _level(rate, max(0.0, float(factors @ products @ factors)) / rows)
        weights = grained(np.append(level, np.repeat(factors, counts) * self._evidence(evidence)))
        return Newton(
            origin=weights, objective=np.inf, weights=weights, losses=np.empty((0, 2)), settled=True
        )


def _rate(evidence: Evidence) -> float:
    """The share of bads, of the counts of all columns together."""
    bads, rows = int(evidence.bads.sum()), int((evidence.goods + evidence.bads).sum())
    return min(max(bads / rows, 1e-3), 1 - 1e-3)


def _level(rate: float, variance: float) -> float:
    """The mean of normal log odds of this variance whose PDs have that mean."""
    nodes, shares = np.polynomial.hermite_e.hermegauss(NODES)
    odds = np.sqrt(variance) * nodes
    return float(brentq(lambda level: shares @ expit(level + odds) / shares.sum() - rate, -1e3, 1e3))
