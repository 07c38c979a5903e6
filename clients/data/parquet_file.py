"""A Parquet file, which may also be read part by part."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pat
from numpy.typing import NDArray

from clients.data.errors import DataError
from clients.data.format import USUAL, Format
from clients.data.table_file import Conversion, Kind, TableFile, numbered

_ROWS_IN_BATCH = 1 << 19
_IS_PLAIN: Mapping[Kind, Callable[[pa.DataType], bool]] = {
    "number": lambda type: pat.is_integer(type) or pat.is_floating(type) or pat.is_boolean(type),
    "month": lambda type: pat.is_timestamp(type) or pat.is_date(type),
    "id": lambda type: pat.is_string(type) or pat.is_large_string(type) or pat.is_integer(type),
    "text": lambda type: True,
}
"""The types of a Parquet column in which a cell is read by itself; a text among numbers needs its whole column."""


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
        return numbered("row", [row + 1 for row in rows])

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
