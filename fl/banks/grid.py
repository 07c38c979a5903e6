"""Common bins of several banks: each counts its rows on a grid that no bank's data have a part in, and counts add up.

The grid of a numeric column is log-linear, as in HdrHistogram (Gil Tene, 2012): every power of two has `CELLS` cells of
one width, on both sides of zero. So one grid does for amounts, ratios and days, its edges are exact in floating point
on every machine, and a cell is at most 1/`CELLS` of its value wide. From the total of all banks each of them makes the
same bins by `fl/binning.py`: cuts lie on edges of the grid, at quantiles of all banks' rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fl.binning import Binning, Counts
from fl.errors import ProtocolError
from fl.tables import Table

Integers = NDArray[np.int64]

CELLS = 64
"""Cells of the grid between a power of two and the next one."""
LEAST, GREATEST = -10, 40
"""Powers of two between which the grid is log-linear; below the first there is one cell on each side of zero."""


@lru_cache
def edges(cells: int) -> NDArray[np.float64]:
    """The greatest value of each cell but the last, ascending, with so many cells between powers of two."""
    powers = np.exp2(np.arange(LEAST, GREATEST))[:, None] * (1 + np.arange(cells) / cells)
    positive = np.append(powers.ravel(), np.exp2(GREATEST))
    return np.concatenate([-positive[::-1], [0.0], positive])


@dataclass(frozen=True)
class Schema:
    """The columns that all banks declare alike.

    numeric, categorical  their names, in the order of a table
    levels                by categorical column the texts that stand for themselves; any other is "other"
    special               by numeric column its special values, ascending
    """

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    special: tuple[tuple[float, ...], ...]

    def table(self, table: Table) -> Table:
        """The same rows with codes of the schema's levels, where that of any other is the number of levels.

        Raises ProtocolError for a table with other columns.
        """
        nobody = replace(
            table.take(np.empty(0, np.int64)),
            numeric_names=self.numeric,
            categorical_names=self.categorical,
            levels=self.levels,
        )
        common = table.in_levels_of(nobody)
        most = np.array([len(texts) for texts in self.levels], np.int32)
        return replace(common, codes=np.minimum(common.codes, most), levels=self.levels)


@dataclass(frozen=True)
class Grid:
    """The counts that banks add for the bins of their columns; special values have counts of their own if asked for.

    resolution is how many cells there are between powers of two.
    """

    schema: Schema
    special: bool = False
    resolution: int = CELLS

    def addend(self, table: Table) -> Integers:
        """A bank's counts (k,) of the rows of a table in the schema's levels: column by column the rows of each cell.

        Cells are followed by special values, of a categorical column they are its levels, and last comes what is
        missing. The bank knows all the businesses.
        """
        return np.bincount(self.cells(table).ravel(), minlength=sum(self._sizes))

    def cells(self, table: Table) -> Integers:
        """By which of the k counts each row counts in each column, (n, c)."""
        places, first, ends = [np.empty((0, len(table)), np.int64)], 0, edges(self.resolution)
        for name, values, codes in zip(self.schema.numeric, table.numeric.T, self._codes, strict=True):
            apart = np.full(len(table), len(codes))
            if len(codes):
                special = table.special[name]
                apart = np.where(np.isin(special, codes), np.searchsorted(codes, special), len(codes))
            there = np.searchsorted(ends, values, side="left")
            places.append(first + np.where(np.isnan(values), len(ends) + 1 + apart, there)[None])
            first += len(ends) + 2 + len(codes)
        for levels, column in zip(self.schema.levels, table.codes.T, strict=True):
            places.append(first + np.where(column < 0, len(levels) + 1, column)[None])
            first += len(levels) + 2
        return np.concatenate(places).T

    def binning(self, total: Integers, bins: int, minimum: int, signs: NDArray[np.int8]) -> Binning:
        """The bins that all banks make of the total (k,) of their addends; see `Binning.fit`, signs int8 (c,).

        Raises ProtocolError for a total of another length.
        """
        return Binning.of(self.counts(total), bins, minimum, signs)

    def counts(self, total: Integers) -> Counts:
        """The total (k,) as counts of values, of which each cell has its greatest one.

        Raises ProtocolError for a total of another length.
        """
        values, special, levels, missing = [], [], [], []
        ends = np.append(edges(self.resolution), np.inf)
        parts = self._parts(total)
        for codes in self._codes:
            values.append((ends, next(parts)))
            special.append((codes, next(parts)))
            missing.append(next(parts)[0])
        for _ in self.schema.levels:
            levels.append(next(parts))
            missing.append(next(parts)[0])
        return Counts(tuple(values), tuple(special), tuple(levels), np.array(missing, np.int64))

    @property
    def _codes(self) -> list[NDArray[np.float64]]:
        """The special values of each numeric column that are counted."""
        return [np.array(codes if self.special else (), np.float64) for codes in self.schema.special]

    @property
    def _sizes(self) -> list[int]:
        """How many counts there are of each part: of a numeric column values, special values, and what is missing."""
        cells = len(edges(self.resolution)) + 1
        sizes = [size for codes in self._codes for size in (cells, len(codes), 1)]
        return sizes + [size for levels in self.schema.levels for size in (len(levels) + 1, 1)]

    def _parts(self, total: Integers) -> Iterator[Integers]:
        """The total in the parts of an addend."""
        sizes = self._sizes
        if total.shape != (sum(sizes),):
            raise ProtocolError(f"the banks' counts must be {sum(sizes)} numbers, not {total.shape}")
        return iter(np.split(total, np.cumsum(sizes)[:-1]))
