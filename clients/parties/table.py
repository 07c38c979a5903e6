"""A party whose features stand ready in one CSV or Parquet file: a declaration is enough, no code is
needed."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar
from warnings import warn

import numpy as np
import pandas as pd

from clients.data.declaration import DEFAULT_ID, FILE_NAME, Column, Declaration
from clients.data.errors import DataError, DataWarning, listing
from clients.data.files import SUFFIXES, Kind, open_table, tables_in
from clients.parties.base import Party, Roles

TABLE = "table"
"""The name of the one record table, whatever its file is called."""

# What the default declaration takes for the id, the label and the month, if the file has such a column.
_USUAL_IDS = (DEFAULT_ID, "id")
_USUAL_LABELS = ("default", "label")
_USUAL_MONTHS = ("observation_month", "month")


class TableParty(Party):
    """The columns of one file with a row per business."""

    type: ClassVar[str] = "table"

    @classmethod
    def default_declaration(cls, folder: Path) -> Declaration:
        """Declares every column of the one table in the folder but dates, numeric if all its values are numbers.

        The id is the column `business_id` or `id`, else the first one; the label is `default` or `label`, if
        there is one, and then the observation month is `observation_month` or `month`. It is a start to edit.
        Raises `DataError` if the folder has no table or several.
        """
        found = sorted(file for file in Path(folder).glob("*") if file.suffix in SUFFIXES)
        if len(found) != 1:
            problem = f"must hold one .csv or .parquet file to declare, and holds {len(found)}"
            raise DataError(f"{folder} {problem}: {listing(file.name for file in found)}.")
        kinds = open_table(found[0]).guess_kinds()
        id_column = _first_of(_USUAL_IDS, kinds) or next(iter(kinds))
        label = _first_of(_USUAL_LABELS, kinds)
        month = _first_of(_USUAL_MONTHS, kinds) if label is not None else None
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
            file=found[0].name,
        )

    @classmethod
    def example_records(cls, as_of: pd.Series) -> dict[str, pd.DataFrame]:
        """One table, for `clients.data.contract.check_party`: any table would do."""
        numbers = np.arange(len(as_of), dtype=np.float64)
        columns = {"turnover": numbers + 1, "rating": np.where(numbers % 2 == 0, "good", "poor")}
        return {TABLE: pd.DataFrame({DEFAULT_ID: as_of.index, **columns})}

    def features(self, records: Mapping[str, pd.DataFrame], as_of: pd.Series) -> pd.DataFrame:
        """The columns of the file, which are the same in every month."""
        return records[TABLE].set_index(self.roles.id).reindex(as_of.index)

    def check_declaration(self) -> None:
        """Raises `DataError` if the declaration names no file beside it."""
        self._path()

    def record_roles(self) -> Roles:
        """The columns keep the names that they have in the file."""
        return Roles(self.declaration.id, self.declaration.label, self.declaration.month)

    def read_records(self) -> dict[str, pd.DataFrame]:
        """The declared columns of the file.

        A column without any value is taken out of the declaration, with a `DataWarning`.
        """
        file = open_table(self._path())
        table = file.read(self._kinds(), unique_id=True)
        empty = {name for name in self.declaration.column_names if table[name].isna().all()}
        for name in sorted(empty):
            problem = "the column has no value in any row and is left out."
            warn(DataWarning.at(file.path, problem, column=name), stacklevel=2)
        columns = tuple(column for column in self.declaration.columns if column.name not in empty)
        self.declaration = replace(self.declaration, columns=columns)
        return {TABLE: table}

    def application_table(self) -> pd.DataFrame:
        """The file itself."""
        return self.records[TABLE]

    def visible_records(self, as_of: pd.Series) -> dict[str, pd.DataFrame]:
        """The file as it is: each row is a business's state at its own observation month."""
        return self.records

    def _path(self) -> Path:
        name = self.declaration.file
        if name is None:
            problem = f"the key file is missing; tables in the folder: {tables_in(self.folder)}."
            raise DataError.at(self.folder / FILE_NAME, problem)
        if Path(name).name != name:
            problem = f"file must be the name of a file in the same folder, not '{name}'."
            raise DataError.at(self.folder / FILE_NAME, problem)
        return self.folder / name

    def _kinds(self) -> dict[str, Kind]:
        kinds: dict[str, Kind] = dict.fromkeys(self.declaration.segments, "text")
        for column in self.declaration.columns:
            kinds[column.name] = "number" if column.kind == "numeric" else "text"
        kinds[self.roles.id] = "id"
        if self.roles.label is not None and self.labelled:
            kinds[self.roles.label] = "label"
        if self.roles.month is not None:
            kinds[self.roles.month] = "month"
        return kinds


def _first_of(names: Iterable[str], there: Container[str]) -> str | None:
    return next((name for name in names if name in there), None)
