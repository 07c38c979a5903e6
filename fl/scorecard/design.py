"""One-hot columns without a matrix: each row has one group per column, so sums by group do all the work."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl.binning import Codes

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """Rows in groups; the weights of all groups stand column by column.

    codes   uint8 (n, k): each row's group in each column
    counts  int64 (k,): groups of each column
    """

    codes: Codes
    counts: NDArray[np.int64]

    @property
    def width(self) -> int:
        """Groups of all columns, the number of weights."""
        return int(self.counts.sum())

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where the weights of each column begin, (k,)."""
        return np.asarray(np.cumsum(self.counts) - self.counts, np.int64)

    def rows(self, chosen: NDArray[Any]) -> "Design":
        """Some of the rows."""
        return Design(self.codes[chosen], self.counts)

    def scores(self, weights: Floats) -> Floats:
        """Each row's sum of the weights of its groups, (n,); added column by column, so equal wherever computed."""
        scores = np.zeros(len(self.codes))
        for start, codes in zip(self.starts, self.codes.T, strict=True):
            scores += weights[start + codes.astype(np.int64)]
        return scores

    def totals(self, values: Floats) -> Floats:
        """The sum of values (n,) over the rows of each group, (width,)."""
        parts = [
            np.bincount(codes, values, minlength=count)
            for codes, count in zip(self.codes.T, self.counts, strict=True)
        ]
        return np.concatenate([np.empty(0), *parts])

    def gram(self, values: Floats) -> Floats:
        """The sum of values (n,) over the rows of each pair of groups, (width, width)."""
        gram = np.zeros((self.width, self.width))
        starts, codes = self.starts, self.codes.astype(np.int64)
        for i, (above, rows) in enumerate(zip(starts, self.counts, strict=True)):
            for j in range(i + 1):
                left, columns = starts[j], self.counts[j]
                pairs = np.bincount(codes[:, i] * columns + codes[:, j], values, minlength=rows * columns)
                block = pairs.reshape(rows, columns)
                gram[above : above + rows, left : left + columns] = block
                gram[left : left + columns, above : above + rows] = block.T
        return gram
