"""The design matrix: a 0/1 column for each group of each column, side by side, of which a row has one 1 per column.

It is sparse, and products with it add up in the order of rows or columns: equal wherever they are computed.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fl.binning import UNKNOWN, Codes

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Design: TypeAlias = sparse.csr_array
"""float64 (n, width): a row for each row in groups, and as many columns as there are groups of all columns."""

_BLOCK = 8_192
"""Rows whose products fit into a core's cache: with all rows at once, each of many takes up to four times as long."""


def one_hot(codes: Codes, counts: Integers) -> Design:
    """The design of rows in groups (n, k), with so many groups in each column (k,)."""
    places = (codes + (np.cumsum(counts) - counts)).ravel()
    ends = codes.shape[1] * np.arange(len(codes) + 1)
    return Design((np.ones(len(places)), places, ends), (len(codes), int(counts.sum())))


def gram(design: Design, values: Floats) -> Floats:
    """The sum of values (n,) over the rows of each pair of groups, (width, width)."""
    rows, width = design.shape
    total = np.zeros((width, width))
    for first in range(0, rows, _BLOCK):
        block = design[first : first + _BLOCK]
        total += (block.T @ (block * values[first : first + _BLOCK, None])).toarray()
    return total


def by_column(values: NDArray[Any], counts: Integers) -> list[NDArray[Any]]:
    """Values of groups or bins that stand column by column, so many for each column, as an array for each."""
    return np.split(values, np.cumsum(counts))[:-1]


def of_rows(values: NDArray[Any], counts: Integers, codes: Codes, of_unknown: int) -> Integers:
    """Whole numbers of groups or bins that stand column by column, for rows in these (n, k), or UNKNOWN."""
    places = codes + (np.cumsum(counts) - counts)
    chosen = np.append(values, of_unknown)[np.where(codes == UNKNOWN, len(values), places)]
    return np.asarray(chosen, np.int64)
