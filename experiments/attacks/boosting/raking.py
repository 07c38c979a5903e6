"""The most likely bins: an estimate that agrees with all the sums of all trees.

How rows spread over bins is estimated by raking: shares are scaled so that a tree's nodes have their sums by bin, tree
after tree, over and over. That is generalised iterative scaling (Darroch and Ratcliff, Annals of Mathematical
Statistics 1972), which leads to the distribution of the largest entropy that fits. It scales by weights that are not
negative, so the gradient g and the hessian h of a row are taken as g + a·h and b·h − g.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from experiments.attacks.boosting.opened import Flags, Measured

Floats = NDArray[np.float64]

SWEEPS = 10


def rake(measured: list[Measured], column: int, prior: Floats, sweeps: int = SWEEPS) -> Floats:
    """The share of each row in each bin, (r, bins), from sums and from a prior of that shape; rows add up to 1."""
    every = prior / prior.sum(axis=1, keepdims=True)
    # Rows with one bin left stay as they are; the others share what those leave of the sums.
    fixed = (prior > 0).sum(axis=1) == 1
    shares = every[~fixed]
    margins = [margin for tree in measured for margin in _margins(tree, column, every, fixed)]
    for _ in range(sweeps):
        for groups, adding, exponents, targets in margins:
            # Sums are whole numbers; one more on both sides keeps a bin alive that may be withheld and not empty.
            factors = np.log((targets + 1) / (adding @ shares + 1))
            shares *= np.exp(exponents[:, None] * factors[groups])
            shares /= shares.sum(axis=1, keepdims=True)
    every[~fixed] = shares
    return every


def allowed_prior(sizes: Floats, allowed: Flags) -> Floats:
    """Shares by the size of the bins (bins,), within those that are allowed (r, bins)."""
    return allowed * np.maximum(sizes, 1e-6)


def _margins(
    tree: Measured, column: int, shares: Floats, fixed: Flags
) -> list[tuple[NDArray[np.int64], csr_array, Floats, Floats]]:
    """Of both weights: the free rows' groups, a matrix that adds up by group, exponents by row, and the sums to reach.

    shares (r, bins) of the fixed rows (r,) are taken from the sums.
    """
    sums = tree.sums[:, column, : shares.shape[1]].astype(np.float64)
    if not sums.any():  # a column that the tree did not use
        return []
    gradient, hessian = tree.weights.T.astype(np.float64)
    ratio = gradient[hessian > 0] / hessian[hessian > 0]
    margins = []
    for sign, factor in ((1, max(0, -ratio.min())), (-1, max(0, ratio.max()))):
        weights = np.maximum(sign * gradient + factor * hessian, 0)
        largest = np.zeros(len(sums))
        np.maximum.at(largest, tree.groups, weights)
        rows = np.arange(len(weights))
        adding = csr_array((weights, (tree.groups, rows)), shape=(len(sums), len(rows)))
        targets = np.maximum(
            sign * sums[..., 0] + factor * sums[..., 1] - adding[:, fixed] @ shares[fixed], 0
        )
        exponents = weights / np.maximum(largest, 1)[tree.groups]
        margins.append((tree.groups[~fixed], adding[:, ~fixed], exponents[~fixed], targets))
    return margins
