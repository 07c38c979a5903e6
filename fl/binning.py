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
Integers = NDArray[np.int64]

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
class Counts:
    """How many rows of a table hold what; rows are int64, numeric columns come first.

    values   by numeric column: k values, ascending, and the rows (k,) that hold each
    special  the same of the special values that may have a bin
    levels   by categorical column: the rows of each level, and last of any other
    missing  (c,): the rows that hold none of these
    """

    values: tuple[tuple[NDArray[np.float64], Integers], ...]
    special: tuple[tuple[NDArray[np.float64], Integers], ...]
    levels: tuple[Integers, ...]
    missing: Integers

    @classmethod
    def of(cls, table: Table, special: bool) -> Self:
        """Those of all rows of a table, whose businesses the party knows; special values count only if asked for."""
        values = [_distinct(column) for column in table.numeric.T]
        nothing = np.empty(0)
        coded = [
            _distinct(table.special.get(name, nothing) if special else nothing)
            for name in table.numeric_names
        ]
        levels = [
            np.bincount(column[column >= 0], minlength=len(texts) + 1)
            for column, texts in zip(table.codes.T, table.levels, strict=True)
        ]
        held = [int(rows.sum() + apart.sum()) for (_, rows), (_, apart) in zip(values, coded, strict=True)]
        held += [int(rows.sum()) for rows in levels]
        return cls(tuple(values), tuple(coded), tuple(levels), len(table) - np.array(held, np.int64))

    @property
    def rows(self) -> int:
        """All rows."""
        if not len(self.missing):
            return 0
        first = (self.values[0][1], self.special[0][1]) if self.values else (self.levels[0],)
        return int(self.missing[0] + sum(rows.sum() for rows in first))


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
        counts = Counts.of(table.take(rows[table.known[rows]]), special)
        return cls.of(counts, bins, minimum, np.array([signs.get(name, 0) for name in table.names], np.int8))

    @classmethod
    def of(cls, counts: Counts, bins: int, minimum: int, signs: NDArray[np.int8]) -> Self:
        """The same by counts of rows, for signs (c,) of the columns."""
        least, rows, missing_rows = max(1, minimum), counts.rows, counts.missing.copy()
        special = []
        for column, (values, of_values) in enumerate(counts.special):
            frequent = (of_values >= least) & (rows - of_values >= least)
            special.append(values[frequent])
            missing_rows[column] += of_values[~frequent].sum()
        missing = (missing_rows >= least) & (rows - missing_rows >= least)
        room = bins - missing.astype(int)
        cuts = [
            quantile_cuts(*of_column, n, minimum) for of_column, n in zip(counts.values, room, strict=False)
        ]
        levels = [_frequent(each, n, least) for each, n in zip(counts.levels, room[len(cuts) :], strict=True)]
        without_gaps = [len(ends) + 1 + len(values) for ends, values in zip(cuts, special, strict=True)]
        without_gaps += [max(1, int(places.max(initial=0)) + 1) for places in levels]
        # In which bin the rows are that have a value which is not special; those without a bin count in the first one.
        places = [
            np.searchsorted(ends, values, side="left")
            for ends, (values, _) in zip(cuts, counts.values, strict=True)
        ] + [np.maximum(of_levels, 0) for of_levels in levels]
        of_places = [of_values for _, of_values in counts.values] + list(counts.levels)
        fullest = []
        for column, (where, of_column) in enumerate(zip(places, of_places, strict=True)):
            in_bins = np.bincount(where, of_column, without_gaps[column] + 1)
            in_bins[without_gaps[column] if missing[column] else 0] += missing_rows[column]
            fullest.append(np.argmax(in_bins))
        return cls(
            tuple(cuts),
            tuple(special),
            tuple(levels),
            missing,
            np.array(without_gaps, np.int64) + missing,
            np.array(fullest, np.int64),
            signs,
        )

    def with_codes_of(self, table: Table, fitted: Table) -> Self:
        """The same bins for the level codes of another table than the one fitted to."""
        levels = []
        for of_codes, texts, coded in zip(self.levels, table.levels, fitted.levels, strict=True):
            bins = dict(zip(coded, of_codes.tolist(), strict=False))
            levels.append(
                np.array([*(bins.get(text, of_codes[-1]) for text in texts), of_codes[-1]], np.int16)
            )
        return replace(self, levels=tuple(levels))

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


def _distinct(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], Integers]:
    """The values that there are, ascending and without NaN, and how many rows hold each."""
    return np.unique(values[~np.isnan(values)], return_counts=True)


def quantile_cuts(
    values: NDArray[np.float64], rows: Integers, bins: int, minimum: int
) -> NDArray[np.float64]:
    """Upper ends of all bins but the last: each takes its share of the rows that are left, ties together."""
    values, reached = values[rows > 0], np.cumsum(rows[rows > 0])
    total, done = int(rows.sum()), 0
    cuts: list[float] = []
    while len(cuts) < bins - 1:
        share = (total - done) / (bins - len(cuts))
        last = int(np.searchsorted(reached, done + max(minimum, share)))
        if last >= len(values) - 1 or total - reached[last] < minimum:
            break
        cuts.append(float(values[last]))
        done = int(reached[last])
    return np.array(cuts, np.float64)


def _frequent(rows: Integers, bins: int, least: int) -> NDArray[np.int16]:
    """The bin of each level: frequent ones first, then one bin for the rest if those have rows enough, or −1."""
    order = np.argsort(-rows, kind="stable")
    enough = [int(level) for level in order if rows[level] >= least]
    alone = enough if len(enough) <= bins and len(enough) == np.count_nonzero(rows) else enough[: bins - 1]
    found = np.full(len(rows), -1, np.int16)
    found[alone] = np.arange(len(alone))
    rare = found < 0
    if rows[rare].sum() >= least:
        found[rare] = len(alone)
    return found
