"""Quadratic problems, perhaps with an L1 penalty, whose solution must rise or fall where credit policy demands it.

A run of weights that must rise is written as its first weight and increments that must not be negative. That leaves a
strictly convex quadratic with bounds, solved exactly by block principal pivoting (Portugal, Júdice and Vicente, "A
comparison of block pivoting and interior-point algorithms for linear least squares problems with nonnegative
variables", 1994). With L1 it is a general quadratic program, for Clarabel (an interior-point method, Goulart and Chen
2024).
"""

from dataclasses import dataclass
from typing import Self

import clarabel
import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from fl.errors import ProtocolError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_CHANCES = 3  # exchanges of a whole block without progress before it is one variable at a time
_PRECISION = 1e-12  # of Clarabel's duality gap and residuals
_ZERO_WEIGHT = 1e-7
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
                rising = slice(start, start + run)
                basis[rising, rising] = float(sign) * np.tri(run)
                bounded[start + 1 : start + run] = True
        return cls(basis, bounded)

    def with_intercept(self) -> "Cone":
        """With a free weight before all others."""
        return Cone(linalg.block_diag(1.0, self.basis), np.append(False, self.bounded))

    def least(self, curvature: Floats, gradient: Floats, weights: Floats, l1: Floats | float = 0.0) -> Floats:
        """The weights (m,) of the cone that minimise the quadratic with this gradient at `weights`, plus Σ l1 |w|.

        curvature (m, m) must be positive definite.
        """
        if np.any(l1):
            vector = curvature @ weights - gradient
            return self._sparse_least(curvature, vector, np.broadcast_to(l1, len(vector)))
        matrix = self.basis.T @ curvature @ self.basis
        least = _bounded_least(matrix, self.basis.T @ (curvature @ weights - gradient), self.bounded)
        return np.asarray(self.basis @ least, np.float64)

    def _sparse_least(self, curvature: Floats, vector: Floats, l1: Floats) -> Floats:
        """The weights w of the cone that minimise ½ wᵀ curvature w − vectorᵀ w + Σ l1 |w|."""
        count, unit = len(vector), sparse.identity(len(vector))
        signs = sparse.csc_matrix(-np.linalg.inv(self.basis)[self.bounded])
        # Variables are w and s, with −s ≤ w ≤ s.
        limits = sparse.bmat([[unit, -unit], [-unit, -unit], [signs, None]], format="csc")
        settings = clarabel.DefaultSettings()
        settings.verbose, settings.max_threads = False, 1
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = _PRECISION
        solution = clarabel.DefaultSolver(
            sparse.block_diag(
                [sparse.csc_matrix(np.triu(curvature)), sparse.csc_matrix((count, count))], "csc"
            ),
            np.concatenate([-vector, l1]),
            limits,
            np.zeros(limits.shape[0]),
            [clarabel.NonnegativeConeT(limits.shape[0])],
            settings,
        ).solve()
        if str(solution.status) not in ("Solved", "AlmostSolved"):
            raise ProtocolError(f"the weights under L1 were not found: {solution.status}")
        weights = np.array(solution.x[:count])
        # An interior point comes near zero and never there.
        return np.where((l1 > 0) & (np.abs(weights) < _ZERO_WEIGHT), 0.0, weights)


def _bounded_least(matrix: Floats, vector: Floats, bounded: Flags) -> Floats:
    """The z that minimises ½ zᵀ matrix z − vectorᵀ z with z[bounded] ≥ 0."""
    free = np.ones(len(vector), bool)
    fewest, chances = len(vector) + 1, _CHANCES
    while True:
        least = np.zeros(len(vector))
        least[free] = np.linalg.solve(matrix[np.ix_(free, free)], vector[free])
        slope = matrix @ least - vector
        below = bounded & free & (least < -_ZERO * np.abs(least).max(initial=0.0))
        wrong = below | (~free & (slope < -_ZERO * np.abs(vector).max(initial=0.0)))
        count = int(wrong.sum())
        if not count:
            return np.where(bounded, np.maximum(least, 0.0), least)
        if count < fewest:
            fewest, chances = count, _CHANCES
        elif chances:
            chances -= 1
        else:
            wrong = np.arange(len(vector)) == np.flatnonzero(wrong)[-1]
        free ^= wrong
