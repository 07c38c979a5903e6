"""From a party's table to the inputs of its network, with statistics of its own training rows only.

A numeric column becomes a piecewise-linear encoding over its quantile bins, each component standardised (Gorishniy,
Rubachev and Babenko, "On Embeddings for Numerical Features in Tabular Deep Learning", NeurIPS 2022): heavy tails and
thresholds are then within reach of a small network. A missing value is zero, the mean of every component, and sets a
flag of its own where the training rows have any. A categorical column is one-hot over the levels in the training rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fl.tables import Table

_MIN_SCALE = 0.05  # keeps a component that is almost constant in training from exploding elsewhere


@dataclass(frozen=True)
class Encoder:
    """Fitted statistics of a table's columns.

    edges        per numeric column its distinct quantiles, ascending; one or none: the column is constant, left out
    means        per numeric column the mean of each component over the training rows
    scales       likewise the standard deviation
    flagged      per numeric column, whether it was ever missing in training
    levels       per categorical column the level codes seen in training
    """

    edges: tuple[NDArray[np.float64], ...]
    means: tuple[NDArray[np.float64], ...]
    scales: tuple[NDArray[np.float64], ...]
    flagged: NDArray[np.bool_]
    levels: tuple[NDArray[np.int32], ...]

    @classmethod
    def fit(cls, table: Table, rows: NDArray[np.int_], bins: int) -> Self:
        """Statistics of the rows of the table that are known to the party; bins is the most per numeric column."""
        rows = rows[table.known[rows]]
        edges, means, scales = [], [], []
        numeric = table.numeric[rows]
        for column in numeric.T:
            values = column[~np.isnan(column)]
            cuts = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1))) if len(values) else np.empty(0)
            parts = _piecewise(values, cuts)
            edges.append(cuts)
            means.append(parts.mean(axis=0) if len(values) else np.empty(0))
            scales.append(np.maximum(parts.std(axis=0), _MIN_SCALE) if len(values) else np.empty(0))
        levels = tuple(np.unique(codes[codes >= 0]) for codes in table.codes[rows].T)
        return cls(tuple(edges), tuple(means), tuple(scales), np.isnan(numeric).any(axis=0), levels)

    @property
    def width(self) -> int:
        """Inputs per row."""
        numeric = sum(max(len(cuts) - 1, 0) for cuts in self.edges) + int(self.flagged.sum())
        return numeric + sum(len(levels) for levels in self.levels)

    def transform(self, table: Table, rows: NDArray[np.int_]) -> NDArray[np.float32]:
        """The inputs of some rows, (len(rows), width) float32."""
        parts: list[NDArray[Any]] = [np.empty((len(rows), 0))]
        for column, cuts, mean, scale, flagged in zip(
            table.numeric[rows].T, self.edges, self.means, self.scales, self.flagged, strict=True
        ):
            missing = np.isnan(column)
            encoded = (_piecewise(column, cuts) - mean) / scale
            encoded[missing] = 0
            parts.append(encoded)
            if flagged:
                parts.append(missing[:, None])
        for codes, levels in zip(table.codes[rows].T, self.levels, strict=True):
            parts.append(codes[:, None] == levels)
        return np.concatenate(parts, axis=1).astype(np.float32)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Named arrays that `from_arrays` reads."""
        named: dict[str, NDArray[Any]] = {"flagged": self.flagged}
        for name, arrays in (("edges", self.edges), ("means", self.means), ("scales", self.scales)):
            named |= {f"{name}/{column}": array for column, array in enumerate(arrays)}
        return named | {f"levels/{column}": array for column, array in enumerate(self.levels)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The encoder that `to_arrays` took apart."""

        def series(name: str) -> tuple[NDArray[Any], ...]:
            count = sum(key.startswith(f"{name}/") for key in arrays)
            return tuple(arrays[f"{name}/{column}"] for column in range(count))

        return cls(series("edges"), series("means"), series("scales"), arrays["flagged"], series("levels"))


def _piecewise(values: NDArray[np.float64], cuts: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each value reaches through each bin, from 0 to 1; (n, max(bins, 0))."""
    if len(cuts) < 2:
        return np.empty((len(values), 0))
    lower, upper = cuts[:-1], cuts[1:]
    return np.clip((values[:, None] - lower) / (upper - lower), 0, 1)
