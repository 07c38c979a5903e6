"""A first look at a table: a declaration to start from, and what its owner should know before offering it.

`inspect_table` infers each column's kind and leaves out what no model can use (constants, dates, row numbers, texts
that name a business). It warns of columns that nearly equal the label: such a column is usually filled in after the
outcome is known, and a model that needs it is worth nothing on the day of the application.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from clients.data.declaration import Column, Declaration
from clients.data.errors import DataError
from clients.data.files import Kind, detect, open_table
from clients.parties.table import TableParty
from fl.metrics import auc

LEAK = 0.95
"""A single column with this AUC against the label, or more, is probably a consequence of it."""
NAMES = 0.5
"""With more distinct texts per row than this, a text names the business rather than describes it."""
FEW, MANY = 12, 50
"""Up to FEW distinct values whole numbers may be codes; more than MANY categories are many."""
PER_CENT = "Per cents are read as shares: 12.5% is 0.125."

Role = Literal["id", "label", "month", "numeric", "categorical", "left out"]


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
class Inspection:
    """The declaration that fits a table, its number of rows, and what was seen of every column, in their order."""

    declaration: Declaration
    rows: int
    columns: tuple[Seen, ...]


def inspect_table(path: Path, id: str, label: str | None = None, month: str | None = None) -> Inspection:
    """Look at a CSV or Parquet table with a row per business; nothing is written.

    Raises `DataError` where the table cannot be used: what is wrong with the file, its ids, labels or months, and
    if there is no column left to offer.
    """
    if month is not None and label is None:
        raise DataError(
            "the observation month belongs to the party that holds the label; name the label, too."
        )
    file = open_table(Path(path), detect(path))
    roles: dict[str | None, Role] = {id: "id", label: "label", month: "month"}
    declaration = Declaration(
        type=TableParty.type,
        name=file.path.resolve().parent.name,
        id=id,
        label=label,
        month=month,
        file=file.path.name,
        format=file.format,
    )
    of_roles = file.read(declaration.roles, unique_id=True)
    guessed = file.guess_kinds()
    values = file.read(
        {name: kind for name, kind in guessed.items() if name not in roles and kind != "month"}
    )
    labels = of_roles[label].to_numpy() if label is not None else None
    seen = tuple(
        _look_at_role(name, roles[name], of_roles[name])
        if name in roles
        else _look(name, guessed[name], values.get(name), labels)
        for name in file.columns
    )
    shares = file.per_cents()
    seen = tuple(
        replace(column, remarks=(*column.remarks, PER_CENT)) if column.name in shares else column
        for column in seen
    )
    columns = tuple(
        Column(column.name, column.role, unit="share" if column.name in shares else "")
        for column in seen
        if column.role == "numeric" or column.role == "categorical"
    )
    if not columns and label is None:
        raise DataError(f"{file.path} has no column that a model could use; add columns of facts.")
    return Inspection(replace(declaration, columns=columns), len(of_roles), seen)


def _look_at_role(name: str, role: Role, values: pd.Series) -> Seen:
    remarks = {
        "The ids count up like row numbers; the other parties must know the businesses by the same ids.": (
            role == "id" and _counts_up(pd.to_numeric(values, errors="coerce"))
        ),
        f"{(values == 1).mean():.1%} are defaults.": role == "label",
        "The label is the same in every row, so nothing can be learned from it.": (
            role == "label" and values.nunique() < 2
        ),
    }
    return Seen(name, role, float(values.isna().mean()), values.nunique(), _that_hold(remarks))


def _look(name: str, kind: Kind, values: pd.Series | None, labels: npt.NDArray[np.int8] | None) -> Seen:
    if values is None:
        return Seen(
            name,
            "left out",
            0.0,
            0,
            ("It is a date; turn it into a number, such as months before the loan.",),
        )
    role: Role = "numeric" if kind == "number" else "categorical"
    seen = Seen(name, role, float(values.isna().mean()), values.nunique())
    if reasons := _useless(name, kind, values, seen.distinct):
        return replace(seen, role="left out", remarks=reasons[:1])
    leak = _leak(values, labels) if labels is not None else 0.5
    present = values.dropna()
    remarks = {
        f"LEAK? It predicts the label almost exactly (AUC {leak:.3f}); remove it unless it is known on the day of the "
        "application.": leak >= LEAK,
        "It has few whole numbers; if they are codes, write kind = 'categorical'.": (
            kind == "number" and 2 < seen.distinct <= FEW and (present == present.round()).all()
        ),
        "It has many categories; fewer, larger ones may serve better.": (
            kind == "text" and seen.distinct > MANY
        ),
    }
    return replace(seen, remarks=_that_hold(remarks))


def _useless(name: str, kind: Kind, values: pd.Series, distinct: int) -> tuple[str, ...]:
    """Why no model can use a column; empty if one can."""
    return _that_hold(
        {
            "It holds the row labels of pandas, which were written with the table.": (
                re.fullmatch(r"__index_level_\d+__", name) is not None
            ),
            "No row has a value.": distinct == 0,
            "It is the same in every row.": distinct == 1 and not values.isna().any(),
            "It counts up like a row number.": kind == "number" and _counts_up(values),
            "Nearly every row has a different text, such as a name, which would reveal who the business is.": (
                kind == "text" and distinct > max(MANY, NAMES * values.notna().sum())
            ),
        }
    )


def _that_hold(sentences: Mapping[str, bool]) -> tuple[str, ...]:
    """The sentences that hold."""
    return tuple(sentence for sentence, holds in sentences.items() if holds)


def _counts_up(values: pd.Series) -> bool:
    """Whether the values are distinct whole numbers without a gap, in any order."""
    numbers = np.sort(values.to_numpy(dtype=np.float64))
    return len(numbers) > FEW and bool((np.diff(numbers) == 1).all())


def _leak(values: pd.Series, labels: npt.NDArray[np.int8]) -> float:
    """The AUC against the label of a column's gaps, or of its values or its categories' default rates if higher."""
    missing = values.isna().to_numpy()
    of_gaps = _auc(labels, missing.astype(np.float64))
    scores, labels = values[~missing], labels[~missing]
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
