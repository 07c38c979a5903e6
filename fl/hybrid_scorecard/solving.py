"""One bank's way through the exchanges: what it adds, what all banks make of the total, where they go, when they stop.

A `Solver` is that of `fl/scorecard/solver.py` for several banks: the same mixing of steps and the same ends, with the
banks' own weights found by Newton's method on sums of all.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fl.banks.newton import Newton, Regression, grained, linear, whole
from fl.banks.scorecard import start_of
from fl.config.scorecard import ScorecardConfig
from fl.scorecard.bank import BankColumns
from fl.scorecard.design import Design, Floats, Integers
from fl.scorecard.mixing import mixing
from fl.scorecard.regression import cone_of

NEAR = 1e-3
"""A step of Newton's method in which no weight moves further is the last one: the next would be about its square.

With a thousandth of that, 145 points of a scorecard of three banks (docs/results.md) are the same, by twice the sums.
"""
MOST = 50
"""Sums for the banks' weights at most, wherever the passive parties are."""


@dataclass(frozen=True, kw_only=True)
class State:
    """One bank's state after t exchanges, over its n rows that train or validate.

    newton    how far the banks' own weights are
    scores    float64 (t, n): the passive parties' partial scores after each step, summed over them
    products  float64 (t, t): inner products of the steps
    mixes     float64 (t + 1, t): by step the coefficients of the steps that gave its point; last where the banks are
    losses    float64 (t,): validation log loss after each exchange
    finished  the last step is the final one
    alone     float64 (1 + width,): the banks' weights before any exchange, which are their own scorecard
    """

    newton: Newton
    scores: Floats
    products: Floats
    mixes: Floats
    losses: Floats
    finished: bool
    alone: Floats

    @property
    def mix(self) -> Floats:
        """Where the passive parties are: coefficients (t,) of their steps."""
        return np.asarray(self.mixes[-1], np.float64)


def regression_of(columns: BankColumns, labels: Integers, config: ScorecardConfig) -> Regression:
    """What the banks fit; labels (2, 2) are the goods and bads of all training and of all validation rows."""
    # As for one bank, its columns of who knows whom are spared L1.
    of_table, width = int(columns.grouping.counts.sum()), int(columns.whole.counts.sum())
    l1, l2 = config.penalty
    places = np.arange(1 + width)
    return Regression(
        cone=cone_of(columns.whole).with_intercept(),
        l1=np.where((places > 0) & (places <= of_table), l1, 0.0),
        l2=np.where(places > 0, l2, 0.0),
        rows=labels.sum(axis=1),
        precision=config.precision,
        near=NEAR,
        most=MOST,
    )


@dataclass(frozen=True, kw_only=True)
class Solver:
    """What the bank solves on: its columns in the n rows that train or validate, labels (n,), who trains (n,).

    parties is the number of those that step in every exchange.
    """

    regression: Regression
    design: Design
    labels: NDArray[np.int8]
    training: NDArray[np.bool_]
    parties: int
    config: ScorecardConfig

    def begin(self, labels: Integers) -> State:
        """Before the first sum, in which the passive parties' weights are zero; labels as for `regression_of`."""
        weights = start_of(labels, np.array([self.design.shape[1]]))
        return State(
            newton=Newton.at(weights),
            scores=np.empty((0, len(self.labels))),
            products=np.empty((0, 0)),
            mixes=np.zeros((1, 0)),
            losses=np.empty(0),
            finished=not self.parties,
            alone=weights,
        )

    def addend(self, state: State) -> Integers:
        """What the bank adds next, int64 (k,), while its weights are not settled."""
        offset, weights = self._offset(state), state.newton.weights
        return self.regression.addend(self.design, self.labels, self.training, offset, weights)

    def add(self, state: State, total: Integers) -> State:
        """After a sum. Once the weights have settled, the state is `finished`, or steps are to follow."""
        newton, count = self.regression.step(state.newton, total), len(state.products)
        state = replace(state, newton=newton)
        if not newton.settled:
            return state
        if not count:
            return replace(state, alone=newton.weights)
        if state.finished:
            return state
        state = replace(state, losses=np.append(state.losses, newton.losses[-1, 1]))
        # Validation has moved less than the settings ask for in two exchanges in a row.
        settled = count > 2 and (np.abs(np.diff(state.losses[-3:])) < self.config.settled).all()
        return self._towards(state, _last(count), finished=True) if settled else state

    def stepped(self, before: State, scores: Floats, products: Floats) -> State:
        """After a step: the parties' partial scores (n,) and inner products (t,), both summed over them."""
        count = len(products)
        state = replace(
            before,
            scores=np.vstack([before.scores, scores]),
            products=np.block([[before.products, products[:-1, None]], [products]]),
            mixes=np.pad(np.vstack([before.mixes, before.mix]), ((0, 0), (0, 1))),
        )
        length = np.sqrt(max(state.products[-1, -1], 0.0))
        if length <= self.config.tolerance or count >= self.config.exchanges:
            return self._towards(state, _last(count), finished=True)
        # All parties step at once, each as if alone; a share of that is sure to be an improvement.
        mix = mixing(state.products, state.mixes[:-1], self.config.depth, 1 / self.parties)
        return self._towards(state, grained(mix), finished=False)

    def residual(self, state: State) -> Integers:
        """PD less label of the bank's training rows, in whole numbers, at the settled weights."""
        scores = linear(self.design, self._offset(state), state.newton.weights)[self.training]
        return whole(expit(scores) - self.labels[self.training], self.config.precision).astype(np.int64)

    def _towards(self, state: State, mix: Floats, finished: bool) -> State:
        """The same, with the passive parties elsewhere, where the banks' weights are to be found."""
        mixes = np.vstack([state.mixes[:-1], mix])
        return replace(state, mixes=mixes, newton=Newton.at(state.newton.weights), finished=finished)

    def _offset(self, state: State) -> Floats:
        # Added up one after the other, so that the sum is the same everywhere.
        offset: Floats = np.zeros(len(self.labels))
        for share, scores in zip(state.mix, state.scores, strict=True):
            offset = offset + share * scores
        return offset


def _last(count: int) -> Floats:
    return np.asarray(np.arange(count) == count - 1, np.float64)
