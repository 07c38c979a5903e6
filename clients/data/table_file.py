"""A table on disk, CSV or Parquet, that is read strictly: an error names the cell that cannot be used.

Errors name a row as a person finds it: by the line in a CSV file (the header is line 1), by the number of the row,
counted from 1, in a Parquet file.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa

from clients.data import amounts, values
from clients.data.cells import NO_STRAYS, BadValues, StrayCells
from clients.data.errors import DataError, listing, suggestion
from clients.data.format import Format

Kind = Literal["id", "number", "text", "month", "binary"]
"""What a column is read as; the dtypes are str, float64, str, datetime64[s] and, for a binary label, int8."""

Strays = Literal["error", "missing"]
"""What becomes of stray cells, which are no numbers or dates where these are expected."""

Conversion = Callable[[pa.ChunkedArray, Format], tuple[pa.ChunkedArray, StrayCells]]
"""What else a column may be read as: a function such as `amounts.numbers_and_strays`."""


def without_strays(convert: Callable[[pa.ChunkedArray, Format], pa.ChunkedArray]) -> Conversion:
    """The same as a conversion that never finds a stray cell."""
    return lambda column, format: (convert(column, format), NO_STRAYS)


_CONVERSIONS: Mapping[Kind, Conversion] = {
    "id": without_strays(lambda column, _: values.ids(column)),
    "number": amounts.numbers_and_strays,
    "text": without_strays(lambda column, _: values.texts(column)),
    "month": without_strays(lambda column, _: values.months(column)),
    "binary": without_strays(values.labels),
}
_UNIQUE_IDS = without_strays(lambda column, _: values.unique_ids(column))
STRAY_IS_MISSING = (
    'With stray = "missing" in its part of party.toml, a table\'s column counts such cells as missing.'
)
"""What to do where stray cells cannot be corrected."""
_NO_CHOICES: Mapping[str, Strays] = {}


class TableFile(ABC):
    """A table on disk: its path, the names of all its columns, and the values of some on demand."""

    path: Path
    format: Format
    columns: tuple[str, ...]

    def read(
        self,
        kinds: Mapping[str, Kind | Conversion],
        unique_id: bool = False,
        strays: Mapping[str, Strays] = _NO_CHOICES,
    ) -> pd.DataFrame:
        """The columns named in `kinds`, in that order: one row per row of the file, indexed 0, 1, ….

        Other columns are not read. Missing numbers and texts are NaN; ids, months and labels are never
        missing. With `unique_id`, no id may stand in two rows. Stray cells of a column of numbers or dates (infinite,
        or no number) are what `strays` says of the column: missing, or else an error. Raises `DataError`.
        """
        frame, found = self.read_with_strays(kinds, unique_id)
        self._refuse({name: cells for name, cells in found.items() if strays.get(name) != "missing"})
        return frame

    def read_with_strays(
        self, kinds: Mapping[str, Kind | Conversion], unique_id: bool = False
    ) -> tuple[pd.DataFrame, dict[str, StrayCells]]:
        """What `read` returns, with every stray cell missing; and by column the stray cells, where there are any."""
        self._require_columns(kinds)
        raw = self._read_raw(kinds)
        if raw.num_rows == 0:
            raise DataError(f"{self.path} has a header but no rows.")
        return self._converted(raw, kinds, unique_id)

    def _converted(
        self, raw: pa.Table, kinds: Mapping[str, Kind | Conversion], unique_id: bool = False, first: int = 0
    ) -> tuple[pd.DataFrame, dict[str, StrayCells]]:
        """Rows of the file as `read_with_strays` has them; an error counts them from the number of the first one."""
        columns, strays = {}, {}
        for name, kind in kinds.items():
            with self._placed(name, first):
                convert = _CONVERSIONS[kind] if isinstance(kind, str) else kind
                if unique_id and kind == "id":
                    convert = _UNIQUE_IDS
                columns[name], strays[name] = convert(raw[name], self.format)
        return pa.table(columns).to_pandas(), {
            name: cells for name, cells in strays.items() if len(cells.rows)
        }

    def cells(self, names: Iterable[str]) -> dict[str, pa.ChunkedArray]:
        """Columns as they stand in the file, which are texts in a CSV file. Raises `DataError`."""
        names = tuple(names)
        self._require_columns(names)
        return {name: self._raw[name] for name in names}

    def words_for_missing(self) -> tuple[str, ...]:
        """The texts of `WORDS_IN_NUMBERS` that stand among the numbers of any column, and are not in `format`."""
        found: set[str] = set()
        for column in self.cells(self.columns).values():
            with suppress(BadValues):  # A column that cannot be read has no words; its reader says why.
                found |= amounts.words_for_missing(column, self.format)
        return tuple(sorted(found))

    def error(self, problem: str, column: str, *rows: int) -> DataError:
        """The error of some cells of a column, whose rows are counted from 0."""
        return DataError.at(self.path, problem, row=self.row_name(*rows) if rows else None, column=column)

    @abstractmethod
    def row_name(self, *rows: int) -> str:
        """Where a person finds the rows counted from 0: `line 8`, `rows 2 and 5`."""

    @abstractmethod
    def _read_raw(self, kinds: Mapping[str, Kind | Conversion]) -> pa.Table:
        """The columns as they stand in the file, or, if that is cheaper, as their kinds have them."""

    def _require_columns(self, names: Iterable[str]) -> None:
        for name in names:
            count = self.columns.count(name)
            if count == 0:
                hint = suggestion(name, self.columns) or f" Its columns are {listing(self.columns)}."
                raise DataError(f"{self.path} has no column '{name}'.{hint}")
            if count > 1:
                raise DataError(f"{self.path} has {count} columns called '{name}'; rename all but one.")

    @cached_property
    def _raw(self) -> pa.Table:
        return self._read_raw(dict.fromkeys(self.columns, "text"))

    def _refuse(self, strays: Mapping[str, StrayCells], first: int = 0) -> None:
        """Raises `DataError` with the first of the stray cells, whose rows are counted from the number `first`."""
        for name, cells in strays.items():
            raise self.error(f"{cells.problem} {STRAY_IS_MISSING}", name, first + int(cells.rows[0]))

    @contextmanager
    def _placed(self, name: str, first: int = 0) -> Iterator[None]:
        try:
            yield
        except BadValues as error:
            raise self.error(error.problem, name, *(first + row for row in error.rows)) from None


def numbered(word: str, numbers: Sequence[int]) -> str:
    """Rows or lines for a message: `line 8`, `rows 2 and 5`."""
    return f"{word}{'s' if len(numbers) > 1 else ''} {' and '.join(map(str, numbers))}"
