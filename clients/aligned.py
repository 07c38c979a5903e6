"""The aligned data of a study in a party's store: written once by the alignment, read by every protocol.

The own features are there at every party; applications (ids, labels, months, segments) at the active one only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clients.store import Store
from fl.tables import Table

TABLE, APPLICATIONS, COVERAGE, SCHEMA = "features", "applications", "coverage", "schema"
APPLICANTS = "applicants"
_SEGMENT = "segment/"


@dataclass(frozen=True)
class Applications:
    """The active party's own knowledge at each position.

    ids text (n,), labels int8 (n,), months datetime64[M] (n,) (NaT where data have none), segments by name: text (n,).
    """

    ids: NDArray[np.str_]
    labels: NDArray[np.int8]
    months: NDArray[np.datetime64]
    segments: dict[str, NDArray[np.str_]]


def write_table(study: Store, frame: pd.DataFrame, known: NDArray[np.bool_]) -> None:
    """Keep a feature frame, one row per known position in order, as the study's table."""
    numeric = [name for name in frame if not isinstance(frame[name].dtype, pd.CategoricalDtype)]
    categorical = [name for name in frame if name not in numeric]
    numbers = np.full((len(known), len(numeric)), np.nan)
    numbers[known] = frame[numeric].to_numpy(np.float64)
    codes = np.full((len(known), len(categorical)), -1, np.int32)
    for column, name in enumerate(categorical):
        codes[known, column] = frame[name].cat.codes
    levels = tuple(tuple(str(text) for text in frame[name].cat.categories) for name in categorical)
    table = Table(numbers, tuple(numeric), codes, tuple(categorical), levels, known)
    study.write(TABLE, table.to_arrays())


def write_applications(study: Store, frame: pd.DataFrame) -> None:
    """Keep the applications, one row per position in order."""
    segments = {name: frame[name].astype(object) for name in frame if name not in ("label", "month")}
    study.write(
        APPLICATIONS,
        {
            "ids": frame.index.to_numpy().astype(np.str_),
            "labels": frame["label"].to_numpy(np.int8),
            "months": frame["month"].to_numpy().astype("datetime64[M]").astype(np.int64),
            **{
                _SEGMENT + name: column.where(column.notna(), "missing").to_numpy().astype(np.str_)
                for name, column in segments.items()
            },
        },
    )


def write_applicants(study: Store, ids: NDArray[np.str_]) -> None:
    """Keep the ids of applicants whose outcome is not known yet, one per position in order."""
    study.write(APPLICANTS, {"ids": ids})


def read_applicants(study: Store) -> NDArray[np.str_]:
    """What `write_applicants` kept. FileNotFoundError at a party that has none."""
    return study.read(APPLICANTS)["ids"]


def write_coverage(study: Store, coverage: Mapping[str, NDArray[np.bool_]]) -> None:
    """Keep which positions each passive party knows, bool (n,) by name."""
    study.write(COVERAGE, coverage)


def known_to_none(coverage: Mapping[str, NDArray[np.bool_]], rows: int) -> NDArray[np.bool_]:
    """Which of the positions no passive party knows, (rows,)."""
    return ~np.logical_or.reduce([np.zeros(rows, bool), *coverage.values()])


def write_schema(study: Store, schema: str) -> None:
    """Keep the hash of the declaration by which the table was made."""
    study.write(SCHEMA, {"schema": np.array(schema)})


def read_schema(study: Store) -> str:
    """What `write_schema` kept. FileNotFoundError before the alignment."""
    return str(study.read(SCHEMA)["schema"])


def read_table(study: Store) -> Table:
    """This party's features at each position. FileNotFoundError before the alignment."""
    return _table(study.folder)


def read_applications(study: Store) -> Applications:
    """The active party's applications at each position. FileNotFoundError at any other party."""
    return _applications(study.folder)


def read_coverage(study: Store) -> dict[str, NDArray[np.bool_]]:
    """At the active party, which positions each passive party knows, in the order of the federation."""
    return _coverage(study.folder)


# Every message of a protocol needs them and a study's never change, so a worker process keeps a few.
@lru_cache(maxsize=8)
def _table(folder: Path) -> Table:
    return Table.from_arrays(Store(folder).read(TABLE))


@lru_cache(maxsize=8)
def _coverage(folder: Path) -> dict[str, NDArray[np.bool_]]:
    return Store(folder).read(COVERAGE)


@lru_cache(maxsize=8)
def _applications(folder: Path) -> Applications:
    arrays = Store(folder).read(APPLICATIONS)
    segments = {name.removeprefix(_SEGMENT): arrays[name] for name in arrays if name.startswith(_SEGMENT)}
    months = arrays["months"].astype("datetime64[M]")
    return Applications(arrays["ids"], arrays["labels"], months, segments)
