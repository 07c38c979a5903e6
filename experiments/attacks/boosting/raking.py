"""The most likely bins: an estimate that agrees with all the sums of all trees.

How rows spread over bins is estimated by raking: shares are scaled so that the nodes of a level have their sums by
bin, level after level and tree after tree, over and over; bins that are merged in a node are scaled alike. That is
generalised iterative scaling (Darroch and Ratcliff, Annals of Mathematical Statistics 1972), which leads to the
distribution of the largest entropy that fits. It scales by weights that are not negative, so the gradient g and the
hessian h of a row are taken as g + a·h and b·h − g.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from experiments.attacks.boosting.opened import Flags, Measured
from fl.boosting.layouts import NOWHERE
from fl.boosting.merging import merged

Floats = NDArray[np.float64]

SWEEPS = 10


@dataclass(frozen=True)
class _Margin:
    """Sums of one weight over k groups, to be reached by the free rows in them.

    rows       int64 (q,): their numbers among the free rows; groups int64 (q,)
    adding     (k, q): adds up weights by group
    exponents  float64 (q,): the weights by the largest of the group
    targets    float64 (k, bins): the sums, at the bins' homes int64 (k, bins)
    """

    rows: NDArray[np.int64]
    groups: NDArray[np.int64]
    adding: csr_array
    exponents: Floats
    targets: Floats
    homes: NDArray[np.int64]


def rake(measured: list[Measured], column: int, prior: Floats, sweeps: int = SWEEPS) -> Floats:
    """The share of each row in each bin, (r, bins), from sums and from a prior of that shape; rows add up to 1."""
    every = prior / prior.sum(axis=1, keepdims=True)
    # Rows with one bin left stay as they are; the others share what those leave of the sums.
    fixed = (prior > 0).sum(axis=1) == 1
    shares = every[~fixed]
    margins = [margin for level in measured for margin in _margins(level, column, every, fixed)]
    for _ in range(sweeps):
        for margin in margins:
            there = shares[margin.rows]
            reached = _at_home(margin.adding @ there, margin.homes)
            # Sums are whole numbers; one more on both sides keeps a bin alive that may be withheld and not empty.
            factors = np.log((margin.targets + 1) / (reached + 1))
            of_bins = np.take_along_axis(factors, margin.homes, axis=1)
            there *= np.exp(margin.exponents[:, None] * of_bins[margin.groups])
            shares[margin.rows] = there / there.sum(axis=1, keepdims=True)
    every[~fixed] = shares
    return every


def allowed_prior(sizes: Floats, allowed: Flags) -> Floats:
    """Shares by the size of the bins (bins,), within those that are allowed (r, bins)."""
    return allowed * np.maximum(sizes, 1e-6)


def _margins(level: Measured, column: int, shares: Floats, fixed: Flags) -> Iterator[_Margin]:
    """Those of both weights; what the shares (r, bins) of the fixed rows (r,) reach is taken from the sums."""
    bins = shares.shape[1]
    groups = np.flatnonzero(level.telling[:, column])
    sums, homes = level.sums[groups, column, :bins].astype(np.float64), level.homes[groups, column, :bins]
    if not sums.any():  # a column that the tree did not use, or nothing that is told better elsewhere
        return
    numbers = np.full(len(level.sums) + 1, NOWHERE)
    numbers[groups] = np.arange(len(groups))
    of_rows = numbers[level.groups]
    gradient, hessian = level.weights.T.astype(np.float64)
    ratio = gradient[hessian > 0] / hessian[hessian > 0]
    sure, free = np.flatnonzero(fixed & (of_rows >= 0)), np.flatnonzero(~fixed & (of_rows >= 0))
    places = np.cumsum(~fixed)[free] - 1
    for sign, factor in ((1, max(0, -ratio.min())), (-1, max(0, ratio.max()))):
        weights = np.maximum(sign * gradient + factor * hessian, 0)
        largest = np.ones(len(groups))
        np.maximum.at(largest, of_rows[free], weights[free])
        of_sure = _adding(weights, of_rows, sure, len(groups)) @ shares[sure]
        yield _Margin(
            places,
            of_rows[free],
            _adding(weights, of_rows, free, len(groups)),
            weights[free] / largest[of_rows[free]],
            np.maximum(sign * sums[..., 0] + factor * sums[..., 1] - _at_home(of_sure, homes), 0),
            homes,
        )


def _adding(weights: Floats, groups: NDArray[np.int64], rows: NDArray[np.int64], count: int) -> csr_array:
    """A matrix (count, rows) that adds up the weights of some rows by group."""
    return csr_array((weights[rows], (groups[rows], np.arange(len(rows)))), shape=(count, len(rows)))


def _at_home(sums: Floats, homes: NDArray[np.int64]) -> Floats:
    """Sums (k, bins) of groups moved to the homes of their bins."""
    return merged(sums[:, None], homes[:, None])[:, 0]
