"""The aligned data of a study in a party's store: written once by the alignment, read by every conversation.

The party's features are there at every party (`Table`); applications and coverage at the label holder only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clients.data.column import Column
from clients.store import Store
from fl.tables import Table


@dataclass(frozen=True, kw_only=True)
class Applications:
    """The label holder's own knowledge at each position.

    ids text (n,), labels int8 (n,), months datetime64[M] (n,) (NaT where data have none), segments by name: text (n,).
    """

    ids: NDArray[np.str_]
    labels: NDArray[np.int8]
    months: NDArray[np.datetime64]
    segments: Mapping[str, NDArray[np.str_]]


@dataclass(frozen=True)
class Sensitive:
    """The label holder's sensitive columns at each position, text (n,) by name: for its own evaluation alone."""

    columns: Mapping[str, NDArray[np.str_]]


@dataclass(frozen=True)
class Coverage:
    """Which positions each passive party knows, bool (n,) by name, in the order of the federation."""

    known: Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Schema:
    """The hash of the declaration by which a study's table was made."""

    digest: str


def table_of(frame: pd.DataFrame, known: NDArray[np.bool_], declared: Iterable[Column] = ()) -> Table:
    """The table of a feature frame, which has one row per known position, in order.

    The frame holds the special values of the declared columns.
    """
    numeric = [name for name in frame if not isinstance(frame[name].dtype, pd.CategoricalDtype)]
    categorical = [name for name in frame if name not in numeric]
    numbers = np.full((len(known), len(numeric)), np.nan)
    numbers[known] = frame[numeric].to_numpy(np.float64)
    special = {}
    for column in declared:
        if column.special:
            values = numbers[:, numeric.index(column.name)]
            special[column.name] = np.where(np.isin(values, column.special), values, np.nan)
            values[~np.isnan(special[column.name])] = np.nan
    codes = np.full((len(known), len(categorical)), -1, np.int32)
    for place, name in enumerate(categorical):
        codes[known, place] = frame[name].cat.codes
    levels = tuple(tuple(map(str, frame[name].cat.categories)) for name in categorical)
    return Table(numbers, tuple(numeric), codes, tuple(categorical), levels, known, special)


def applications_of_rows(frame: pd.DataFrame) -> Applications:
    """The applications of a frame, which has one row per position, in order."""
    return Applications(
        ids=frame.index.to_numpy().astype(np.str_),
        labels=frame["label"].to_numpy(np.int8),
        months=frame["month"].to_numpy().astype("datetime64[M]"),
        segments=texts_of(frame.drop(columns=["label", "month"])),
    )


def texts_of(frame: pd.DataFrame) -> dict[str, NDArray[np.str_]]:
    """The columns of a frame as texts (n,) by name, with `missing` where there is none."""
    columns = {name: frame[name].astype(object) for name in frame}
    return {
        name: column.where(column.notna(), "missing").to_numpy().astype(np.str_)
        for name, column in columns.items()
    }


def known_to_none(coverage: Mapping[str, NDArray[np.bool_]], rows: int) -> NDArray[np.bool_]:
    """Which of the positions no passive party knows, (rows,)."""
    return np.asarray(~np.logical_or.reduce([np.zeros(rows, bool), *coverage.values()]), bool)


def read_table(study: Store) -> Table:
    """This party's features at each position. FileNotFoundError before the alignment."""
    return cast(Table, _read(study.folder, Table))


def read_applications(study: Store) -> Applications:
    """The label holder's applications at each position. FileNotFoundError at any other party."""
    return cast(Applications, _read(study.folder, Applications))


def read_sensitive(study: Store) -> Mapping[str, NDArray[np.str_]]:
    """At the label holder, its sensitive columns at each position, (n,) by name; none if it has declared none."""
    return cast(Sensitive, _read(study.folder, Sensitive)).columns if study.has(Sensitive) else {}


def read_coverage(study: Store) -> Mapping[str, NDArray[np.bool_]]:
    """At the label holder, which positions each passive party knows, in the order of the federation."""
    return cast(Coverage, _read(study.folder, Coverage)).known


# Every message of a conversation needs them and a study's never change, so a worker process keeps a few.
@lru_cache(maxsize=24)
def _read(folder: Path, kind: Any) -> Any:
    return Store(folder).read(kind)
