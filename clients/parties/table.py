"""A party whose features are the columns of one CSV or Parquet file: it needs a declaration and no code."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar
from warnings import warn

import numpy as np
import pandas as pd

from clients.data.declaration import DEFAULT_ID, FILE_NAME, Column, Declaration
from clients.data.errors import DataError, DataWarning, listing
from clients.data.files import SUFFIXES, Kind, detect, open_table, tables_in
from clients.parties.base import Party, Records

TABLE = "table"
"""The name of the one record table, whatever its file is called."""


class TableParty(Party):
    """The columns of one file with a row per business."""

    type: ClassVar[str] = "table"

    @classmethod
    def default_declaration(cls, folder: Path) -> Declaration:
        """Declares every column of the one table in the folder but dates, numeric if all its values are numbers.

        The id is the column `business_id` or `id`, else the first one; the label is `default` or `label`, if
        there is one, and then the observation month is `observation_month` or `month`. The party edits the result.
        Raises `DataError` if the folder has no table or several.
        """
        files = sorted(file for file in Path(folder).glob("*") if file.suffix in SUFFIXES)
        if len(files) != 1:
            raise DataError(
                f"{folder} must hold one .csv or .parquet file to declare, and holds {len(files)}: "
                f"{listing(file.name for file in files)}."
            )
        format = detect(files[0])
        kinds = open_table(files[0], format).guess_kinds()
        id_column = _first_of((DEFAULT_ID, "id"), kinds) or next(iter(kinds))
        label = _first_of(("default", "label"), kinds)
        month = _first_of(("observation_month", "month"), kinds) if label is not None else None
        return Declaration(
            type=cls.type,
            name=Path(folder).resolve().name,
            id=id_column,
            label=label,
            month=month,
            columns=tuple(
                Column(name, "numeric" if kind == "number" else "categorical")
                for name, kind in kinds.items()
                if name not in (id_column, label, month) and kind != "month"
            ),
            file=files[0].name,
            format=format,
        )

    @classmethod
    def example_records(cls, as_of: pd.Series) -> dict[str, pd.DataFrame]:
        """One table of the businesses, with a number and a text."""
        numbers = np.arange(len(as_of), dtype=np.float64)
        columns = {"turnover": numbers + 1, "rating": np.where(numbers % 2 == 0, "good", "poor")}
        return {TABLE: pd.DataFrame({DEFAULT_ID: as_of.index, **columns})}

    def features(self, records: Mapping[str, pd.DataFrame], as_of: pd.Series) -> pd.DataFrame:
        """The columns of the file, which are the same in every month."""
        return records[TABLE].set_index(self.declaration.id).reindex(as_of.index)

    def read_records(self) -> Records:
        """The declared columns of the file, under the names that they have there.

        A row is a business's state at its own observation month, and so is known at any time. A column without any
        value is taken out of the declaration, with a `DataWarning`. Raises `DataError` if the declaration names no
        file in its own folder or the file cannot be read.
        """
        declared, where = self.declaration, self.folder / FILE_NAME
        name = declared.file
        if name is None:
            raise DataError.at(
                where, f"the key file is missing; tables in the folder: {tables_in(self.folder)}."
            )
        if Path(name).name != name:
            raise DataError.at(where, f"file must be the name of a file in the same folder, not '{name}'.")
        file = open_table(self.folder / name, declared.format)
        table = file.read(self._kinds(), unique_id=True)
        empty = {name for name in declared.column_names if table[name].isna().all()}
        for column in sorted(empty):
            warning = DataWarning.at(
                file.path, "the column has no value in any row and is left out.", column=column
            )
            warn(warning, stacklevel=2)
        self.declaration = replace(
            declared, columns=tuple(column for column in declared.columns if column.name not in empty)
        )
        return Records(
            {TABLE: table}, declared.id, declared.label, declared.month, known_since=None, applications=TABLE
        )

    def _kinds(self) -> dict[str, Kind]:
        declared = self.declaration
        segments: dict[str, Kind] = dict.fromkeys(declared.segments, "text")
        columns: dict[str, Kind] = {
            column.name: "number" if column.kind == "numeric" else "text" for column in declared.columns
        }
        kinds = segments | columns | declared.roles
        return {name: kind for name, kind in kinds.items() if self.labelled or name != declared.label}


def _first_of(names: Iterable[str], columns: Container[str]) -> str | None:
    return next((name for name in names if name in columns), None)
