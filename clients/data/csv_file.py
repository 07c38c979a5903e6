"""A CSV file: a header (RFC 4180) and the form that its `Format` says, by default UTF-8 with commas."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.types as pat

from clients.data.cells import without
from clients.data.errors import DataError, not_decodable
from clients.data.format import USUAL, Format, encoding_of, separator_line, sniff
from clients.data.quotes import QuotationMark, Unquoted, marks_counter
from clients.data.table_file import Conversion, Kind, TableFile, numbered

_LIKE_NUMBERS = ("-nan", "-NaN", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN")
"""Words of `MISSING` that begin as numbers do: if Arrow knew them, it would compare a tenth longer at every number."""
_CHUNK, _BLOCK = 1 << 18, 1 << 20
_ROWS_IN_BLOCK = 100


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
        return numbered("line", [lines[row] for row in rows])

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
                table = table.set_column(place, table.field(place), without(_LIKE_NUMBERS, table[place]))
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


def _key(separator: str) -> str:
    return '"\\t"' if separator == "\t" else f'"{separator}"'
