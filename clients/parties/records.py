"""The record tables of a party: those that it holds, and those that stay in their files until they are asked for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from clients.data.parquet_file import ParquetFile
from clients.data.table_file import Conversion, Kind

APPLICATIONS = "applications"
"""The record table of the label holder, with a row per business."""
MONTH = "month"
"""The column of a record table that says in which month a row became known."""


@dataclass(frozen=True)
class StoredTable:
    """A record table that is too large to be held: its rows stay in their file until their businesses are asked for.

    `kinds` says what each column of the file is read as, and `names` what the class calls it; `file_id` is the id's
    column in the file.
    """

    file: ParquetFile
    kinds: Mapping[str, Kind | Conversion]
    names: Mapping[str, str]
    file_id: str

    @cached_property
    def ids(self) -> pa.Array:
        """Each id once, texts (businesses,). All cells of the file are checked on the way. Raises `DataError`."""
        ids = [pa.array([], pa.large_string())]
        for part in self.file.parts(self.kinds):
            ids.append(pc.unique(pa.array(part[self.file_id], pa.large_string())))
            # Not after every part: there are many of them, and all known ids are looked at each time.
            if sum(map(len, ids[1:])) > len(ids[0]):
                ids = [pc.unique(pa.concat_arrays(ids))]
        return pc.unique(pa.concat_arrays(ids))

    @cached_property
    def business(self) -> npt.NDArray[np.int32]:
        """Whose each row is, (rows,): a position in `ids`. It is kept, since looking ids up is most of the work."""
        parts = self.file.parts({self.file_id: "id"})
        return np.concatenate(
            [
                pc.index_in(pa.array(part[self.file_id], pa.large_string()), self.ids).to_numpy()
                for part in parts
            ]
        )

    def parts(self, businesses: pd.Index) -> Iterator[pd.DataFrame]:
        """All the rows of some businesses, part by part."""
        is_asked = pc.is_in(self.ids, pa.array(businesses, pa.large_string())).to_numpy(zero_copy_only=False)
        wanted, first = is_asked[self.business], 0
        ids = pd.Series(self.ids.take(pa.array(self.business[wanted])).to_pandas(), dtype=str)
        for part in self.file.parts({k: v for k, v in self.kinds.items() if k != self.file_id}, wanted):
            part.insert(0, self.file_id, ids[first : first + len(part)].array)
            first += len(part)
            yield part.rename(columns=self.names)


@dataclass(frozen=True)
class Records:
    """A party's record tables by name, and the names of the columns that identify, label and date their rows.

    `stored` has those that are too large for `tables`. `id` is a column of every table; `label` and `month` (the
    observation month) are columns of the table `applications`, which is always held. A row becomes known in the month
    in its column `known_since`; where that is None or the table has no such column, a row is known at any time.
    """

    tables: dict[str, pd.DataFrame]
    id: str
    label: str | None
    month: str | None
    known_since: str | None = MONTH
    applications: str = APPLICATIONS
    stored: Mapping[str, StoredTable] = field(default_factory=dict)

    @property
    def most_rows(self) -> int:
        """Rows of the largest table that is not held."""
        return max((table.file.rows for table in self.stored.values()), default=0)

    def visible(self, as_of: pd.Series, sensitive: Sequence[str] = ()) -> dict[str, pd.DataFrame]:
        """The rows of the businesses of `as_of` that are known by each one's month there, without the label.

        Every value of the sensitive columns of the applications is missing there. Since every type's features are
        computed from these tables alone, no feature can look ahead or depend on such a column.
        """
        visible = {name: self._visible(table, as_of) for name, table in self.tables.items()}
        if sensitive:
            table = visible[self.applications]
            visible[self.applications] = table.assign(
                **{name: pd.Series(None, table.index, table[name].dtype) for name in sensitive}
            )
        for name, table in self.stored.items():
            parts = [self._visible(part, as_of) for part in table.parts(as_of.index)]
            visible[name] = pd.concat(parts, ignore_index=True)
        return visible

    def _visible(self, table: pd.DataFrame, as_of: pd.Series) -> pd.DataFrame:
        position = as_of.index.get_indexer(table[self.id])
        table = table.loc[position >= 0, [column for column in table if column != self.label]]
        if self.known_since not in table:
            return table
        last_months = as_of.to_numpy()[position[position >= 0]]
        return table[(table[self.known_since].to_numpy() <= last_months) | np.isnat(last_months)]
