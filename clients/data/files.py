"""Reads the tables of a party's folder, CSV or Parquet, strictly: an error names the cell that cannot be used.

A CSV file has a header (RFC 4180) and the form that its `Format` says, by default UTF-8 with commas. Errors name a row
as a person finds it: by the line in a CSV file (the header is line 1), by the number of the row, counted from 1, in a
Parquet file.
"""

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pyarrow.types as pat
from numpy.typing import NDArray

from clients.data import values
from clients.data.errors import DataError, listing, not_decodable, suggestion
from clients.data.format import USUAL, Format, encoding_of, separator_line, sniff
from clients.data.quotes import QuotationMark, Unquoted, marks_counter

SUFFIXES = (".parquet", ".csv")

Kind = Literal["id", "number", "text", "month", "binary"]
"""What a column is read as; the dtypes are str, float64, str, datetime64[s] and, for a binary label, int8."""

Strays = Literal["error", "missing"]
"""What becomes of stray cells, which are no numbers or dates where these are expected."""

Conversion = Callable[[pa.ChunkedArray, Format], tuple[pa.ChunkedArray, values.Strays]]
"""What else a column may be read as: a function such as `values.numbers_and_strays`."""


def without_strays(convert: Callable[[pa.ChunkedArray, Format], pa.ChunkedArray]) -> Conversion:
    """The same as a conversion that never finds a stray cell."""
    return lambda column, format: (convert(column, format), values.NO_STRAYS)


_CONVERSIONS: Mapping[Kind, Conversion] = {
    "id": without_strays(lambda column, _: values.ids(column)),
    "number": values.numbers_and_strays,
    "text": without_strays(lambda column, _: values.texts(column)),
    "month": without_strays(lambda column, _: values.months(column)),
    "binary": without_strays(values.labels),
}
_UNIQUE_IDS = without_strays(lambda column, _: values.unique_ids(column))
STRAY_IS_MISSING = (
    'With stray = "missing" in its part of party.toml, a table\'s column counts such cells as missing.'
)
"""What to do where stray cells cannot be corrected."""
_LIKE_NUMBERS = ("-nan", "-NaN", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN")
"""Words of `MISSING` that begin as numbers do: if Arrow knew them, it would compare a tenth longer at every number."""
_CHUNK, _BLOCK = 1 << 18, 1 << 20
_ROWS_IN_BLOCK, _ROWS_IN_BATCH = 100, 1 << 19
_IS_PLAIN: Mapping[Kind, Callable[[pa.DataType], bool]] = {
    "number": lambda type: pat.is_integer(type) or pat.is_floating(type) or pat.is_boolean(type),
    "month": lambda type: pat.is_timestamp(type) or pat.is_date(type),
    "id": lambda type: pat.is_string(type) or pat.is_large_string(type) or pat.is_integer(type),
    "text": lambda type: True,
}
"""The types of a Parquet column in which a cell is read by itself; a text among numbers needs its whole column."""
_NO_CHOICES: Mapping[str, Strays] = {}


def open_table(path: Path, format: Format = USUAL) -> "TableFile":
    """The table at `path`, of which only the column names are read yet.

    Raises `DataError` if there is no such file or it is not a table of this format.
    """
    path = Path(path)
    with _named_errors(path):
        return CsvFile(path, format) if path.suffix == ".csv" else ParquetFile(path, format)


def detect(*paths: Path) -> Format:
    """The format that the tables of a party are written in: where they differ, what is not usual in the first of them.

    Raises `DataError` if there is no such file, it is not a table, or its encoding cannot be told.
    """
    formats = [_detect(Path(path)) for path in paths]
    usual = {field.name: getattr(USUAL, field.name) for field in fields(Format)}
    return Format(
        **{
            key: next((value for each in formats if (value := getattr(each, key)) != usual[key]), usual[key])
            for key in usual
        }
    )


def _detect(path: Path) -> Format:
    with _named_errors(path):
        format = sniff(path) if path.suffix == ".csv" else USUAL
    return replace(format, missing=open_table(path, format).words_for_missing())


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: a table must be a .csv or a .parquet file.")
    try:
        yield
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
    ) -> tuple[pd.DataFrame, dict[str, values.Strays]]:
        """What `read` returns, with every stray cell missing; and by column the stray cells, where there are any."""
        self._require_columns(kinds)
        raw = self._read_raw(kinds)
        if raw.num_rows == 0:
            raise DataError(f"{self.path} has a header but no rows.")
        return self._converted(raw, kinds, unique_id)

    def _converted(
        self, raw: pa.Table, kinds: Mapping[str, Kind | Conversion], unique_id: bool = False, first: int = 0
    ) -> tuple[pd.DataFrame, dict[str, values.Strays]]:
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
            with suppress(
                values.BadValues
            ):  # A column that cannot be read has no words; its reader says why.
                found |= values.words_for_missing(column, self.format)
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

    def _refuse(self, strays: Mapping[str, values.Strays], first: int = 0) -> None:
        """Raises `DataError` with the first of the stray cells, whose rows are counted from the number `first`."""
        for name, cells in strays.items():
            raise self.error(f"{cells.problem} {STRAY_IS_MISSING}", name, first + int(cells.rows[0]))

    @contextmanager
    def _placed(self, name: str, first: int = 0) -> Iterator[None]:
        try:
            yield
        except values.BadValues as error:
            raise self.error(error.problem, name, *(first + row for row in error.rows)) from None


