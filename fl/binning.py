"""From a party's table to bins: all that trees ever see of a column, as a number below 255.

A numeric column is cut at quantiles of its training rows, so that bins hold near-equal shares of them. A categorical
one has a bin for each frequent level and one for all rarer levels together; trees split it one level against the
rest. A missing value has a bin of its own, the column's last, and so has each special value (`Table.special`) if that
is asked for. What has too few training rows for a bin of its own (missing values, rare levels) or none (a level or a
gap first met when scoring) goes to the column's fullest bin, that of a special value excepted. A special value without
a bin counts as missing. A business that the party does not know is in no bin: `UNKNOWN`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fl.errors import ProtocolError
from fl.tables import Table

Codes = NDArray[np.uint8]

UNKNOWN = 255
"""In place of a bin, for rows that the party does not know."""
MOST_BINS = UNKNOWN


@dataclass(frozen=True)
class Shape:
    """What a party tells the bank of its binned columns: anonymous numbers, without names, cuts or levels.

    bins     int64 (c,): bins of each column, those apart included
    apart    int64 (c,): the last so many of them hold a special value each, or missing values
    ordered  bool (c,): bins rise with the value; else they are levels of a category
    signs    int8 (c,): +1 where the risk must not fall with the value, −1 where it must not rise, 0 no demand

    Raises ProtocolError unless they fit together: it may come from another party.
    """

    bins: NDArray[np.int64]
    apart: NDArray[np.int64]
    ordered: NDArray[np.bool_]
    signs: NDArray[np.int8]

    def __post_init__(self) -> None:
        kinds = {"bins": np.int64, "apart": np.int64, "ordered": np.bool_, "signs": np.int8}
        for name, kind in kinds.items():
            array = getattr(self, name)
            if array.dtype != kind or array.shape != self.bins.shape or self.bins.ndim != 1:
                raise ProtocolError(f"{name} must be {np.dtype(kind)}, one for each column")
        if len(self) and not (
            self.bins.min() >= 1 and self.bins.max() <= MOST_BINS and np.isin(self.signs, (-1, 0, 1)).all()
        ):
            raise ProtocolError(f"a column has 1 to {MOST_BINS} bins and a sign of -1, 0 or 1")
        if ((self.apart < 0) | (self.apart >= self.bins)).any():
            raise ProtocolError("a column has a bin of values beside those of special and missing ones")

    def __len__(self) -> int:
        return len(self.bins)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Of bins without special values: which columns' last bin holds missing values, (c,)."""
        return self.apart > 0

    @property
    def width(self) -> int:
        """The most bins of any column."""
        return int(self.bins.max(initial=1))

    @property
    def cells(self) -> NDArray[np.bool_]:
        """Which places of an array (c, width) are bins, (c, width): there column by column, they are all bins."""
        return np.asarray(np.arange(self.width) < self.bins[:, None], np.bool_)

    def without_signs(self) -> "Shape":
        """The same, with no demand on any column."""
        return replace(self, signs=np.zeros_like(self.signs))


