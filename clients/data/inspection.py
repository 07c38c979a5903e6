"""A first look at a table: a declaration to start from, and what its owner should know before offering it.

`inspect_table` detects each column's kind and leaves out what no model can use (constants, row numbers, texts
that name a business). It warns of columns that nearly equal the label: such a column is usually filled in after the
outcome is known, and a model that needs it is worth nothing on the day of the application.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from clients.data.column import Column
from clients.data.declaration import Declaration
from clients.data.detection import FEW, MANY, Detected, detect
from clients.data.errors import DataError, listing
from clients.data.files import detect as detect_format
from clients.data.files import open_table
from clients.data.ids import doubts
from clients.data.table_file import TableFile
from clients.parties.table import TableParty
from fl.metrics import auc

LEAK = 0.95
"""A single column with this AUC against the label, or more, is probably a consequence of it."""
LATE = 0.01
"""With a larger share of dates after the observation month, a column is probably filled in later."""
NAMES = 0.5
"""With more distinct texts per row than this, a text names the business rather than describes it."""
DIGITS = 8
"""Numbers with fewer digits are not taken for ids."""
PER_CENT = "Per cents are read as shares: 12.5% is 0.125."

Role = Literal["id", "label", "month", "numeric", "categorical", "date", "left out"]


@dataclass(frozen=True)
class Seen:
    """What was seen of one column.

    `missing` is the share of empty cells, `distinct` the number of different values; `remarks` are sentences for the
    owner of the table.
    """

    name: str
    role: Role
    missing: float
    distinct: int
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Applied:
    """What the label holder knows of each row: labels int8 (rows,), and the observation month if there is one."""

    labels: npt.NDArray[np.int8]
    months: pd.Series | None


@dataclass(frozen=True)
class Inspection:
    """The declaration that fits a table, its number of rows, and what was seen of every column, in their order."""

    declaration: Declaration
    rows: int
    columns: tuple[Seen, ...]


def inspect_table(
    path: Path,
    id: str,
    label: str | None = None,
    month: str | None = None,
    bad: str | float | None = None,
) -> Inspection:
    """Look at a CSV or Parquet table with a row per business; nothing is written.

    `bad` is the value of the label that means default, unless the values are 0 and 1. Raises `DataError` where the
    table cannot be used: what is wrong with the file, its ids, labels or months, and if there is no column left to
    offer.
    """
    if month is not None and label is None:
        raise DataError(
            "the observation month belongs to the party that holds the label; name the label, too."
        )
    file = open_table(Path(path), detect_format(path))
    roles: dict[str | None, Role] = {id: "id", label: "label", month: "month"}
    declaration = Declaration(
        type=TableParty.type,
        name=file.path.resolve().parent.name,
        id=id,
        label=label,
        month=month,
        bad=bad,
        file=file.path.name,
        format=file.format,
    )
    of_roles = file.read(declaration.roles, unique_id=True)
    applied = Applied(of_roles[label].to_numpy(), of_roles.get(month)) if label is not None else None
    detected = {
        column.name: column
        for column in detect(file, [name for name in file.columns if name not in roles], month is not None)
    }
    seen = tuple(
        _look(detected[name], file, applied)
        if name in detected
        else _look_at_role(name, roles[name], of_roles[name], file, list(detected.values()))
        for name in file.columns
    )
    columns = tuple(
        found.column
        for column in seen
        if column.role != "left out" and (found := detected.get(column.name)) and found.column
    )
    if not columns and label is None:
        raise DataError(f"{file.path} has no column that a model could use; add columns of facts.")
    return Inspection(replace(declaration, columns=columns), len(of_roles), seen)


def _look_at_role(
    name: str, role: Role, values: pd.Series, file: TableFile, others: Sequence[Detected]
) -> Seen:
    seen = Seen(name, role, float(values.isna().mean()), values.nunique())
    if role == "id":
        also = [other.name for other in others if _may_be_id(other.values)]
        remarks = {
            "The ids count up like row numbers; the other parties must know the businesses by the same ids.": (
                _counts_up(pd.to_numeric(values, errors="coerce"))
            ),
            f"{listing(also)} could be the id, too; by --id name the one that the other parties have.": bool(
                also
            ),
        }
        ids = pa.array(values, pa.large_string())
        doubtful = doubts(ids, lambda row: f" in {file.row_name(row)}")
        return replace(seen, remarks=(*_that_hold(remarks), *doubtful))
    if role == "label":
        remarks = {
            f"{(values == 1).mean():.1%} are defaults.": True,
            "The label is the same in every row, so nothing can be learned from it.": seen.distinct < 2,
        }
        return replace(seen, remarks=_that_hold(remarks))
    return seen


def _look(found: Detected, file: TableFile, applied: Applied | None) -> Seen:
    column, values = found.column, found.values
    if column is None:
        return Seen(found.name, "left out", 0.0, 0, (found.problem,))
    seen = Seen(found.name, column.kind, float(values.isna().mean()), values.nunique())
    if reasons := _useless(found, seen.distinct):
        return replace(seen, role="left out", remarks=(reasons[0], *filter(None, [found.problem])))
    present = values[values.notna() & ~values.isin(column.special)]
    months = applied.months if applied is not None else None
    late = _share_after(present, months) if column.kind == "date" and months is not None else 0.0
    leak = _leak(present.reindex(values.index), applied.labels) if applied is not None else 0.5
    remarks = {
        f"LEAK? It predicts the label almost exactly (AUC {leak:.3f}); remove it unless it is known on the day of the "
        "application.": leak >= LEAK,
        f"LEAK? {late:.1%} of the dates lie after the observation month; remove it unless they are known on the day of "
        "the application.": late > LATE,
        _about_dates(column): column.kind == "date",
        _about_strays(found, column, file): len(found.strays) > 0,
        _about_special(values, column): column.special != (),
        PER_CENT: found.has_per_cents,
        "It has few whole numbers; if they are codes, write kind = 'categorical'.": (
            column.kind == "numeric"
            and 2 < present.nunique() <= FEW
            and bool((present == present.round()).all())
        ),
        "It has many categories; fewer, larger ones may serve better.": (
            column.kind == "categorical" and seen.distinct > MANY
        ),
        found.problem: found.problem != "",
    }
    return replace(seen, remarks=_that_hold(remarks))


def _about_dates(column: Column) -> str:
    otherwise = f", or to {column.reference} where there is none" if column.reference else ""
    return f"Models get the months from the date to the observation month{otherwise}."


def _about_strays(found: Detected, column: Column, file: TableFile) -> str:
    if not len(found.strays):
        return ""
    what = "date" if column.kind == "date" else "number"
    cells = "1 cell is" if len(found.strays) == 1 else f"{len(found.strays):,} cells are"
    first = f"the first {found.stray} in {file.row_name(int(found.strays[0]))}"
    return f'{cells} no {what}, {first}; stray = "missing" lets such a cell count as missing.'


def _about_special(values: pd.Series, column: Column) -> str:
    shares = ", ".join(f"{(values == value).mean():.1%} are {value:.15g}" for value in column.special)
    return f"{shares}, far from all others; as special values they count as missing, except in a scorecard."


def _share_after(days: pd.Series, months: pd.Series) -> float:
    """The share of days (k,) after the end of the observation months (rows,)."""
    observed = months[days.index].to_numpy().astype("datetime64[M]")
    return float((days.to_numpy().astype("datetime64[M]") > observed).mean())


def _useless(found: Detected, distinct: int) -> tuple[str, ...]:
    """Why no model can use a column; empty if one can."""
    values, is_text = found.values, found.column is not None and found.column.kind == "categorical"
    return _that_hold(
        {
            "It holds the row labels of pandas, which were written with the table.": (
                re.fullmatch(r"__index_level_\d+__", found.name) is not None
            ),
            "No row has a value.": distinct == 0,
            "It is the same in every row.": distinct == 1 and not values.isna().any(),
            "It counts up like a row number.": pd.api.types.is_float_dtype(values) and _counts_up(values),
            "Nearly every row has a different text, such as a name, which would reveal who the business is.": (
                is_text and distinct > max(MANY, NAMES * values.notna().sum())
            ),
        }
    )


def _that_hold(sentences: Mapping[str, bool]) -> tuple[str, ...]:
    """The sentences that hold."""
    return tuple(sentence for sentence, holds in sentences.items() if holds)


def _counts_up(values: pd.Series) -> bool:
    """Whether the values are distinct whole numbers without a gap, in any order."""
    numbers = np.sort(values.to_numpy(dtype=np.float64))
    return len(numbers) > FEW and bool(np.isfinite(numbers).all() and (np.diff(numbers) == 1).all())


def _may_be_id(values: pd.Series) -> bool:
    """Whether a column tells all rows apart as an id does: by texts with a digit, or numbers of equally many digits."""
    if len(values) <= FEW or not values.is_unique or values.isna().any():
        return False
    if pd.api.types.is_float_dtype(values):
        digits = np.floor(np.log10(np.maximum(values, 1.0)))
        return bool((values % 1 == 0).all() and digits.min() == digits.max() >= DIGITS - 1)
    return pd.api.types.is_string_dtype(values) and bool(values.str.fullmatch(r"\S*\d\S*").all())


def _leak(values: pd.Series, labels: npt.NDArray[np.int8]) -> float:
    """The AUC against the label of a column's gaps, or of its values or its categories' default rates if higher."""
    missing = values.isna().to_numpy()
    of_gaps = _auc(labels, missing.astype(np.float64))
    scores, labels = values[~missing], labels[~missing]
    if pd.api.types.is_datetime64_dtype(scores):
        scores = scores.astype("int64")
    if not pd.api.types.is_numeric_dtype(scores):
        if scores.nunique() > MANY:  # The default rate of a rare category says nothing.
            return of_gaps
        scores = pd.Series(labels, index=scores.index).groupby(scores).transform("mean")
    return max(of_gaps, _auc(labels, scores.to_numpy(dtype=np.float64)))


def _auc(labels: npt.NDArray[np.int8], scores: npt.NDArray[np.float64]) -> float:
    if len(np.unique(labels)) < 2:
        return 0.5
    area = auc(labels, scores)
    return max(area, 1 - area)
