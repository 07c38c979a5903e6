"""The bank's way through the exchanges: what it remembers, where it mixes, when it stops."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl.boosting.gradients import log_loss
from fl.config.scorecard import ScorecardConfig
from fl.metrics import auc
from fl.scorecard.design import Design
from fl.scorecard.mixing import mixing
from fl.scorecard.regression import BankBlock

Floats = NDArray[np.float64]
_NAN = float("nan")


@dataclass(frozen=True)
class State:
    """The bank's state after t exchanges, over n rows that train or validate.

    weights   float64 (1 + width,): the own ones, the intercept first
    scores    float64 (t, n): the other parties' partial scores after each step, summed
    products  float64 (t, t): inner products of the steps
    mixes     float64 (t + 1, t + 1): coefficients of former steps that gave the point of each, and the next one
    losses    float64 (t,): validation log loss after each exchange
    finished  the last step is the final one
    alone     float64 (1 + width,): the own weights before any exchange, which are the bank's own scorecard
    """

    weights: Floats
    scores: Floats
    products: Floats
    mixes: Floats
    losses: Floats
    finished: bool
    alone: Floats

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Named arrays that `from_arrays` reads."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "State":
        """The state that `to_arrays` took apart."""
        names = ("weights", "scores", "products", "mixes", "losses", "finished", "alone")
        weights, scores, products, mixes, losses, finished, alone = (arrays[name] for name in names)
        return cls(weights, scores, products, mixes, losses, bool(finished), alone)


@dataclass(frozen=True)
class Look:
    """What is known of the scorecard after an exchange; NaN before the first."""

    length: float = _NAN
    train_loss: float = _NAN
    validation_auc: float = _NAN
    validation_loss: float = _NAN


@dataclass(frozen=True)
class Next:
    """Where the other parties go from here: the coefficients (t,) of their steps, and the residual there, int64."""

    mix: Floats
    residual: NDArray[np.int64]
    look: Look = field(default_factory=Look)


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
        weights, scores = np.zeros(1 + self.design.width), np.empty((0, len(self.labels)))
        none = np.empty(0)
        start = State(weights, scores, np.empty((0, 0)), np.zeros((1, 1)), none, not self.parties, weights)
        state, following = self._go(start, np.empty(0))
        return replace(state, alone=state.weights), following

    def advance(self, before: State, scores: Floats, products: Floats) -> tuple[State, Next]:
        """After an exchange: the parties' partial scores (n,) and inner products (t,), both summed over them."""
        count = len(products)
        grown = np.empty((count, count))
        grown[:-1, :-1] = before.products
        grown[-1] = grown[:, -1] = products
        history = np.concatenate([before.scores, scores[None]])
        length = float(np.sqrt(max(grown[-1, -1], 0.0)))
        finished = length <= self.config.tolerance or count >= self.config.exchanges
        # All parties step at once, each as if alone; a share of that is sure to be an improvement.
        mix = mixing(grown, before.mixes, self.config.depth, 1 / self.parties)
        last = (np.arange(count) == count - 1).astype(np.float64)

        def go(mix: Floats, finished: bool) -> tuple[State, Next]:
            mixes = np.zeros((count + 1, count + 1))
            mixes[:-1, :-1], mixes[-1, :-1] = before.mixes, mix
            state = replace(before, scores=history, products=grown, mixes=mixes, finished=finished)
            state, following = self._go(state, mix, length)
            losses = np.append(before.losses, following.look.validation_loss)
            return replace(state, losses=losses), following

        state, following = go(last if finished else mix, finished)
        if not finished and self._has_settled(state.losses):
            # Every exchange shows the bank partial scores, so there is none that validation does not need.
            return go(last, True)
        return state, following

    def _has_settled(self, losses: Floats) -> bool:
        """Whether validation has moved less than the settings ask for in two exchanges in a row."""
        return len(losses) > 2 and bool((np.abs(np.diff(losses[-3:])) < self.config.settled).all())

    def _go(self, state: State, mix: Floats, length: float = _NAN) -> tuple[State, Next]:
        offset = np.zeros(len(self.labels))
        for share, scores in zip(mix, state.scores, strict=True):
            offset += share * scores
        weights = self.block.solve(offset[self.training], state.weights)
        total = offset + weights[0] + self.design.scores(weights[1:])
        residual = self.block.residual(offset[self.training], weights, self.config.precision)
        return replace(state, weights=weights), Next(mix, residual, self._look(total, length))

    def _look(self, scores: Floats, length: float) -> Look:
        rows, validation = self.training, ~self.training
        return Look(
            length,
            log_loss(scores[rows], self.labels[rows]),
            auc(self.labels[validation], scores[validation]),
            log_loss(scores[validation], self.labels[validation]),
        )