class CsvFile(TableFile):
    """A CSV file. Names in the header lose the spaces around them, and a column without a name is passed over."""

    def __init__(self, path: Path, format: Format = USUAL) -> None:
        """Reads the header."""
        self.path, self.format = path, format
        records = self._records()
        self._first_line, header = next(records, (0, None))
        if header is None:
            raise DataError(f"{path} is empty; it needs a header and at least one row.")
        if next(records, None) is None:
            raise DataError(f"{path} has a header but no rows.")
        if "\0" in "".join(header):
            raise DataError(f"{path} is not in {format.encoding.upper()}; {self._advice_on_encoding()}")
        self._names = tuple(name.strip() for name in header)
        if len(header) == 1 and (separator := sniff(path).separator) != format.separator:
            raise DataError(
                f"{path} seems to be separated by {_key(separator)}, not by {_key(format.separator)}; write separator "
                f"= {_key(separator)} in party.toml, or let siloscore init-party write it."
            )
        self.columns = tuple(filter(None, self._names))

    def row_name(self, *rows: int) -> str:
        """The lines on which the rows begin."""
        lines = [line for line, _ in islice(self._records(), 1, max(rows) + 2)]
        return _numbered("line", [lines[row] for row in rows])

    def _read_raw(self, kinds: Mapping[str, Kind | Conversion]) -> pa.Table:
        # Parsing numbers while reading takes half the time and memory. If that fails, they are read as
        # texts, so that the conversion can name the cell that is to blame, or understand another way to write it.
        types = {
            name: pa.float64() if kind in ("number", "binary") else pa.large_string()
            for name, kind in kinds.items()
        }
        is_all = set(kinds) >= set(self._names)
        with (
            suppress(QuotationMark, UnicodeDecodeError, pa.ArrowInvalid),
            Unquoted(self.path, self.format.encoding, is_all) as file,
        ):
            return self._read_as(types, file)
        has_quotes = self._has_quotes(is_all)
        if has_quotes:
            with suppress(pa.ArrowInvalid):
                return self._read_as(types, self.path, has_quotes)
        self._check_row_lengths()
        try:
            return self._read_as(dict.fromkeys(kinds, pa.large_string()), self.path, has_quotes)
        except pa.ArrowInvalid as error:
            raise DataError(f"{self.path} cannot be read as CSV ({str(error).splitlines()[0]}).") from error

    def _read_as(
        self, types: Mapping[str, pa.DataType], source: Path | io.FileIO, has_quotes: bool = False
    ) -> pa.Table:
        table = pacsv.read_csv(
            source,
            read_options=pacsv.ReadOptions(
                # With one thread of its own Arrow spends a fifth more than without any.
                use_threads=pa.cpu_count() > 1,
                block_size=max(_BLOCK, _ROWS_IN_BLOCK * len(self._names)),
                encoding=self.format.encoding,
                column_names=self._names,
                skip_rows=self._first_line - 1,
                skip_rows_after_names=1,
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=self.format.separator,
                quote_char='"' if has_quotes else False,
                newlines_in_values=has_quotes,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict(types),
                include_columns=list(types),
                null_values=[word for word in self.format.without_value if word not in _LIKE_NUMBERS],
                strings_can_be_null=True,
                decimal_point=self.format.decimal,
            ),
        )
        for place, type in enumerate(table.schema.types):
            if pat.is_large_string(type):
                table = table.set_column(
                    place, table.field(place), values.without(_LIKE_NUMBERS, table[place])
                )
        return table

    def _has_quotes(self, is_all: bool) -> bool:
        """Whether there are quotation marks.

        Raises `DataError` if the file is not in its encoding or a quotation mark is never closed. The whole file is
        looked at, columns that are not read included: an open quotation mark would swallow the rows that follow it.
        If all columns are read, the reader itself finds what is not UTF-8.
        """
        marks_in = marks_counter(self.format.encoding, is_all)
        try:
            with self.path.open("rb") as file:
                marks = sum(map(marks_in, iter(partial(file.read, _CHUNK), b""))) + marks_in(b"")
        except UnicodeDecodeError:
            raise self._not_decodable() from None
        if marks % 2:
            for _ in self._records(strict=True):
                pass
        return marks > 0

    def _not_decodable(self) -> DataError:
        return not_decodable(self.path, self.format.encoding, self._advice_on_encoding())

    def _advice_on_encoding(self) -> str:
        encoding = encoding_of(self.path)
        if encoding in (None, self.format.encoding):
            return "save the file as UTF-8."
        return (
            f"it looks like {encoding.upper()}; "
            f'write encoding = "{encoding}" in party.toml, or let siloscore init-party write it.'
        )

    def _check_row_lengths(self) -> None:
        for line, cells in self._records():
            if len(cells) != len(self._names):
                raise DataError.at(
                    self.path,
                    f"the row has {len(cells)} cells where the header has {len(self._names)}.",
                    row=f"line {line}",
                )

    def _records(self, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
        """First line and cells of the header and of each row; lines without a character and `sep=;` are no rows."""
        line = 1
        try:
            with self.path.open(encoding=self.format.encoding, newline="") as file:
                if file.read(1) != "\ufeff":
                    file.seek(0)
                reader = csv.reader(file, delimiter=self.format.separator, strict=strict)
                for cells in reader:
                    if cells and not (line == 1 and self._declares_separator(cells)):
                        yield line, cells
                    line = reader.line_num + 1
        except UnicodeDecodeError:
            raise self._not_decodable() from None
        except csv.Error as error:
            problem = (
                f"a cell has more than {csv.field_size_limit():,} characters; shorten it, or close the quotation mark "
                "before it."
                if "field limit" in str(error)
                else f"the row is not valid CSV ({error}); is every quotation mark closed?"
            )
            raise DataError.at(self.path, problem, row=f"line {line}") from None

    def _declares_separator(self, cells: Sequence[str]) -> bool:
        return separator_line(f"{self.format.separator.join(cells)}\n") == self.format.separator


class ParquetFile(TableFile):
    """A Parquet file."""

    def __init__(self, path: Path, format: Format = USUAL) -> None:
        """Reads the schema."""
        self.path, self.format = path, format
        path.open("rb").close()  # a missing or forbidden file is told apart from a damaged one
        with self._opened() as file:
            self._schema, self.rows = file.schema_arrow, file.metadata.num_rows
        self.columns = tuple(self._schema.names)

    def has_parts(self, kinds: Mapping[str, Kind | Conversion]) -> bool:
        """Whether `parts` may be asked for: no cell may need others of its column to be understood."""
        self._require_columns(kinds)
        return all(
            isinstance(kind, str) and kind in _IS_PLAIN and _IS_PLAIN[kind](self._schema.field(name).type)
            for name, kind in kinds.items()
        )

    def parts(
        self, kinds: Mapping[str, Kind | Conversion], wanted: NDArray[np.bool_] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Some of the rows, bool (n,), or all: what `read` returns, part by part; the last part is empty.

        Row groups without a wanted row are passed over. Raises `DataError`.
        """
        for first, batch in self._batches(list(kinds), wanted):
            rows = batch if wanted is None else batch.filter(wanted[first : first + batch.num_rows])
            frame, strays = self._converted(rows, kinds, first=first)
            self._refuse(strays, first)
            yield frame

    def _batches(self, names: list[str], wanted: NDArray[np.bool_] | None) -> Iterator[tuple[int, pa.Table]]:
        """Rows with the number of the first one; none at the end."""
        first = 0
        with self._opened() as file:
            for group in range(file.num_row_groups):
                last = first + file.metadata.row_group(group).num_rows
                if wanted is None or wanted[first:last].any():
                    for batch in file.iter_batches(_ROWS_IN_BATCH, [group], names):
                        table = pa.Table.from_batches([batch]).select(names)
                        self._check_texts(table)
                        yield first, table
                        first += len(table)
                first = last
        yield first, self._schema.empty_table().select(names)

    def row_name(self, *rows: int) -> str:
        """The rows counted from 1."""
        return _numbered("row", [row + 1 for row in rows])

    def _read_raw(self, kinds: Mapping[str, Kind | Conversion]) -> pa.Table:
        with self._opened() as file:
            table = file.read(columns=list(kinds)).select(list(kinds))
        self._check_texts(table)
        return table

    def _check_texts(self, table: pa.Table) -> None:
        for name in table.column_names:
            try:
                # Arrow takes it on trust that texts are UTF-8; not every writer keeps to it.
                table[name].validate(full=True)
            except pa.ArrowInvalid:
                raise DataError.at(
                    self.path,
                    "the column holds text that is not valid UTF-8; write the file with UTF-8 text.",
                    column=name,
                ) from None

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        try:
            with pq.ParquetFile(self.path) as file:
                yield file
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{self.path} is not a whole Parquet file; it may be truncated or of another format."
            ) from error


def _key(separator: str) -> str:
    return '"\\t"' if separator == "\t" else f'"{separator}"'


def _numbered(word: str, numbers: Sequence[int]) -> str:
    return f"{word}{'s' if len(numbers) > 1 else ''} {' and '.join(map(str, numbers))}"
