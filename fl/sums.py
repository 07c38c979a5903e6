"""Sums by bin in the clear, of numbers that a party may read over bins that are its own.

Boosting adds up gradients and hessians here, and counts rows; the scorecard counts goods and bads. What a party must
not read it adds up by `fl/encrypted_sums`.
"""

import numpy as np
from numpy.typing import NDArray

from fl.binning import UNKNOWN, Codes

CODES = UNKNOWN + 1
"""How many values a code can have."""

Integers = NDArray[np.int64]


def sums_by_bin(
    codes: Codes, values: Integers, groups: NDArray[np.integer], count: int, width: int
) -> Integers:
    """Sums of numbers by the group and the bin of their rows: int64 (count, c, width, k).

    codes (n, c) are bins below `width`, values int64 (n, k), groups (n,) integers below `count`. A row with a negative
    group counts nowhere, one with the code UNKNOWN nowhere in that column. Sums must stay below 2^53 in magnitude,
    where floating point is exact.

        >>> codes, values = np.array([[0], [1], [1]], np.uint8), np.array([[5], [7], [8]])
        >>> sums_by_bin(codes, values, np.array([0, 0, -1]), 1, 2)[..., 0]
        array([[[5, 7]]])
    """
    counted = groups >= 0
    if not counted.all():
        codes, values, groups = codes[counted], values[counted], groups[counted]
    # A group takes a place for every code, so that UNKNOWN has one, too; it is left out at the end.
    first, numbers = groups.astype(np.int64) * CODES, values.T.astype(np.float64)
    sums = np.empty((count, codes.shape[1], width, len(numbers)), np.int64)
    for column, bins in enumerate(codes.T):
        cells = first + bins
        for k, number in enumerate(numbers):
            every = np.bincount(cells, number, count * CODES).reshape(count, CODES)
            sums[:, column, :, k] = every[:, :width]
    return sums


def counts_by_bin(codes: Codes, groups: NDArray[np.integer], count: int, width: int) -> Integers:
    """Rows by group and bin, int64 (count, c, width); see `sums_by_bin`."""
    return sums_by_bin(codes, np.ones((len(codes), 1), np.int64), groups, count, width)[..., 0]


def counts_by_node(codes: Codes, nodes: NDArray[np.integer], count: int, width: int) -> Integers:
    """Rows by node and bin, int64 (count, c, width), where nodes (p, n) are those of each row in p trees."""
    counts = [counts_by_bin(codes, of_tree, count, width) for of_tree in nodes]
    return np.asarray(np.sum(counts, axis=0))
