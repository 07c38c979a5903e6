"""What every party type has in common: its declaration checked, its records read, its answers in a fixed form.

A new type is one subclass that says which features it can compute (`columns`), from which record tables (`tables`),
and how (`features`). The rest is here, written once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from clients import values
from clients.declaration import DEFAULT_ID, FILE_NAME, Column, Declaration
from clients.errors import DataError, listing, suggestion
from clients.files import SUFFIXES, Kind, open_table

MONTH = "month"
"""The column of a record table that holds the month of the record."""


class Roles(NamedTuple):
    """The names of the columns with a part of their own in a party's records."""

    id: str
    label: str | None
    month: str | None


class Party(ABC):
    """The data of one organisation: which businesses it knows, and what it knows about them as of a month.

    A subclass sets the class attributes and writes `features`. Of each record table exactly the listed columns are
    read: the id column as str, a column called `month` or ending in `_month` as datetime64[s] (first day of the
    month), text columns as str, every other column as float64. Text columns are those in `text`, the segments and
    the record columns that share their name with a categorical feature.
    """

    type: ClassVar[str]
    """The name in `party.toml` and of the entry point."""
    columns: ClassVar[tuple[Column, ...]] = ()
    """Every feature that the type can compute; the default declaration offers them all."""
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """The record tables (file name without suffix) and the columns of each that are read and must be there."""
    text: ClassVar[tuple[str, ...]] = ()
    """Record columns that hold texts rather than numbers."""
    id: ClassVar[str] = DEFAULT_ID
    """The id column of the record tables."""
    label: ClassVar[str | None] = None
    """The label column of the table `applications`, for a type that holds the label."""
    month: ClassVar[str | None] = None
    """The column of the table `applications` that holds the observation month."""
    segments: ClassVar[tuple[str, ...]] = ()
    """The columns of the table `applications` by which metrics are reported by default."""

    def __init__(self, folder: Path, declaration: Declaration) -> None:
        """Checks the declaration against the type and reads the records. Raises `DataError`."""
        self.folder = Path(folder)
        self.declaration = declaration
        self.check_declaration()
        self.roles = self.record_roles()
        self.records: dict[str, pd.DataFrame] = self.read_records()
        self._ids: npt.NDArray[np.str_] | None = None

    @classmethod
    def default_declaration(cls, folder: Path) -> Declaration:
        """The declaration of a party of this type whose data lie in `folder`: it offers every column."""
        return Declaration(
            type=cls.type,
            name=Path(folder).resolve().name,
            id=cls.id,
            label=cls.label,
            month=cls.month,
            segments=cls.segments,
            columns=cls.columns,
        )

    @abstractmethod
    def features(self, records: Mapping[str, pd.DataFrame], as_of: pd.Series) -> pd.DataFrame:
        """The feature table of some businesses.

        `as_of` has unique business ids (str) as its index and the first day of each one's observation month
        (datetime64[s]; NaT where the data have no months) as values. `records` holds the tables named in `tables`,
        of these businesses only, without the label, and no record of a later month than the business's own.
        Returns a frame indexed as `as_of` is, with at least the columns in `columns`; a business without records is
        a row of missing values.
        """

    def ids(self) -> npt.NDArray[np.str_]:
        """All business ids in any of the records: shape (businesses,), sorted, without repetition."""
        if self._ids is None:
            known = {
                business for table in self.records.values() for business in table[self.roles.id].unique()
            }
            self._ids = np.array(sorted(known), dtype=np.str_)
        return self._ids

    def applications(self) -> pd.DataFrame:
        """The label holder's applications, one row per business, in the order of the file.

        The index is the id; the columns are `label` (int8, 1 is default), `month` (datetime64[s], the first day of
        the observation month; NaT if the data have none) and each declared segment (categorical texts).
        Raises `DataError` if this party does not hold the label.
        """
        if self.declaration.label is None:
            raise DataError(
                f"party '{self.declaration.name}' does not hold the label, so it has no applications."
            )
        table, roles = self.application_table(), self.roles
        months = table[roles.month] if self.declaration.month is not None else pd.NaT
        result = pd.DataFrame({"label": table[roles.label], "month": months}, index=table.index)
        result["month"] = result["month"].astype("datetime64[s]")
        for segment in self.declaration.segments:
            result[segment] = _categories(table[segment])
        return result.set_index(pd.Index(table[roles.id], name=self.declaration.id))

    def matrix(
        self, ids: npt.NDArray[np.str_], months: npt.NDArray[np.datetime64] | None = None
    ) -> pd.DataFrame:
        """The declared columns of the businesses `ids` as of `months`, in declared order, rows in the given order.

        `ids` has shape (rows,) and is unique; `months` is datetime64[M] of the same shape, NaT or absent where the
        data have no months. Numeric columns are float64, categorical ones pandas categories of texts; what is not
        known is missing, and so is the whole row of an unknown id. Raises `DataError` if the type's features break
        their promise.
        """
        rows = pd.Index(ids, dtype=str, name=self.declaration.id)
        if not rows.is_unique:
            raise ValueError("the ids of a matrix must be unique.")
        if months is None:
            months = np.full(len(rows), np.datetime64("NaT"), dtype="datetime64[s]")
        as_of = pd.Series(months.astype("datetime64[s]"), index=rows)
        as_of = as_of[rows.isin(self.ids())]
        computed = self.features(self.visible_records(as_of), as_of)
        self._check_features(computed, as_of)
        return self._offered(computed).reindex(rows)

    # What a type with files of another shape replaces.

    def check_declaration(self) -> None:
        """Raises `DataError` if the declaration asks for what this type does not have."""
        declared, path = self.declaration, self.folder / FILE_NAME
        if declared.file is not None:
            raise DataError.at(
                path, f"the key file belongs to type 'table', not to type '{self.type}'; remove it."
            )
        if declared.label is not None and self.label is None:
            raise DataError.at(path, f"a party of type '{self.type}' holds no label; remove the key label.")
        known = {column.name: column for column in self.columns}
        for column in declared.columns:
            if column.name not in known:
                hint = suggestion(column.name, known) or f" Known are {listing(known)}."
                problem = f"type '{self.type}' has no such column.{hint}"
                raise DataError.at(path, problem, column=column.name)
            if column.kind != known[column.name].kind:
                raise DataError.at(path, f"kind must be '{known[column.name].kind}'.", column=column.name)

    def record_roles(self) -> Roles:
        """The names of the id, label and month columns in `records`: those of the class, whatever the file says."""
        return Roles(self.id, self.label, self.month)

    def read_records(self) -> dict[str, pd.DataFrame]:
        """The record tables by name, under the column names of the class. Raises `DataError`."""
        return {name: self._read_table(name) for name in self.tables}

    def application_table(self) -> pd.DataFrame:
        """The table that holds the label, one row per business."""
        return self.records["applications"]

    def visible_records(self, as_of: pd.Series) -> dict[str, pd.DataFrame]:
        """What features may see: records of these businesses up to each one's month, and never the label.

        Cutting here and not in each type makes it impossible for a feature to look ahead.
        """
        return {name: self._cut(table, as_of) for name, table in self.records.items()}

    # The parts of the above.

    def _read_table(self, name: str) -> pd.DataFrame:
        declared = self.declaration
        path = next((p for s in SUFFIXES if (p := self.folder / f"{name}{s}").exists()), None)
        if path is None:
            there = sorted(file.name for file in self.folder.glob("*") if file.suffix in SUFFIXES)
            raise DataError(
                f"{self.folder} has no table {name}.parquet or {name}.csv; tables there: {listing(there)}."
            )
        own_names = {self.id: declared.id, self.month: declared.month, self.label: declared.label}
        required = [own_names.get(column) or column for column in (self.id, *self.tables[name])]
        if name == "applications":
            required += [c for c in (declared.label, declared.month, *declared.segments) if c is not None]
        kinds = {column: self._kind(column) for column in required}
        frame = open_table(path).read(kinds, unique_id=name == "applications")
        return frame.rename(columns={theirs: own for own, theirs in own_names.items() if theirs is not None})

    def _kind(self, column: str) -> Kind:
        if column == self.declaration.id:
            return "id"
        if column == self.declaration.label:
            return "label"
        if column in (MONTH, self.declaration.month) or column.endswith("_month"):
            return "month"
        categorical = {known.name for known in self.columns if known.kind == "categorical"}
        texts = {*self.text, *self.segments, *self.declaration.segments, *categorical}
        return "text" if column in texts else "number"

    def _cut(self, table: pd.DataFrame, as_of: pd.Series) -> pd.DataFrame:
        table = table.drop(columns=[self.label] if self.label in table else [])
        last_months = table[self.id].map(as_of)
        visible = table[self.id].isin(as_of.index)
        if MONTH in table:
            visible &= (table[MONTH] <= last_months) | last_months.isna()
        return table[visible]

    def _check_features(self, computed: pd.DataFrame, as_of: pd.Series) -> None:
        if not computed.index.equals(as_of.index):
            raise DataError(
                f"the features of type '{self.type}' must have one row per business, in the order asked."
            )
        missing = [column for column in self.declaration.column_names if column not in computed]
        if missing:
            raise DataError(f"type '{self.type}' did not compute its columns {listing(missing)}.")

    def _offered(self, computed: pd.DataFrame) -> pd.DataFrame:
        """The declared columns in their dtypes."""
        offered = {
            column.name: self._feature(computed[column.name], column) for column in self.declaration.columns
        }
        return pd.DataFrame(offered, index=computed.index)

    def _feature(self, values_of: pd.Series, column: Column) -> pd.Series:
        if column.kind == "categorical":
            return _categories(values_of)
        numbers = values_of.astype("float64")
        if np.isinf(numbers).any():
            business = numbers.index[np.isinf(numbers)][0]
            raise DataError(
                f"party '{self.declaration.name}', column '{column.name}': the value of business '{business}' is infinite."
            )
        return numbers


def _categories(column: pd.Series) -> pd.Series:
    """The column as categories of texts, worded as a file's texts are: code 2.0 is `2`, missing stays missing."""
    texts = values.texts(pa.chunked_array([pa.array(column, from_pandas=True)]))
    return pd.Series(texts.to_pandas().to_numpy(), index=column.index, name=column.name).astype("category")
