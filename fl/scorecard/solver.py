"""The bank's way through the exchanges: what it remembers, where it mixes, when it stops."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fl.config.scorecard import ScorecardConfig
from fl.evaluation.measures import fit_of
from fl.scorecard import Progress
from fl.scorecard.design import Design, Floats
from fl.scorecard.mixing import mixing
from fl.scorecard.regression import BankBlock


@dataclass(frozen=True, kw_only=True)
class State:
    """The bank's state after t exchanges, over n rows that train or validate.

    weights   float64 (1 + width,): the bank's own, the intercept first
    scores    float64 (t, n), at first (0, 0): the other parties' partial scores after each step, summed over them
    products  float64 (t, t): inner products of the steps
    mixes     float64 (t + 1, t + 1): by step the coefficients of former steps that gave its point; last the next point
    losses    float64 (t,): validation log loss after each exchange
    finished  the last step is the final one
    alone     float64 (1 + width,): the bank's weights before any exchange, which are its own scorecard
    """

    weights: Floats
    scores: Floats
    products: Floats
    mixes: Floats
    losses: Floats
    finished: bool
    alone: Floats


@dataclass(frozen=True)
class Next:
    """Where the other parties go from here: coefficients (t,) of their steps, and the residual there, int64 (n,)."""

    mix: Floats
    residual: NDArray[np.int64]
    progress: Progress


@dataclass(frozen=True)
class Solver:
    """What the bank solves on: its columns in the n rows that train or validate, labels (n,), who trains (n,).

    parties is the number of those that step in every exchange.
    """

    block: BankBlock
    design: Design
    labels: NDArray[np.int8]
    training: NDArray[np.bool_]
    parties: int
    config: ScorecardConfig

    def begin(self) -> tuple[State, Next]:
        """Before the first exchange the other parties' weights are zero."""
        weights = np.zeros(1 + self.design.shape[1])
        start = State(
            weights=weights,
            scores=np.empty((0, 0)),
            products=np.empty((0, 0)),
            mixes=np.zeros((1, 1)),
            losses=np.empty(0),
            finished=not self.parties,
            alone=weights,
        )
        state, following = self._go(start, np.empty(0))
        return replace(state, alone=state.weights), following

    def advance(self, before: State, scores: Floats, products: Floats) -> tuple[State, Next]:
        """After an exchange: the parties' partial scores (n,) and inner products (t,), both summed over them."""
        count = len(products)
        grown = np.block([[before.products, products[:-1, None]], [products]])
        history = np.vstack([*before.scores, scores])
        length = np.sqrt(max(grown[-1, -1], 0.0))
        finished = bool(length <= self.config.tolerance) or count >= self.config.exchanges
        # All parties step at once, each as if alone; a share of that is sure to be an improvement.
        mix = mixing(grown, before.mixes, self.config.depth, 1 / self.parties)
        last = (np.arange(count) == count - 1).astype(np.float64)

        def go(mix: Floats, finished: bool) -> tuple[State, Next]:
            mixes = np.pad(np.vstack([before.mixes, mix]), ((0, 0), (0, 1)))
            state = replace(before, scores=history, products=grown, mixes=mixes, finished=finished)
            state, following = self._go(state, mix)
            losses = np.append(before.losses, following.progress.validation_loss)
            return replace(state, losses=losses), following

        state, following = go(last if finished else mix, finished)
        # Validation has moved less than the settings ask for in two exchanges in a row.
        settled = len(state.losses) > 2 and (np.abs(np.diff(state.losses[-3:])) < self.config.settled).all()
        if settled and not finished:
            # Every exchange shows the bank partial scores, so there is none that validation does not need.
            return go(last, True)
        return state, following

    def _go(self, state: State, mix: Floats) -> tuple[State, Next]:
        # Added up one after the other, so that the sum is the same everywhere.
        parts = (share * scores for share, scores in zip(mix, state.scores, strict=True))
        offset = sum(parts, np.zeros(len(self.labels)))
        weights = self.block.solve(offset[self.training], state.weights)
        total = offset + weights[0] + self.design @ weights[1:]
        residual = self.block.residual(offset[self.training], weights, self.config.precision)
        progress = Progress(exchanges=len(mix), **vars(fit_of(total, self.labels, self.training)))
        return replace(state, weights=weights), Next(mix, residual, progress)
