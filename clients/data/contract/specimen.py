"""A party type with made-up records, opened from disk as in a real federation, as often as a check likes."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from clients.data.declaration import Declaration
from clients.parties.base import APPLICATIONS, MONTH, Party

BUSINESSES = 8
BEFORE, AFTER = 24, 4
"""Months of records up to the observation month, and after it."""
STRANGER = "stranger-to-all"
_FIRST_MONTH = np.datetime64("2023-01", "M")
_LEVELS = ("amber", "blue", "coral")

Records = Mapping[str, pd.DataFrame]


class Specimen:
    """Some businesses, observed in different months, and a party of the type that knows them all."""

    def __init__(self, kind: type[Party]) -> None:
        self.kind = kind
        months = _FIRST_MONTH + np.arange(BUSINESSES) % 5
        ids = [f"business-{number:04d}" for number in range(BUSINESSES)]
        self.as_of = pd.Series(months.astype("datetime64[s]"), index=pd.Index(ids, dtype=str))
        self._root = tempfile.TemporaryDirectory(prefix="siloscore-contract-")
        self._numbers = itertools.count()

    def __enter__(self) -> Specimen:
        """A specimen whose folders exist."""
        return self

    def __exit__(self, *_: object) -> None:
        """Removes the folders."""
        self._root.cleanup()

    @property
    def ids(self) -> np.ndarray:
        """All businesses."""
        return self.as_of.index.to_numpy().astype(np.str_)

    @cached_property
    def records(self) -> dict[str, pd.DataFrame]:
        """The type's own example, or records made up by its declared tables and columns."""
        own = getattr(self.kind, "example_records", None)
        return dict(own(self.as_of) if own is not None else made_records(self.kind, self.as_of))

    def party(self, records: Records | None = None, columns: int | None = None) -> Party:
        """The party opened on records (default: all), offering its first so many columns (default: all)."""
        folder = Path(self._root.name) / f"party{next(self._numbers)}"
        folder.mkdir()
        for name, table in (self.records if records is None else records).items():
            table.to_parquet(folder / f"{name}.parquet", index=False)
        return self.kind(folder, self._declaration(folder, columns))

    def features(
        self, records: Records | None = None, ids: np.ndarray | None = None, columns: int | None = None
    ) -> pd.DataFrame:
        """What leaves the party for some businesses (default: all) as of their months."""
        ids = self.ids if ids is None else ids
        # A business of no month of its own is asked for as of the first one.
        months = self.as_of.reindex(ids).fillna(self.as_of.iloc[0]).to_numpy().astype("datetime64[M]")
        return self.party(records, columns).matrix(ids, months)

    def altered(self, change: Callable[[str, pd.DataFrame], pd.DataFrame]) -> dict[str, pd.DataFrame]:
        """The records after a change of each table, given with its name."""
        return {name: change(name, table.copy()) for name, table in self.records.items()}

    def id_column(self, table: pd.DataFrame) -> str:
        """The column of a table that holds the ids."""
        return self.kind.id if self.kind.id in table else str(table.columns[0])

    def is_later(self, table: pd.DataFrame) -> np.ndarray:
        """(rows,) bool: which records come after their business's observation month."""
        if MONTH not in table:
            return np.zeros(len(table), dtype=bool)
        return (table[MONTH] > table[self.id_column(table)].map(self.as_of)).to_numpy()

    def values(self, table: pd.DataFrame) -> list[str]:
        """The columns of a table that are no id, month or label."""
        roles = (self.id_column(table), MONTH, self.kind.label, self.kind.month)
        return [column for column in table if column not in roles]

    def _declaration(self, folder: Path, columns: int | None) -> Declaration:
        declared = self.kind.default_declaration(folder)
        return declared if columns is None else replace(declared, columns=declared.columns[:columns])


def made_records(kind: type[Party], as_of: pd.Series) -> dict[str, pd.DataFrame]:
    """Records by the declared tables: monthly where a table has months, else one row per business.

    Numbers are positive, those of a column whose name ends in `share` below one; texts have three levels.
    """
    rng = np.random.default_rng(0)
    return {name: _made_table(kind, name, columns, as_of, rng) for name, columns in kind.tables.items()}


def _made_table(
    kind: type[Party], name: str, columns: tuple[str, ...], as_of: pd.Series, rng: np.random.Generator
) -> pd.DataFrame:
    ids, observed = as_of.index.to_numpy(), as_of.to_numpy().astype("datetime64[M]")
    lags = np.arange(-AFTER, BEFORE) if MONTH in columns else np.zeros(1, dtype=np.int64)
    rows = len(ids) * len(lags)
    texts = {*kind.text, *kind.segments, *(c.name for c in kind.columns if c.kind == "categorical")}
    table = {kind.id: np.repeat(ids, len(lags))}
    for column in columns:
        if column == kind.id:
            continue
        if column == MONTH:
            months = np.repeat(observed, len(lags)) - np.tile(lags, len(ids))
            table[column] = months.astype("datetime64[s]")
        elif name == APPLICATIONS and column == kind.month:
            table[column] = observed.astype("datetime64[s]")
        elif name == APPLICATIONS and column == kind.label:
            table[column] = (np.arange(rows) % 2).astype(np.int8)
        elif column in texts:
            table[column] = rng.choice(_LEVELS, rows)
        elif column.endswith("share"):
            table[column] = rng.random(rows)
        else:
            table[column] = rng.gamma(4.0, 100.0, rows).round(2)
    return pd.DataFrame(table)
