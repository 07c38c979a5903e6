"""From a party's table to the inputs of its network, with statistics of its own training rows only.

A numeric column gives two views of itself: its normal score (the standard normal quantile of its rank, so that heavy
tails do no harm), and a piecewise-linear encoding over its quantile bins (Gorishniy, Rubachev and Babenko, "On
Embeddings for Numerical Features in Tabular Deep Learning", NeurIPS 2022), by which a small network can follow
thresholds and humps. Both are standardised; the second weighs less, since it has many numbers. A missing value is zero
in both, the mean, and sets a flag of its own where the training rows have any. A categorical column is one-hot over
the levels in the training rows.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from fl.binning import Counts
from fl.tables import Table

_KNOTS = 256  # of the rank function of a column: exact up to as many distinct values
_PIECEWISE_WEIGHT = 0.5  # length of the standardised piecewise encoding, against 1 for the normal score
_BLOCK = 8_192  # rows whose inputs, before they are rounded, fit into a core's cache
_MIN_SCALE = 0.05  # keeps a component that is almost constant in training from exploding elsewhere


@dataclass(frozen=True)
class NumericEncoder:
    """Fitted statistics of one numeric column.

    knots, scores   the normal score at some values; linear between, constant beyond
    edges           the distinct quantiles, ascending; fewer than two: the column is constant and has no inputs
    mean, scale     of the normal score and then of each piecewise component, over the training rows
    flagged         whether the column was ever missing in training
    """

    knots: NDArray[np.float64]
    scores: NDArray[np.float64]
    edges: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    flagged: bool

    @classmethod
    def fit(cls, column: NDArray[np.float64], bins: int) -> Self:
        """Statistics of a column (n,), NaN where missing, with at most `bins` quantile bins."""
        values = column[~np.isnan(column)]
        flagged = len(values) < len(column)
        if not len(values):
            none = np.empty(0)
            return cls(none, none, none, none, none, flagged)
        knots, scores = _normal_scores(*np.unique(values, return_counts=True))
        edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)))
        raw = cls(knots, scores, edges, np.empty(0), np.empty(0), flagged)._views(values)
        return cls(knots, scores, edges, raw.mean(axis=0), np.maximum(raw.std(axis=0), _MIN_SCALE), flagged)

    @classmethod
    def of(cls, values: NDArray[np.float64], rows: NDArray[np.int64], flagged: bool, bins: int) -> Self:
        """The same by how many rows hold each of some values (k,), which ascend."""
        values, rows = values[rows > 0], rows[rows > 0]
        if not len(values):
            none = np.empty(0)
            return cls(none, none, none, none, none, flagged)
        knots, scores = _normal_scores(values, rows)
        reached = np.cumsum(rows)
        edges = np.unique(values[np.searchsorted(reached, np.linspace(0, reached[-1], bins + 1))])
        raw = cls(knots, scores, edges, np.empty(0), np.empty(0), flagged)._views(values)
        shares = rows[:, None] / reached[-1]
        mean = (shares * raw).sum(axis=0)
        scale = np.sqrt((shares * (raw - mean) ** 2).sum(axis=0))
        return cls(knots, scores, edges, mean, np.maximum(scale, _MIN_SCALE), flagged)

    @property
    def width(self) -> int:
        """Inputs that the column gives."""
        return len(self.mean) + self.flagged

    def transform(self, column: NDArray[np.float64]) -> NDArray[np.float64]:
        """The inputs (n, width) of a column (n,)."""
        missing = np.isnan(column)
        inputs = np.empty((len(column), self.width))
        inputs[:, : len(self.mean)] = (self._views(column) - self.mean) / self.scale
        inputs[:, 1 : len(self.mean)] *= _PIECEWISE_WEIGHT / np.sqrt(max(1, len(self.edges) - 1))
        inputs[missing] = 0
        if self.flagged:
            inputs[:, -1] = missing
        return inputs

    def _views(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The normal score and how far each value reaches through each bin, from 0 to 1."""
        if len(self.edges) < 2:
            return np.empty((len(values), 0))
        lower, upper = self.edges[:-1], self.edges[1:]
        pieces = np.clip((values[:, None] - lower) / (upper - lower), 0, 1)
        return np.column_stack([np.interp(values, self.knots, self.scores), pieces])


@dataclass(frozen=True)
class Encoder:
    """Fitted statistics of a table.

    They are of each numeric column, the level codes seen of each categorical one, and mean, the inputs (width,) of the
    average row.
    """

    numeric: tuple[NumericEncoder, ...]
    levels: tuple[NDArray[np.int32], ...]
    mean: NDArray[np.float64]

    @classmethod
    def fit(cls, table: Table, rows: NDArray[np.int_], bins: int) -> Self:
        """Statistics of those of the rows that are known to the party."""
        rows = rows[table.known[rows]]
        numeric = tuple(NumericEncoder.fit(column, bins) for column in table.numeric[rows].T)
        levels = tuple(np.unique(codes[codes >= 0]) for codes in table.codes[rows].T)
        fitted = cls(numeric, levels, np.empty(0))
        total = fitted.transform(table, rows).sum(axis=0, dtype=np.float64)
        return replace(fitted, mean=total / max(1, len(rows)))

    @classmethod
    def of(cls, counts: Counts, bins: int) -> Self:
        """The same by counts of rows, which need not be of one table."""
        gaps = counts.missing
        columns = zip(counts.values, gaps, strict=False)
        numeric = tuple(NumericEncoder.of(*values, bool(missing), bins) for values, missing in columns)
        levels = tuple(np.flatnonzero(rows).astype(np.int32) for rows in counts.levels)
        # The views of a numeric column have mean zero, which is that of the missing values, too.
        means: list[NDArray[Any]] = [np.zeros(0)]
        for encoder, missing in zip(numeric, gaps, strict=False):
            means.append(np.append(np.zeros(len(encoder.mean)), [missing] * encoder.flagged))
        means += [rows[rows > 0] for rows in counts.levels]
        return cls(numeric, levels, np.concatenate(means) / max(1, counts.rows))

    @property
    def width(self) -> int:
        """Inputs per row."""
        return sum(column.width for column in self.numeric) + sum(len(levels) for levels in self.levels)

    @property
    def columns(self) -> NDArray[np.int64]:
        """The number of the column that each input is of, (width,)."""
        widths = [*(column.width for column in self.numeric), *map(len, self.levels)]
        return np.repeat(np.arange(len(widths)), widths)

    def transform(self, table: Table, rows: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """The inputs of some rows, (len(rows), width) float32."""
        inputs = np.empty((len(rows), self.width), np.float32)
        for first in range(0, len(rows), _BLOCK):
            inputs[first : first + _BLOCK] = self._exact(table, rows[first : first + _BLOCK])
        return inputs

    def _exact(self, table: Table, rows: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        columns = zip(self.numeric, table.numeric[rows].T, strict=True)
        one_hot = zip(table.codes[rows].T, self.levels, strict=True)
        parts = [
            np.empty((len(rows), 0)),
            *(encoder.transform(column) for encoder, column in columns),
            *(codes[:, None] == levels for codes, levels in one_hot),
        ]
        return np.concatenate(parts, axis=1)


def _normal_scores(
    distinct: NDArray[np.float64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Knots of the map from value to the normal quantile of its mid-rank (van der Waerden scores)."""
    ranks = np.cumsum(counts) - (counts - 1) / 2
    chosen = np.unique(np.linspace(0, len(distinct) - 1, min(_KNOTS, len(distinct))).round().astype(int))
    return distinct[chosen], ndtri(ranks[chosen] / (counts.sum() + 1))
