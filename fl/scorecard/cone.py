"""Quadratic problems whose solution must rise or fall where credit policy demands a direction.

A run of weights that must rise is written as its first weight and increments that must not be negative. That leaves a
strictly convex quadratic with bounds, solved exactly by block principal pivoting (Portugal, Júdice and Vicente, "A
comparison of block pivoting and interior-point algorithms for linear least squares problems with nonnegative
variables", 1994).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_CHANCES = 3  # exchanges of a whole block without progress before it is one variable at a time
_ZERO = 1e-10  # of the largest entry: what counts as a violated bound


@dataclass(frozen=True)
class Cone:
    """The weights that keep to all signs: basis @ z with z[bounded] ≥ 0.

    basis    float64 (m, m)
    bounded  bool (m,)
    """

    basis: Floats
    bounded: Flags

    @classmethod
    def of(cls, counts: NDArray[np.int64], runs: NDArray[np.int64], signs: NDArray[np.int8]) -> Self:
        """Of columns with so many groups each, of which the first `runs` must move in the direction of the sign."""
        basis, bounded = np.eye(int(counts.sum())), np.zeros(int(counts.sum()), bool)
        for start, run, sign in zip(np.cumsum(counts) - counts, runs, signs, strict=True):
            if sign:
                own = slice(start, start + run)
                basis[own, own] = float(sign) * np.tri(run)
                bounded[own] = True
                bounded[start : start + 1] = False
        return cls(basis, bounded)

    def with_intercept(self) -> "Cone":
        """With a free weight before all others."""
        basis = np.eye(len(self.bounded) + 1)
        basis[1:, 1:] = self.basis
        return Cone(basis, np.append(False, self.bounded))

    def least(self, curvature: Floats, gradient: Floats, weights: Floats) -> Floats:
        """The weights of the cone that minimise the quadratic with this gradient at `weights`, (m,).

        curvature (m, m) must be positive definite.
        """
        matrix = self.basis.T @ curvature @ self.basis
        found = _bounded_least(matrix, self.basis.T @ (curvature @ weights - gradient), self.bounded)
        return np.asarray(self.basis @ found, np.float64)


def _bounded_least(matrix: Floats, vector: Floats, bounded: Flags) -> Floats:
    """The z that minimises ½ zᵀ matrix z − vectorᵀ z with z[bounded] ≥ 0."""
    free = np.ones(len(vector), bool)
    fewest, chances = len(vector) + 1, _CHANCES
    while True:
        found = np.zeros(len(vector))
        found[free] = np.linalg.solve(matrix[np.ix_(free, free)], vector[free])
        slope = matrix @ found - vector
        below = bounded & free & (found < -_ZERO * np.abs(found).max(initial=0.0))
        wrong = below | (~free & (slope < -_ZERO * np.abs(vector).max(initial=0.0)))
        count = int(wrong.sum())
        if not count:
            return np.where(bounded, np.maximum(found, 0.0), found)
        if count < fewest:
            fewest, chances = count, _CHANCES
        elif chances:
            chances -= 1
        else:
            wrong = np.arange(len(vector)) == np.flatnonzero(wrong)[-1]
        free ^= wrong
