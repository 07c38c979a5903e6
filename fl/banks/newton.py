"""Newton's method for a logistic regression whose rows several banks hold, on sums that they add.

At weights that all of them have, each bank adds the log loss of its training rows, its gradient and its Hessian, and
the log loss of its validation rows. From the totals all take the same step, under the signs and penalties that hold for
a bank alone (`fl/scorecard/cone.py`). A step that makes the objective worse is halved.

Of every row a bank rounds its part of the sums to a whole number of 2^−precision before it adds, so a total does not
depend on who holds a row, nor on any order.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fl.errors import ProtocolError
from fl.scorecard.cone import Cone
from fl.scorecard.design import Design, Floats, gram

Integers = NDArray[np.int64]

GRAIN = 2.0**-32
"""Weights are multiples of this, so that the banks' machines agree on them though they may round differently."""
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

    @classmethod
    def at(cls, weights: Floats) -> Self:
        """Before the first sum."""
        return cls(origin=weights, objective=np.inf, weights=weights, losses=np.empty((0, 2)), settled=False)


@dataclass(frozen=True, kw_only=True)
class Regression:
    """What the banks fit, the same at all of them.

    cone       the weights that keep to the signs, the intercept among them
    l1         float64 (1 + width,): the L1 penalty of each weight
    l2         float64 (1 + width,): the L2 penalty
    rows       int64 (2,): how many rows train and how many validate at all banks
    precision  fractional bits of what is added
    near       a step in which no weight moves further ends the fit
    most       and so do that many sums
    """

    cone: Cone
    l1: Floats
    l2: Floats
    rows: Integers
    precision: int
    near: float
    most: int

    def addend(
        self,
        design: Design,
        labels: NDArray[np.int8],
        training: NDArray[np.bool_],
        offset: Floats | float,
        weights: Floats,
    ) -> Integers:
        """A bank's part of the sums at the weights, int64 (k,).

        Of its n rows that train or validate: the design, labels (n,), who trains (n,), an offset (n,) to the scores.
        """
        scores = linear(design, offset, weights)
        of_rows = whole(np.logaddexp(0, scores) - labels * scores, self.precision)
        losses = [of_rows[rows].sum() for rows in (~training, training)]
        learned, pd = design[training], expit(scores[training])
        residual, variance = (
            whole(values, self.precision) for values in (pd - labels[training], pd * (1 - pd))
        )
        return np.concatenate([losses, _sums(learned, residual), _triangle(learned, variance)]).astype(
            np.int64
        )

    def step(self, newton: Newton, total: Integers) -> Newton:
        """Where to go from the total of the sums at the weights. Raises ProtocolError for one of another length."""
        weights, width = newton.weights, len(newton.weights)
        places = np.triu_indices(width)
        check_length(total, 2 + width + len(places[0]))
        sums = total / 2.0**self.precision
        losses = np.vstack([newton.losses, sums[1::-1] / self.rows])
        objective = float(sums[1] + (self.l2 * weights) @ weights / 2 + self.l1 @ np.abs(weights))
        if objective > newton.objective + WORSE * abs(newton.objective):
            return self._moved(newton, (newton.origin + weights) / 2, losses)
        hessian = np.diag(self.l2)
        hessian[places] += sums[2 + width :]
        hessian = np.triu(hessian) + np.triu(hessian, 1).T
        wanted = self.cone.least(hessian, sums[2 : 2 + width] + self.l2 * weights, weights, self.l1)
        return self._moved(replace(newton, origin=weights, objective=objective), wanted, losses)

    def _moved(self, newton: Newton, wanted: Floats, losses: Floats) -> Newton:
        """The same at other weights, which are the final ones if they are as good as those before."""
        weights = grained(wanted)
        near = bool(np.abs(weights - newton.origin).max() < self.near)
        return replace(newton, weights=weights, losses=losses, settled=near or len(losses) == self.most)


def linear(design: Design, offset: Floats | float, weights: Floats) -> Floats:
    """The scores (n,) of rows by weights (1 + width,), the intercept first, and an offset."""
    return np.asarray(offset + weights[0] + design @ weights[1:], np.float64)


def whole(values: Floats, precision: int) -> Floats:
    """Values in whole numbers of 2^−precision; their sums are below 2^53, where floating point is exact."""
    return np.rint(values * 2.0**precision)


def grained(values: Floats) -> Floats:
    """The nearest multiples of the grain."""
    return np.asarray(np.rint(values / GRAIN) * GRAIN, np.float64)


def check_length(total: Integers, length: int) -> None:
    """Raises ProtocolError unless the total has so many numbers."""
    if total.shape != (length,):
        raise ProtocolError(f"the banks' sums must be {length} numbers, not {total.shape}")


def _sums(design: Design, values: Floats) -> Floats:
    """The sum of values (n,) over all rows, and over those of each group, (1 + width,)."""
    return np.append(values.sum(), design.T @ values)


def _triangle(design: Design, values: Floats) -> Floats:
    """The sum of values (n,) over the rows of each pair of groups, all rows being the first group; upper triangle."""
    across = _sums(design, values)
    sums = np.block([[across[:1, None], across[None, 1:]], [across[1:, None], gram(design, values)]])
    return np.asarray(sums[np.triu_indices(len(sums))], np.float64)