@dataclass(frozen=True)
class Binning:
    """How a table becomes bins; numeric columns first, then categorical ones, in the table's order.

    cuts      by numeric column: the largest value of each bin but the last, ascending
    special   by numeric column: the special values that have a bin, ascending; these bins follow those of values
    levels    by categorical column: the bin of each level and last of any other, int16, −1 for the fullest bin
    missing   bool (c,): the column's last bin holds missing values
    bins      int64 (c,): bins of each column
    fullest   int64 (c,): the bin with most training rows, of those that are not of a special value
    signs     int8 (c,): see `Shape`
    """

    cuts: tuple[NDArray[np.float64], ...]
    special: tuple[NDArray[np.float64], ...]
    levels: tuple[NDArray[np.int16], ...]
    missing: NDArray[np.bool_]
    bins: NDArray[np.int64]
    fullest: NDArray[np.int64]
    signs: NDArray[np.int8]

    @classmethod
    def fit(
        cls,
        table: Table,
        rows: NDArray[np.int_],
        bins: int,
        minimum: int,
        signs: Mapping[str, int],
        special: bool = False,
    ) -> Self:
        """Bins by those of the rows that the party knows.

        At most `bins` (2 … 255) per column, each with `minimum` rows or more; a column without a value has one bin.
        signs are the declared ones by column name; a column without one has sign 0. If special is asked for, bins of
        special values come on top; a column with no other values has an empty bin for those to come.

        >>> ages, texts = np.array([[21.0], [35.0], [50.0], [64.0], [np.nan], [np.nan]]), np.empty((6, 0), np.int32)
        >>> table = Table(ages, ("age",), texts, (), (), known=np.arange(6) < 5)
        >>> binning = Binning.fit(table, np.arange(6), bins=3, minimum=1, signs={})
        >>> binning.cuts, binning.transform(table).ravel().tolist()  # a missing age has bin 2, an unknown business 255
        ((array([35.]),), [0, 0, 1, 1, 2, 255])
        """
        rows = rows[table.known[rows]]
        numeric, codes = table.numeric[rows], table.codes[rows]
        own_bin = tuple(
            _frequent_special(table.special[name][rows], minimum)
            if special and name in table.special
            else np.empty(0)
            for name in table.numeric_names
        )
        coded = np.zeros((len(rows), len(table.names)), bool)
        for column, values in enumerate(own_bin):
            if len(values):
                coded[:, column] = np.isin(table.special[table.numeric_names[column]][rows], values)
        gaps = (np.concatenate([np.isnan(numeric), codes < 0], axis=1) & ~coded).sum(axis=0)
        missing = (gaps >= max(1, minimum)) & (len(rows) - gaps >= max(1, minimum))
        room = bins - missing.astype(int)
        cuts = [
            _cuts(column[~np.isnan(column)], n, minimum) for column, n in zip(numeric.T, room, strict=False)
        ]
        levels = [
            _frequent(column[column >= 0], len(texts) + 1, n, minimum)
            for column, texts, n in zip(codes.T, table.levels, room[len(cuts) :], strict=True)
        ]
        without_gaps = [len(ends) + 1 + len(values) for ends, values in zip(cuts, own_bin, strict=True)]
        without_gaps += [max(1, int(places.max(initial=0)) + 1) for places in levels]
        binning = cls(
            tuple(cuts),
            own_bin,
            tuple(levels),
            missing,
            np.array(without_gaps, np.int64) + missing,
            np.zeros(len(without_gaps), np.int64),
            np.array([signs.get(name, 0) for name in table.names], np.int8),
        )
        fitted = binning.transform(table, rows)
        binning.fullest[:] = [
            np.argmax(np.bincount(column[~in_special], minlength=1))
            for column, in_special in zip(fitted.T, coded.T, strict=True)
        ]
        return binning

    @property
    def shape(self) -> Shape:
        """What others may know of it."""
        ordered = np.arange(len(self.bins)) < len(self.cuts)
        special = np.zeros_like(self.bins)
        special[: len(self.special)] = [len(values) for values in self.special]
        return Shape(self.bins, special + self.missing, ordered, self.signs)

    def transform(self, table: Table, rows: NDArray[np.int_] | slice = slice(None)) -> Codes:
        """The bins (n, c) of some rows of a table with the same columns; UNKNOWN in rows of nobody the party knows."""
        known = table.known[rows]
        # No bin yet: of a missing value, and of a level that has none of its own.
        gap, other = -2, -1
        numeric = [
            np.where(np.isnan(values), gap, np.searchsorted(cuts, values, side="left"))
            for cuts, values in zip(self.cuts, table.numeric[rows].T, strict=True)
        ]
        for column, special in enumerate(self.special):
            if len(special):
                values = table.special[table.numeric_names[column]][rows]
                places = np.minimum(np.searchsorted(special, values), len(special) - 1)
                first = len(self.cuts[column]) + 1
                numeric[column] = np.where(special[places] == values, first + places, numeric[column])
        categorical = [
            np.append(levels, gap)[np.where(codes < 0, len(levels), np.minimum(codes, len(levels) - 1))]
            for levels, codes in zip(self.levels, table.codes[rows].T, strict=True)
        ]
        bins = np.array([*numeric, *categorical], np.int64).reshape(len(self.bins), len(known)).T
        bins = np.where((bins == gap) & self.missing, self.bins - 1, bins)
        bins = np.where(bins <= other, self.fullest, bins)
        return np.where(known[:, None], bins, UNKNOWN).astype(np.uint8)


def _cuts(values: NDArray[np.float64], bins: int, minimum: int) -> NDArray[np.float64]:
    """Upper ends of all bins but the last: each takes its share of the values that are left, ties together."""
    distinct, counts = np.unique(values, return_counts=True)
    reached, done = np.cumsum(counts), 0
    cuts: list[float] = []
    while len(cuts) < bins - 1:
        share = (len(values) - done) / (bins - len(cuts))
        last = int(np.searchsorted(reached, done + max(minimum, share)))
        if last >= len(distinct) - 1 or len(values) - reached[last] < minimum:
            break
        cuts.append(float(distinct[last]))
        done = int(reached[last])
    return np.array(cuts, np.float64)


def _frequent_special(values: NDArray[np.float64], minimum: int) -> NDArray[np.float64]:
    """The special values that have rows enough, and leave as many to others, ascending; NaN is none."""
    distinct, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    return distinct[(counts >= max(1, minimum)) & (len(values) - counts >= max(1, minimum))]


def _frequent(codes: NDArray[np.int32], levels: int, bins: int, minimum: int) -> NDArray[np.int16]:
    """The bin of each level: frequent ones first, then one bin for the rest if those have rows enough, or −1."""
    counts = np.bincount(codes, minlength=levels)
    order = np.argsort(-counts, kind="stable")
    enough = [int(level) for level in order if counts[level] >= max(1, minimum)]
    alone = enough if len(enough) <= bins and len(enough) == np.count_nonzero(counts) else enough[: bins - 1]
    found = np.full(levels, -1, np.int16)
    found[alone] = np.arange(len(alone))
    rare = found < 0
    if counts[rare].sum() >= max(1, minimum):
        found[rare] = len(alone)
    return found
