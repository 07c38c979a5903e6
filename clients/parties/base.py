"""What all party types share: they check the declaration, read the records and answer in one fixed form.

A new type is a subclass that says which columns it can compute (`columns`), from which record tables (`tables`), and
how (`features`). If all its records are dated by month, `clients.parties.monthly.MonthlyParty` leaves only the first
two to write.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from clients.data import values
from clients.data.cells import shown
from clients.data.column import Column
from clients.data.declaration import DEFAULT_ID, FILE_NAME, Declaration
from clients.data.errors import DataError, DataWarning, listing, suggestion, warn_once
from clients.data.files import SUFFIXES, detect, open_table, tables_in
from clients.data.ids import doubts
from clients.data.parquet_file import ParquetFile
from clients.data.table_file import Conversion, Kind
from clients.parties.records import APPLICATIONS, MONTH, Records, StoredTable

BEFORE, AFTER = 24, 4
"""Months of made-up records up to the observation month, and after it."""
_DECLARED = tuple(field.name for field in fields(Column) if field.name not in ("reason", "reason_zh"))
_LEVELS = ("amber", "blue", "coral")
PIECE = 1 << 20
"""Rows of a record table that a party holds at once; of a larger Parquet file it reads some businesses at a time."""


class Party(ABC):
    """The data of one organisation: which businesses it knows, and what it knows about them as of a month.

    A subclass sets the class attributes and writes `features`. Of each record table exactly the listed
    columns are read: the id as str, `month` and the observation month as datetime64[s] (first day of the
    month), texts as str and every other column as float64. Texts are the columns in `text`, the segments, and
    those that have the name of a categorical feature. The columns keep the names of the class even where
    `party.toml` says that the file has other names for the id, the label or the month.
    """

    type: ClassVar[str]
    """The name in `party.toml` and of the entry point."""
    columns: ClassVar[tuple[Column, ...]] = ()
    """Every feature that the type can compute; the default declaration offers them all.

    A reason that stands here is told to customers unless `party.toml` has another one.
    """
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """The record tables (file names without suffix), and the columns of each that are required and read."""
    text: ClassVar[tuple[str, ...]] = ()
    """Record columns of texts that are neither segments nor named like a categorical feature."""
    id: ClassVar[str] = DEFAULT_ID
    """The id column of the record tables."""
    label: ClassVar[str | None] = None
    """The label column of the table `applications`, for a type that holds the label."""
    month: ClassVar[str | None] = None
    """The column of the table `applications` that holds the observation month."""
    is_platform: ClassVar[bool] = False
    """Whether businesses trade with each other on the party's platform: reports look at those that do as a group."""
    segments: ClassVar[tuple[str, ...]] = ()
    """The columns of the table `applications` by which metrics are reported, unless `party.toml` names others."""

    def __init__(self, folder: Path, declaration: Declaration, labelled: bool = True) -> None:
        """Checks the declaration against the type and reads the records. Raises `DataError`.

        If `labelled` is false, the column of the label is not read and may be absent, as it is for applicants whose
        outcome is not known yet.
        """
        self.folder = Path(folder)
        self.labelled = labelled
        self.declaration = declaration
        self.records = self.read_records()
        if not self.declaration.columns and self.declaration.target is None:
            raise DataError.at(self.folder / FILE_NAME, "the party offers neither a column nor the label.")
        self._businesses = self._all_ids()

    @classmethod
    def default_declaration(cls, folder: Path) -> Declaration:
        """The declaration of a party of this type whose data lie in `folder`: it offers every column.

        The reasons stay with the type, so that customers are told the type's latest wording.
        """
        return Declaration(
            type=cls.type,
            name=Path(folder).resolve().name,
            id=cls.id,
            label=cls.label,
            month=cls.month,
            segments=cls.segments,
            format=detect(*(file for name in cls.tables if (file := Path(folder) / f"{name}.csv").exists())),
            columns=tuple(
                Column(**{key: getattr(column, key) for key in _DECLARED}) for column in cls.columns
            ),
        )

    @classmethod
    def example_records(cls, as_of: pd.Series) -> dict[str, pd.DataFrame]:
        """Record tables of the businesses of `as_of`, for tests of the type such as `check_party`.

        `as_of` has unique business ids (str) as its index and observation months (datetime64[s]) as values. The
        tables are made up from `tables` and `columns`: monthly where a table has months, else with one row per
        business. Numbers are positive, those of a column whose name ends in `share` are below one; texts have three
        levels. Equal arguments give equal records. A type that such random values do not fit returns its own.
        """
        rng = np.random.default_rng(0)
        return {name: cls._made_up(name, as_of, rng) for name in cls.tables}

    @classmethod
    def _made_up(cls, name: str, as_of: pd.Series, rng: np.random.Generator) -> pd.DataFrame:
        ids, observed = as_of.index.to_numpy(), as_of.to_numpy().astype("datetime64[M]")
        lags = np.arange(-AFTER, BEFORE) if MONTH in cls.tables[name] else np.zeros(1, dtype=np.int64)
        rows = len(ids) * len(lags)
        months = np.repeat(observed, len(lags)) - np.tile(lags, len(ids))
        dates, labels = months.astype("datetime64[s]"), np.arange(rows, dtype=np.int8) % 2
        columns: dict[str | None, npt.NDArray[Any]] = (
            {cls.month: dates, cls.label: labels} if name == APPLICATIONS else {}
        )
        columns |= {MONTH: dates, cls.id: np.repeat(ids, len(lags))}
        for column in cls.tables[name]:
            if column not in columns:
                if column in cls.texts():
                    columns[column] = rng.choice(_LEVELS, rows)
                elif column.endswith("share"):
                    columns[column] = rng.random(rows)
                else:
                    columns[column] = rng.gamma(4.0, 100.0, rows).round(2)
        return pd.DataFrame(
            {column: columns[column] for column in dict.fromkeys((cls.id, *cls.tables[name]))}
        )

    @classmethod
    def texts(cls) -> set[str]:
        """The record columns that hold texts, as far as the class knows."""
        return {
            *cls.text,
            *cls.segments,
            *(column.name for column in cls.columns if column.kind == "categorical"),
        }

    @abstractmethod
    def features(self, records: Mapping[str, pd.DataFrame], as_of: pd.Series) -> pd.DataFrame:
        """The feature table of some businesses, each by its own records: of many, a piece is asked for at a time.

        `as_of` has unique business ids (str) as its index and the first day of each one's observation month
        (datetime64[s]; NaT where the data have no months) as values. `records` holds the tables named in
        `tables`, limited to rows of these businesses up to each one's own month, and without the label.
        Returns a frame with the index of `as_of` and at least the columns in `columns`; a business without
        records is a row of missing values.
        """

    def __len__(self) -> int:
        """How many businesses this party knows."""
        return len(self._businesses)

    def ids(self) -> npt.NDArray[np.str_]:
        """All business ids in any of the records: shape (businesses,), sorted, without repetition."""
        return np.array(self._businesses, dtype=np.str_)

    def warn(self, has_months: bool) -> None:
        """Warns (`DataWarning`) of data that can be used and are likely to disappoint, such as doubtful ids.

        It is called before a study trains, and tells a process each thing once. `has_months` says whether the rows
        have observation months.
        """
        for doubt in doubts(pa.array(self._businesses, pa.large_string())):
            warn_once(str(DataWarning.at(self.folder, doubt)))

    def applications(self) -> pd.DataFrame:
        """The label holder's applications, one row per business, in the order of the file.

        The index is the id; the columns are `label` (int8, 1 is default; absent if labels are not read),
        `month` (datetime64[s], the first day of the observation month; NaT if the data have none) and each
        declared segment (categories of texts). Raises `DataError` if this party does not hold the label.
        """
        declared, records = self.declaration, self.records
        if declared.target is None:
            raise DataError(f"party '{declared.name}' does not hold the label, so it has no applications.")
        table = records.tables[records.applications]
        months = table[records.month] if declared.month is not None else np.datetime64("NaT", "s")
        result = pd.DataFrame({"label": table[records.label]} if self.labelled else {}, index=table.index)
        result["month"] = pd.Series(months, index=table.index, dtype="datetime64[s]")
        for segment in declared.segments:
            result[segment] = _texts(table[segment]).astype("category")
        return result.set_index(pd.Index(table[records.id], name=declared.id))

    def sensitive(self) -> pd.DataFrame:
        """The label holder's sensitive columns (categories of texts), one row per business, as `applications`."""
        records, names = self.records, self.declaration.sensitive
        table = records.tables[records.applications]
        columns = {name: _texts(table[name]).astype("category") for name in names}
        return pd.DataFrame(columns, table.index).set_index(pd.Index(table[records.id]))

    def matrix(
        self,
        ids: npt.NDArray[np.str_],
        months: npt.NDArray[np.datetime64] | None = None,
        *,
        special: bool = False,
    ) -> pd.DataFrame:
        """The declared columns, in declared order, of the businesses `ids` as of `months`, in that order.

        A row is a business and an observation month, so `ids` (rows,) may name a business several times with
        different months. `months` is datetime64[M] (rows,), with NaT where the data have no months; None means NaT
        everywhere. Numeric columns are float64, categorical ones categories of texts (`Column.categories`); what is not
        known is missing, and so is the whole row of an unknown id. Special values (`Column.special`) are missing, too,
        unless `special` asks for them. Raises `ValueError` if a business has the same month twice, and `DataError` if a
        feature is infinite or the type's `features` returns another form than it must.
        """
        rows = pd.Index(ids, dtype=str, name=self.declaration.id)
        as_of = pd.Series(np.datetime64("NaT") if months is None else months, rows, dtype="datetime64[s]")
        if (repeated := as_of.reset_index().duplicated().to_numpy()).any():
            row = int(repeated.argmax())
            month = as_of.to_numpy().astype("datetime64[M]")[row]
            raise ValueError(f"row {row + 1}: business '{rows[row]}' stands twice with the month {month}.")
        positions = np.flatnonzero(self._businesses.get_indexer(rows) >= 0)
        # `features` is given each business once: first its first row, then its second.
        occurrence = as_of.iloc[positions].groupby(level=0).cumcount().to_numpy()
        parts = [
            piece
            for number in range(occurrence.max(initial=0) + 1)
            for piece in self._pieces(as_of, positions[occurrence == number])
        ]
        features = pd.concat([self._computed(as_of.iloc[part]) for part in parts])
        offered = {
            column.name: self._in_dtype(features[column.name], column, special)
            for column in self.declaration.columns
        }
        matrix = pd.DataFrame(offered, index=features.index).set_axis(np.concatenate(parts))
        return matrix.reindex(np.arange(len(rows))).set_axis(rows)

    def read_records(self) -> Records:
        """The record tables of the folder; a type whose data have another shape replaces this method.

        Raises `DataError` if the declaration asks for what the type does not have, or a table cannot be read.
        """
        self._check_declaration()
        tables, stored = dict[str, pd.DataFrame](), dict[str, StoredTable]()
        for name in self.tables:
            table = self._open_table(name)
            if isinstance(table, StoredTable):
                stored[name] = table
            else:
                tables[name] = table
        return Records(tables, self.id, self.label, self.month, stored=stored)

    def _check_declaration(self) -> None:
        """Raises `DataError` if the declaration asks for what this type does not have."""
        declared, path = self.declaration, self.folder / FILE_NAME
        if declared.file is not None:
            raise DataError.at(path, f"type '{self.type}' reads files of fixed names; remove the key file.")
        for key in ("label", "month"):
            if getattr(declared, key) is not None and getattr(self, key) is None:
                raise DataError.at(path, f"a party of type '{self.type}' has no {key}; remove the key {key}.")
        kinds = {column.name: column.kind for column in self.columns}
        for column in declared.columns:
            if column.name not in kinds:
                hint = suggestion(column.name, kinds) or f" It has {listing(kinds)}."
                raise DataError.at(path, f"type '{self.type}' has no such column.{hint}", column=column.name)
            if column.kind != kinds[column.name]:
                raise DataError.at(
                    path, f"kind must be '{kinds[column.name]}' in type '{self.type}'.", column=column.name
                )
            if column.stray != "error":
                raise DataError.at(
                    path,
                    f"type '{self.type}' computes its columns; remove the key stray.",
                    column=column.name,
                )

    def _all_ids(self) -> pd.Index:
        records = self.records
        per_table = [pd.Index(table[records.id].unique(), dtype=str) for table in records.tables.values()]
        per_table += [pd.Index(table.ids.to_pandas(), dtype=str) for table in records.stored.values()]
        ids = pd.Index([], dtype=str).append(per_table).unique().sort_values()
        if pair := values.look_alikes(pc.unique(pa.array(ids, pa.large_string()))):
            first, second = (shown(id_) for id_ in pair)
            raise DataError(
                f"{self.folder}: the ids {first} and {second} of its tables differ only in letter case, width or "
                "spaces; write each business's id in one way."
            )
        return ids

    def _open_table(self, name: str) -> pd.DataFrame | StoredTable:
        path = next((file for s in SUFFIXES if (file := self.folder / f"{name}{s}").exists()), None)
        if path is None:
            raise DataError(
                f"{self.folder} has no table {name}.parquet (or .csv); it has {tables_in(self.folder)}."
            )
        table, names_in_file = open_table(path, self.declaration.format), self._names_in_file(name)
        kinds = {column: self._kind(column) for column in names_in_file.values()}
        names = {in_file: name for name, in_file in names_in_file.items()}
        if (
            name != APPLICATIONS
            and isinstance(table, ParquetFile)
            and table.rows > PIECE
            and table.has_parts(kinds)
        ):
            return StoredTable(table, kinds, names, names_in_file[self.id])
        return table.read(kinds, unique_id=name == APPLICATIONS).rename(columns=names)

    def _names_in_file(self, table: str) -> dict[str, str]:
        """The columns to read of a record table: by the class's name of each, the name that the file has for it.

        A label or month that is not declared is not read even if the class has one, nor is a label that is not wanted.
        """
        declared, columns = self.declaration, self.tables[table]
        in_file: dict[str | None, str | None] = {self.id: declared.id}
        if table == APPLICATIONS:
            in_file |= {self.label: declared.label if self.labelled else None, self.month: declared.month}
            named = (*declared.segments, *declared.sensitive)
            columns = (*columns, *named, *filter(None, (self.label, self.month)))
        return {
            column: name
            for column in (self.id, *columns)
            if (name := in_file.get(column, column)) is not None
        }

    def _kind(self, column: str) -> Kind | Conversion:
        """What a record column, by its name in the file, is read as."""
        if column in (roles := self.declaration.roles):
            return roles[column]
        if column == MONTH:
            return "month"
        # A declared segment or sensitive column may also be a number that the features need as such.
        is_read = any(column in required for required in self.tables.values())
        return "number" if is_read and column not in self.texts() else "text"

    def _pieces(self, as_of: pd.Series, positions: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
        """The positions of unique businesses in pieces, whose records fit into memory if they are not held anyway."""
        rows = self.records.most_rows * len(positions) / max(len(self), 1)
        # Without months the last one of all records counts, which no piece knows.
        if rows <= PIECE or as_of.isna().any():
            return [positions]
        # Neighbours in a file that is sorted by id come into one piece.
        in_order = positions[as_of.index[positions].argsort()]
        return np.array_split(in_order, math.ceil(rows / PIECE))

    def _computed(self, as_of: pd.Series) -> pd.DataFrame:
        """The features of unique businesses, as the type computes them."""
        computed = self.features(self.records.visible(as_of, self.declaration.sensitive), as_of)
        if not computed.index.equals(as_of.index):
            raise DataError(f"the features of type '{self.type}' must be indexed exactly as `as_of` is.")
        if missing := [column for column in self.declaration.column_names if column not in computed]:
            raise DataError(
                f"the features of type '{self.type}' lack the declared columns {listing(missing)}."
            )
        return computed

    def _in_dtype(self, feature: pd.Series, column: Column, special: bool) -> pd.Series:
        if not column.is_numeric:
            return column.categories(_texts(feature))
        numbers = feature.astype("float64")
        if (infinite := np.isinf(numbers.to_numpy())).any():
            raise DataError(
                f"party '{self.declaration.name}', column '{column.name}': the value of business "
                f"'{feature.index[infinite][0]}' is infinite; is there a division by zero?"
            )
        return numbers if special else numbers.mask(numbers.isin(column.special))


def _texts(column: pd.Series) -> pd.Series:
    """The column as texts, worded as a file's texts are: the code 2.0 is `2`."""
    texts = values.texts(pa.chunked_array([pa.Array.from_pandas(column)]))
    return pd.Series(texts.to_pandas().array, index=column.index)
