"""A party whose features are the columns of one CSV or Parquet file: it needs a declaration and no code."""

from collections.abc import Container, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from clients.data import values
from clients.data.column import Column
from clients.data.dates import months_before
from clients.data.declaration import DEFAULT_ID, FILE_NAME, Declaration
from clients.data.errors import DataError, DataWarning, listing, warn_once
from clients.data.files import SUFFIXES, open_table, tables_in
from clients.data.files import detect as detect_format
from clients.data.table_file import Conversion, Kind
from clients.parties.base import Party
from clients.parties.records import Records

TABLE = "table"
"""The name of the one record table, whatever its file is called."""


class TableParty(Party):
    """The columns of one file with a row per business."""

    type: ClassVar[str] = "table"

    @classmethod
    def default_declaration(cls, folder: Path) -> Declaration:
        """Declares every column of the one table in the folder, of the kind that `siloscore init-party` finds.

        The id is the column `business_id` or `id`, else the first one; the label is `default` or `label`, if
        there is one, and then the observation month is `observation_month` or `month`. The party edits the result.
        Raises `DataError` if the folder has no table or several.
        """
        # Only who declares needs to look at columns.
        from clients.data.detection import detect

        files = sorted(file for file in Path(folder).glob("*") if file.suffix in SUFFIXES)
        if len(files) != 1:
            raise DataError(
                f"{folder} must hold one .csv or .parquet file to declare, and holds {len(files)}: "
                f"{listing(file.name for file in files)}."
            )
        file = open_table(files[0], detect_format(files[0]))
        id_column = _first_of((DEFAULT_ID, "id"), file.columns) or file.columns[0]
        label = _first_of(("default", "label"), file.columns)
        month = _first_of(("observation_month", "month"), file.columns) if label is not None else None
        features = [name for name in file.columns if name not in (id_column, label, month)]
        return Declaration(
            type=cls.type,
            name=Path(folder).resolve().name,
            id=id_column,
            label=label,
            month=month,
            columns=tuple(
                detected.column
                for detected in detect(file, features, has_months=month is not None)
                if detected.column is not None
            ),
            file=files[0].name,
            format=file.format,
        )

    @classmethod
    def example_records(cls, as_of: pd.Series) -> dict[str, pd.DataFrame]:
        """One table of the businesses, with a number and a text."""
        numbers = np.arange(len(as_of), dtype=np.float64)
        columns = {"turnover": numbers + 1, "rating": np.where(numbers % 2 == 0, "good", "poor")}
        return {TABLE: pd.DataFrame({DEFAULT_ID: as_of.index, **columns})}

    def features(self, records: Mapping[str, pd.DataFrame], as_of: pd.Series) -> pd.DataFrame:
        """The columns of the file, which are the same in every month; of dates, the months before the observation."""
        table = records[TABLE].set_index(self.declaration.id).reindex(as_of.index)
        months = {
            column.name: months_before(
                table[column.name], as_of.fillna(pd.Timestamp(column.reference or None))
            )
            for column in self.declaration.columns
            if column.kind == "date"
        }
        return table.assign(**months)

    def read_records(self) -> Records:
        """The declared columns of the file, under the names that they have there.

        A row is a business's state at its own observation month, and so is known at any time. Raises `DataError` if
        the declaration names no file in its own folder or the file cannot be read.
        """
        declared = self.declaration
        strays = {column.name: column.stray for column in declared.columns}
        table = open_table(self._path(), declared.format).read(self._kinds(), unique_id=True, strays=strays)
        return Records(
            {TABLE: table}, declared.id, declared.label, declared.month, known_since=None, applications=TABLE
        )

    def warn(self, has_months: bool) -> None:
        """See `Party.warn`; also of columns that are all missing."""
        super().warn(has_months)
        table = self.records.tables[TABLE]
        for column in self.declaration.columns:
            if table[column.name].isna().all():
                problem = "the column has no value in any row, and so tells a model nothing."
            elif column.kind == "date" and not (has_months or column.reference):
                problem = (
                    "the dates count as missing, since there is no observation month to count to; write a month such "
                    f'as reference = "2023-03" into the column\'s table in {FILE_NAME}.'
                )
            else:
                continue
            warn_once(str(DataWarning.at(self._path(), problem, column=column.name)))

    def _path(self) -> Path:
        """The table's file. Raises `DataError` if the declaration names none, or one in another folder."""
        name, where = self.declaration.file, self.folder / FILE_NAME
        if name is None:
            raise DataError.at(
                where, f"the key file is missing; tables in the folder: {tables_in(self.folder)}."
            )
        if Path(name).name != name:
            raise DataError.at(where, f"file must be the name of a file in the same folder, not '{name}'.")
        return self.folder / name

    def _kinds(self) -> dict[str, Kind | Conversion]:
        declared = self.declaration
        texts: dict[str, Kind | Conversion] = dict.fromkeys((*declared.segments, *declared.sensitive), "text")
        columns = {column.name: _read_as(column) for column in declared.columns}
        kinds = texts | columns | declared.roles
        return {name: kind for name, kind in kinds.items() if self.labelled or name != declared.label}


def _read_as(column: Column) -> Kind | Conversion:
    if column.kind == "date":
        return partial(values.dates_and_strays, day_first=column.day_first)
    return "number" if column.kind == "numeric" else "text"


def _first_of(names: Iterable[str], columns: Container[str]) -> str | None:
    return next((name for name in names if name in columns), None)
