"""A party type with example records, opened from disk as in a real federation, as often as a check needs it."""

import itertools
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from clients.parties.base import Party
from clients.parties.records import MONTH

BUSINESSES = 8
STRANGER = "stranger-to-all"

Tables = Mapping[str, pd.DataFrame]
Ids = npt.NDArray[np.str_]


class Specimen:
    """Some businesses that are observed in different months, and a party of the type that knows all of them."""

    def __init__(self, kind: type[Party]) -> None:
        self.kind = kind
        months = np.datetime64("2023-01", "M") + np.arange(BUSINESSES) % 5
        self.ids: Ids = np.array([f"business-{number:04d}" for number in range(BUSINESSES)])
        self.as_of = pd.Series(months.astype("datetime64[s]"), index=pd.Index(self.ids, dtype=str))
        self._root = tempfile.TemporaryDirectory(prefix="siloscore-contract-")
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        """A specimen whose folders exist."""
        return self

    def __exit__(self, *_: object) -> None:
        """Removes the folders."""
        self._root.cleanup()

    @cached_property
    def records(self) -> dict[str, pd.DataFrame]:
        """The type's example records."""
        return self.kind.example_records(self.as_of)

    def party(self, records: Tables | None = None, columns: int | None = None) -> Party:
        """The party opened on records (default: all), offering its first so many columns (default: all)."""
        folder = Path(self._root.name) / f"party{next(self._numbers)}"
        folder.mkdir()
        for name, table in (self.records if records is None else records).items():
            table.to_parquet(folder / f"{name}.parquet", index=False)
        declared = self.kind.default_declaration(folder)
        return self.kind(folder, replace(declared, columns=declared.columns[:columns]))

    def features(
        self, records: Tables | None = None, ids: Ids | None = None, columns: int | None = None
    ) -> pd.DataFrame:
        """What leaves the party for some businesses (default: all) as of their months."""
        ids = self.ids if ids is None else ids
        # A business without a month of its own is asked for as of the first business's month.
        months = self.as_of.reindex(ids).fillna(self.as_of.iloc[0]).to_numpy().astype("datetime64[M]")
        return self.party(records, columns).matrix(ids, months)

    def altered(self, change: Callable[[str, pd.DataFrame], pd.DataFrame]) -> dict[str, pd.DataFrame]:
        """The records after a change of each table, given with its name."""
        return {name: change(name, table.copy()) for name, table in self.records.items()}

    def id_column(self, table: pd.DataFrame) -> str:
        """The column of a table that holds the ids."""
        return self.kind.id if self.kind.id in table else str(table.columns[0])

    def is_later(self, table: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """(rows,) bool: which records come after their business's observation month."""
        if MONTH not in table:
            return np.zeros(len(table), dtype=bool)
        return np.asarray(table[MONTH] > table[self.id_column(table)].map(self.as_of))

    def values(self, table: pd.DataFrame) -> list[str]:
        """The columns of a table other than id, month and label."""
        roles = (self.id_column(table), MONTH, self.kind.label, self.kind.month)
        return [column for column in table if column not in roles]
