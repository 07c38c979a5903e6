"""What every party type has in common: declaration checked, records read, answers in a fixed form.

A new type is one subclass that says which features it can compute (`columns`), from which record tables
(`tables`), and how (`features`). The rest is here, written once.
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

from clients.data import values
from clients.data.declaration import DEFAULT_ID, FILE_NAME, Column, Declaration
from clients.data.errors import DataError, listing, suggestion
from clients.data.files import SUFFIXES, Kind, open_table, tables_in

APPLICATIONS = "applications"
"""The record table of the label holder: one row per business."""
MONTH = "month"
"""The column of a record table that holds the month of the record."""


class Roles(NamedTuple):
    """The names of the columns that play a part of their own in a party's records."""

    id: str
    label: str | None
    month: str | None


class Party(ABC):
    """The data of one organisation: which businesses it knows, and what it knows about them as of a month.

    A subclass sets the class attributes and writes `features`. Of each record table exactly the listed
    columns are read: the id as str, `month` and the observation month as datetime64[s] (first day of the
    month), texts as str and every other column as float64. Texts are the columns in `text`, the segments, and
    those that share their name with a categorical feature. The columns keep the names of the class even where
    `party.toml` names the file's id, label or month otherwise.
    """

    type: ClassVar[str]
    """The name in `party.toml` and of the entry point."""
    columns: ClassVar[tuple[Column, ...]] = ()
    """Every feature that the type can compute; the default declaration offers them all."""
    reasons: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """By column, what a customer is told who is scored low for it, in English and Chinese, unless party.toml has it."""
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """The record tables (file names without suffix), and the columns of each that are required and read."""
    text: ClassVar[tuple[str, ...]] = ()
    """Record columns that hold texts, as far as their names do not tell."""
    id: ClassVar[str] = DEFAULT_ID
    """The id column of the record tables."""
    label: ClassVar[str | None] = None
    """The label column of the table `applications`, for a type that holds the label."""
    month: ClassVar[str | None] = None
    """The column of the table `applications` that holds the observation month."""
    segments: ClassVar[tuple[str, ...]] = ()
    """The columns of the table `applications` by which metrics are reported, unless party.toml has others."""

    def __init__(self, folder: Path, declaration: Declaration, labelled: bool = True) -> None:
        """Checks the declaration against the type and reads the records. Raises `DataError`.

        With `labelled` false the label's column is not read, and need not be there: for applicants whose outcome is
        not known yet.
        """
        self.folder = Path(folder)
        self.labelled = labelled
        self.declaration = declaration
        self.check_declaration()
        self.roles = self.record_roles()
        self.records = self.read_records()
        if not self.declaration.columns and self.declaration.label is None:
            raise DataError.at(self.folder / FILE_NAME, "the party offers neither a column nor the label.")
        self._known = self._all_ids()

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
        (datetime64[s]; NaT where the data have no months) as values. `records` holds the tables named in
        `tables`: rows of these businesses only, none of a later month than the business's own, and no label.
        Returns a frame indexed as `as_of` is, with at least the columns in `columns`; a business without
        records is a row of missing values.
        """

    def __len__(self) -> int:
        """How many businesses this party knows."""
        return len(self._known)

    def ids(self) -> npt.NDArray[np.str_]:
        """All business ids in any of the records: shape (businesses,), sorted, without repetition."""
        return np.array(self._known, dtype=np.str_)

    def applications(self) -> pd.DataFrame:
        """The label holder's applications, one row per business, in the order of the file.

        The index is the id; the columns are `label` (int8, 1 is default; absent if labels are not read),
        `month` (datetime64[s], the first day of the observation month; NaT if the data have none) and each
        declared segment (categories of texts). Raises `DataError` if this party does not hold the label.
        """
        declared, roles = self.declaration, self.roles
        if declared.label is None:
            raise DataError(f"party '{declared.name}' does not hold the label, so it has no applications.")
        table = self.application_table()
        months = table[roles.month] if declared.month is not None else np.datetime64("NaT", "s")
        result = pd.DataFrame({"label": table[roles.label]} if self.labelled else {}, index=table.index)
        result["month"] = pd.Series(months, index=table.index, dtype="datetime64[s]")
        for segment in declared.segments:
            result[segment] = _categories(table[segment])
        return result.set_index(pd.Index(table[roles.id], name=declared.id))

    def matrix(
        self, ids: npt.NDArray[np.str_], months: npt.NDArray[np.datetime64] | None = None
    ) -> pd.DataFrame:
        """The declared columns, in declared order, of the businesses `ids` as of `months`, in that order.

        `ids` has shape (rows,) and is unique; `months` is datetime64[M] of the same shape, NaT or absent
        where the data have no months. Numeric columns are float64, categorical ones categories of texts;
        what is not known is missing, and so is the whole row of an unknown id. Raises `DataError` if a
        feature is infinite or the type's `features` breaks its promise.
        """
        rows = pd.Index(ids, dtype=str, name=self.declaration.id)
        if not rows.is_unique:
            raise ValueError("the ids of a matrix must be unique.")
        if months is None:
            months = np.full(len(rows), np.datetime64("NaT", "s"))
        as_of = pd.Series(months.astype("datetime64[s]"), index=rows)[self._known.get_indexer(rows) >= 0]
        computed = self.features(self.visible_records(as_of), as_of)
        self._check_features(computed, as_of)
        offered = {
            column.name: self._in_dtype(computed[column.name], column) for column in self.declaration.columns
        }
        return pd.DataFrame(offered, index=as_of.index).reindex(rows)

    # What a type with data of another shape replaces.

    def check_declaration(self) -> None:
        """Raises `DataError` if the declaration asks for what this type does not have."""
        declared, path = self.declaration, self.folder / FILE_NAME
        if declared.file is not None:
            raise DataError.at(path, f"type '{self.type}' reads files of fixed names; remove the key file.")
        for key in ("label", "month"):
            if getattr(declared, key) is not None and getattr(self, key) is None:
                raise DataError.at(path, f"a party of type '{self.type}' has no {key}; remove the key {key}.")
        known = {column.name: column for column in self.columns}
        for column in declared.columns:
            if column.name not in known:
                hint = suggestion(column.name, known) or f" It has {listing(known)}."
                problem = f"type '{self.type}' has no such column.{hint}"
                raise DataError.at(path, problem, column=column.name)
            if column.kind != known[column.name].kind:
                problem = f"kind must be '{known[column.name].kind}' in type '{self.type}'."
                raise DataError.at(path, problem, column=column.name)

    def record_roles(self) -> Roles:
        """The names of the id, label and month columns in `records`: those of the class."""
        return Roles(self.id, self.label, self.month)

    def read_records(self) -> dict[str, pd.DataFrame]:
        """The record tables by name. Raises `DataError`."""
        return {name: self._read_table(name) for name in self.tables}

    def application_table(self) -> pd.DataFrame:
        """The table that holds the label, one row per business."""
        return self.records[APPLICATIONS]

    def visible_records(self, as_of: pd.Series) -> dict[str, pd.DataFrame]:
        """What features may see: records of these businesses up to each one's month, and never the label.

        Cutting here and not in each type makes it impossible for a feature to look ahead.
        """
        return {name: self._visible(table, as_of) for name, table in self.records.items()}

    # The parts of the above.

    def _all_ids(self) -> pd.Index:
        per_table = [pd.Index(table[self.roles.id].unique(), dtype=str) for table in self.records.values()]
        ids = pd.Index([], dtype=str).append(per_table).unique().sort_values()
        if pair := values.look_alikes(pa.array(ids, pa.large_string())):
            first, second = (values.shown(id_) for id_ in pair)
            problem = (
                f"the ids {first} and {second}, of two tables, differ only in letter case, width or spaces; write "
                "each business's id in one way."
            )
            raise DataError(f"{self.folder}: {problem}")
        return ids

    def _read_table(self, name: str) -> pd.DataFrame:
        path = next((file for s in SUFFIXES if (file := self.folder / f"{name}{s}").exists()), None)
        if path is None:
            raise DataError(
                f"{self.folder} has no table {name}.parquet (or .csv); it has {tables_in(self.folder)}."
            )
        names_in_file = self._names_in_file(name)
        kinds = {column: self._kind(column) for column in names_in_file.values()}
        frame = open_table(path).read(kinds, unique_id=name == APPLICATIONS)
        return frame.rename(columns={theirs: own for own, theirs in names_in_file.items()})

    def _names_in_file(self, table: str) -> dict[str, str]:
        """The columns to read of a record table: the class's name of each, and the one that the file uses.

        A label or month that is not declared is not read, even where the class expects one; nor is a label not wanted.
        """
        declared = self.declaration
        names = {column: column for column in (self.id, *self.tables[table])}
        names[self.id] = declared.id
        if table != APPLICATIONS:
            return names
        names.update({segment: segment for segment in declared.segments})
        label = declared.label if self.labelled else None
        for own, theirs in ((self.label, label), (self.month, declared.month)):
            if own is not None and theirs is not None:
                names[own] = theirs
            elif own in names:
                del names[own]
        return names

    def _kind(self, column: str) -> Kind:
        """What a record column, by its name in the file, is read as."""
        declared = self.declaration
        if column == declared.id:
            return "id"
        if column == declared.label:
            return "label"
        if column in (MONTH, declared.month):
            return "month"
        categorical = {known.name for known in self.columns if known.kind == "categorical"}
        if column in {*self.text, *self.segments, *categorical}:
            return "text"
        # A declared segment may also be a number that the features need as such.
        return "number" if any(column in required for required in self.tables.values()) else "text"

    def _visible(self, table: pd.DataFrame, as_of: pd.Series) -> pd.DataFrame:
        position = as_of.index.get_indexer(table[self.roles.id])
        table = table.loc[position >= 0, [column for column in table if column != self.roles.label]]
        if MONTH not in table:
            return table
        last_months = as_of.to_numpy()[position[position >= 0]]
        return table[(table[MONTH].to_numpy() <= last_months) | np.isnat(last_months)]

    def _check_features(self, computed: pd.DataFrame, as_of: pd.Series) -> None:
        if not computed.index.equals(as_of.index):
            raise DataError(f"the features of type '{self.type}' must be indexed exactly as `as_of` is.")
        missing = [column for column in self.declaration.column_names if column not in computed]
        if missing:
            raise DataError(
                f"the features of type '{self.type}' lack the declared columns {listing(missing)}."
            )

    def _in_dtype(self, feature: pd.Series, column: Column) -> pd.Series:
        if column.kind == "categorical":
            return _categories(feature)
        numbers = feature.astype("float64")
        infinite = np.isinf(numbers.to_numpy())
        if infinite.any():
            raise DataError(
                f"party '{self.declaration.name}', column '{column.name}': the value of business "
                f"'{feature.index[infinite][0]}' is infinite; is there a division by zero?"
            )
        return numbers


def _categories(column: pd.Series) -> pd.Series:
    """The column as categories of texts, worded as a file's texts are: the code 2.0 is `2`."""
    texts = values.texts(pa.chunked_array([pa.Array.from_pandas(column)]))
    return pd.Series(texts.to_pandas().array, index=column.index).astype("category")
