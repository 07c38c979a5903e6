"""Logistic regression whose columns belong to several parties, each party's weights at that party alone.

In every exchange the bank solves its own block to the end, by Newton's method, with the others' partial scores as
given; it keeps a curvature for as long as the steps with it become much shorter. The others then take a step that
cannot overshoot, whatever the labels: the curvature of the log loss is at most a quarter of that of the columns
(Böhning and Lindsay, "Monotonicity of quadratic-approximation algorithms", 1988). The fixed point of both is the
optimum of scikit-learn's `LogisticRegression(C=c, l1_ratio=…)` on all columns side by side, one-hot without a dropped
level, the intercept not penalised; or, under signs, the optimum among weights that keep to them. The bank's columns of
who knows whom are spared L1, so that they can always answer a shift of a party's weights.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fl.scorecard.cone import Cone
from fl.scorecard.design import Design, Floats, gram
from fl.scorecard.grouping import Grouping

Labels = NDArray[np.int8]

_SETTLED = 1e-10  # of a weight in Newton's method
_ITERATIONS = 100
_FASTER = 3  # how much shorter steps must become for the curvature to stay the former one


def cone_of(grouping: Grouping) -> Cone:
    """The weights of a party's groups that keep to its signs."""
    return Cone.of(grouping.counts, grouping.runs, grouping.signs)


@dataclass(frozen=True)
class BankBlock:
    """The bank's columns in the training rows, and the labels (n,). Its first weight is the intercept.

    l1 (width,) and l2 are the penalties of its other weights.
    """

    design: Design
    labels: Labels
    cone: Cone
    l1: Floats
    l2: float

    def solve(self, offset: Floats, weights: Floats) -> Floats:
        """The optimal weights (1 + width,) with the others' partial scores (n,) as given, from `weights` on."""
        cone, l1 = self.cone.with_intercept(), np.append(0.0, self.l1)
        penalty = self.l2 * np.append(0.0, np.ones(self.design.shape[1]))
        loss, curvature, moved = self._objective(offset, weights), None, np.inf
        for _ in range(_ITERATIONS):
            pd = expit(self._scores(offset, weights))
            residual = pd - self.labels
            if curvature is None:
                curvature = self._curvature(pd * (1 - pd)) + np.diag(penalty)
            gradient = np.append(residual.sum(), self.design.T @ residual) + penalty * weights
            wanted = cone.least(curvature, gradient, weights, l1)
            step, share = wanted - weights, 1.0
            while self._objective(offset, weights + share * step) > loss + 1e-9 * abs(loss) and share > 1e-6:
                share /= 2
            weights = weights + share * step
            loss = self._objective(offset, weights)
            before, moved = moved, float(np.abs(step).max())
            if moved < _SETTLED:
                break
            # The curvature costs a hundred times as much as the rest of a step, and any one leads to the same optimum.
            if share < 1 or moved > before / _FASTER:
                curvature = None
        return weights

    def residual(self, offset: Floats, weights: Floats, precision: int) -> NDArray[np.int64]:
        """PD less label (n,) in units of 2^−precision: whole numbers, so that sums of them are exact."""
        exact = expit(self._scores(offset, weights)) - self.labels
        return np.asarray(np.rint(exact * (1 << precision)), np.int64)

    def _curvature(self, variance: Floats) -> Floats:
        """Of the log loss, (1 + width, 1 + width), where the rows' labels have these variances (n,)."""
        across = (self.design.T @ variance)[None]
        return np.block([[variance.sum(), across], [across.T, gram(self.design, variance)]])

    def _scores(self, offset: Floats, weights: Floats) -> Floats:
        return np.asarray(offset + weights[0] + self.design @ weights[1:], np.float64)

    def _objective(self, offset: Floats, weights: Floats) -> float:
        scores = self._scores(offset, weights)
        loss = np.logaddexp(0, scores).sum() - scores[self.labels == 1].sum()
        return float(loss + self.l2 / 2 * (weights[1:] @ weights[1:]) + self.l1 @ np.abs(weights[1:]))


@dataclass(frozen=True)
class PassiveBlock:
    """A passive party's columns in the training rows that it knows, and a bound on its curvature (width, width).

    penalty is that of L1 and that of L2.
    """

    design: Design
    cone: Cone
    curvature: Floats
    penalty: tuple[float, float]

    @classmethod
    def of(cls, design: Design, cone: Cone, penalty: tuple[float, float], all_known: bool) -> "PassiveBlock":
        """The block of a party that knows all training rows, or these of them.

        A shift of all weights of a column would hardly move in a bounded step, though nothing but the penalty holds
        it: the bank answers it by its own weight of the known rows (or by the intercept, if the party knows them all),
        so the bound is that of the columns less their means.
        """
        rows, width = design.shape
        means = design.sum(axis=0) / max(1, rows)
        spread = (design.T @ design).toarray() - rows * np.outer(means, means)
        curvature = spread / 4 + penalty[1] * np.eye(width)
        if not all_known:
            curvature += penalty[1] * np.outer(means, means)
        return cls(design, cone, curvature, penalty)

    def step(self, weights: Floats, sums: NDArray[np.int64], precision: int) -> Floats:
        """The next weights (width,) after the sums of the residual by group at these ones."""
        l1, l2 = self.penalty
        return self.cone.least(self.curvature, sums / (1 << precision) + l2 * weights, weights, l1)

    def products(self, steps: Floats) -> Floats:
        """Inner products (t,) of the last of some steps (t, width) with each of them, in the metric of the bound."""
        return np.asarray(steps @ (self.curvature @ steps[-1]), np.float64)
