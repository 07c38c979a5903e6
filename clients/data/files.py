"""Reads the tables of a party's folder, CSV or Parquet, strictly: an error names the cell that cannot be used.

A CSV file is UTF-8 with a header and commas (RFC 4180). Errors name a row as a person finds it: by
the line in a CSV file (the header is line 1), by the number of the row, counted from 1, in a Parquet file.
"""

import csv
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from clients.data import values
from clients.data.errors import DataError, listing, not_utf8, suggestion
from clients.data.format import MISSING

SUFFIXES = (".parquet", ".csv")

Kind = Literal["id", "number", "number or missing", "text", "month", "binary"]
"""What a column is read as; the dtypes are str, float64, float64, str, datetime64[s] and, for a binary label, int8."""

Conversion = Callable[[pa.ChunkedArray], pa.ChunkedArray]
"""What else a column may be read as: a function such as those of `clients.data.values`."""

_CONVERSIONS: Mapping[Kind, Conversion] = {
    "id": values.ids,
    "number": values.numbers,
    "number or missing": lambda column: values.numbers_and_strays(column)[0],
    "text": values.texts,
    "month": values.months,
    "binary": values.labels,
}
_CHUNK = 1 << 20


def open_table(path: Path) -> "TableFile":
    """The table at `path`, of which only the column names are read yet.

    Raises `DataError` if there is no such file or it is not a table.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: a table must be a .csv or a .parquet file.")
    try:
        return CsvFile(path) if path.suffix == ".csv" else ParquetFile(path)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; tables in its folder: {tables_in(path.parent)}.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error


def tables_in(folder: Path) -> str:
    """The names of the table files in a folder, for a message."""
    return listing(sorted(file.name for file in Path(folder).glob("*") if file.suffix in SUFFIXES))


class TableFile(ABC):
    """A table on disk: its path, the names of all its columns, and the values of some on demand."""

    path: Path
    columns: tuple[str, ...]

    def read(self, kinds: Mapping[str, Kind | Conversion], unique_id: bool = False) -> pd.DataFrame:
        """The columns named in `kinds`, in that order: one row per row of the file, indexed 0, 1, ….

        Other columns are not read. Missing numbers and texts are NaN; ids, months and labels are never
        missing. With `unique_id`, no id may stand in two rows. Raises `DataError`.
        """
        self._require_columns(kinds)
        raw = self._read_raw(kinds)
        if raw.num_rows == 0:
            raise DataError(f"{self.path} has a header but no rows.")
        frame = pa.table(
            {name: self._converted(raw[name], name, kind) for name, kind in kinds.items()}
        ).to_pandas()
        for name in kinds if unique_id else ():
            if kinds[name] == "id":
                self._refuse_duplicates(frame[name], name)
        return frame

    def cells(self, names: Iterable[str]) -> dict[str, pa.ChunkedArray]:
        """The columns as they stand in the file, which are texts in a CSV file. Raises `DataError`."""
        names = tuple(names)
        self._require_columns(names)
        raw = self._read_raw(dict.fromkeys(names, "text"))
        return {name: raw[name] for name in names}

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

    def _converted(self, column: pa.ChunkedArray, name: str, kind: Kind | Conversion) -> pa.ChunkedArray:
        try:
            return _CONVERSIONS[kind](column) if isinstance(kind, str) else kind(column)
        except values.BadValues as error:
            row = self.row_name(*error.rows) if error.rows else None
            raise DataError.at(self.path, error.problem, row=row, column=name) from None

    def _refuse_duplicates(self, ids: pd.Series, name: str) -> None:
        if (is_repeated := ids.duplicated().to_numpy()).any():
            second = int(is_repeated.argmax())
            first = int((ids == ids[second]).to_numpy().argmax())
            raise DataError.at(
                self.path,
                f"the id '{ids[second]}' stands twice; a business applies once per dataset, so keep one row.",
                row=self.row_name(first, second),
                column=name,
            )


class CsvFile(TableFile):
    """A CSV file."""

    def __init__(self, path: Path) -> None:
        """Reads the header."""
        self.path = path
        header = next((cells for _, cells in self._records()), None)
        if header is None:
            raise DataError(f"{path} is empty; it needs a header and at least one row.")
        self.columns = tuple(header)

    def row_name(self, *rows: int) -> str:
        """The lines on which the rows begin."""
        lines = [line for line, _ in islice(self._records(), 1, max(rows) + 2)]
        return _numbered("line", [lines[row] for row in rows])

    def _read_raw(self, kinds: Mapping[str, Kind | Conversion]) -> pa.Table:
        self._check_text()
        try:
            # Parsing numbers while reading takes half the time and memory. If that fails, they are read as
            # texts, so that the conversion can name the cell that is to blame, or understand true and false.
            return self._read_as(
                {
                    name: pa.float64() if kind in ("number", "binary") else pa.string()
                    for name, kind in kinds.items()
                }
            )
        except pa.ArrowInvalid:
            self._check_row_lengths()
        try:
            return self._read_as(dict.fromkeys(kinds, pa.string()))
        except pa.ArrowInvalid as error:
            raise DataError(f"{self.path} cannot be read as CSV ({str(error).splitlines()[0]}).") from error

    def _read_as(self, types: Mapping[str, pa.DataType]) -> pa.Table:
        return pacsv.read_csv(
            self.path,
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types=dict(types),
                include_columns=list(types),
                null_values=list(MISSING),
                strings_can_be_null=True,
            ),
        )

    def _check_text(self) -> None:
        """Raises `DataError` if the file is not UTF-8 or a quotation mark is never closed.

        The whole file is looked at, columns that are not read included: an open quotation mark would swallow
        the rows that follow it.
        """
        try:
            with self.path.open(encoding="utf-8", newline="\n") as file:
                marks = sum(chunk.count('"') for chunk in iter(partial(file.read, _CHUNK), ""))
        except UnicodeDecodeError:
            raise not_utf8(self.path) from None
        if marks % 2:
            for _ in self._records(strict=True):
                pass

    def _check_row_lengths(self) -> None:
        for line, cells in self._records():
            if len(cells) != len(self.columns):
                raise DataError.at(
                    self.path,
                    f"the row has {len(cells)} cells where the header has {len(self.columns)}.",
                    row=f"line {line}",
                )

    def _records(self, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
        """First line and cells of the header and of each row; lines without a character are no rows."""
        line = 1
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=strict)
                for cells in reader:
                    if cells:
                        yield line, cells
                    line = reader.line_num + 1
        except UnicodeDecodeError:
            raise not_utf8(self.path) from None
        except csv.Error as error:
            problem = (
                f"a cell has more than {csv.field_size_limit():,} characters; shorten it, or close the quotation mark "
                "before it."
                if "field limit" in str(error)
                else f"the row is not valid CSV ({error}); is every quotation mark closed?"
            )
            raise DataError.at(self.path, problem, row=f"line {line}") from None


class ParquetFile(TableFile):
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        """Reads the schema."""
        self.path = path
        path.open("rb").close()  # a missing or forbidden file is told apart from a damaged one
        with self._opened() as file:
            self.columns = tuple(file.schema_arrow.names)

    def row_name(self, *rows: int) -> str:
        """The rows counted from 1."""
        return _numbered("row", [row + 1 for row in rows])

    def _read_raw(self, kinds: Mapping[str, Kind | Conversion]) -> pa.Table:
        with self._opened() as file:
            table = file.read(columns=list(kinds)).select(list(kinds))
        for name in kinds:
            try:
                # Arrow takes it on trust that texts are UTF-8; not every writer keeps to it.
                table[name].validate(full=True)
            except pa.ArrowInvalid:
                raise DataError.at(
                    self.path,
                    "the column holds text that is not valid UTF-8; write the file with UTF-8 text.",
                    column=name,
                ) from None
        return table

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        try:
            with pq.ParquetFile(self.path) as file:
                yield file
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{self.path} is not a whole Parquet file; it may be truncated or of another format."
            ) from error


def _numbered(word: str, numbers: Sequence[int]) -> str:
    return f"{word}{'s' if len(numbers) > 1 else ''} {' and '.join(map(str, numbers))}"
