"""A first look at a ready table: a declaration to start from, and what its owner should know before others see it.

`inspect_table` infers each column's kind and leaves out what no model can use (constants, dates, row numbers, texts
that name a business). It warns of columns that nearly equal the label: they are usually written down after the outcome
is known, and a model that has them is worth nothing on the day of the application.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from clients.data.declaration import Column, Declaration
from clients.data.errors import DataError
from clients.data.files import Kind, open_table
from clients.parties.table import TableParty
from fl.metrics import auc

LEAK = 0.95
"""AUC of a single column against the label from which on it is probably a consequence of it."""
OWN_TEXT = 0.5
"""Distinct texts per row from which on a text names the business rather than describes it."""
FEW, MANY = 12, 50
"""Distinct values up to which whole numbers may be codes, and from which on categories are many."""


@dataclass(frozen=True)
class Seen:
    """What was seen of one column.

    `role` is `id`, `label`, `month`, `numeric`, `categorical` or `left out`; `missing` the share of empty cells;
    `distinct` the number of different values; `remarks` are sentences for the owner.
    """

    name: str
    role: str
    missing: float
    distinct: int
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inspection:
    """The declaration that fits a table, its number of rows, and what was seen of every column in its order."""

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
    file = open_table(Path(path))
    roles: dict[str, Kind] = {id: "id"}
    roles |= {label: "label"} if label is not None else {}
    roles |= {month: "month"} if month is not None else {}
    held = file.read(roles, unique_id=True)
    guessed = file.guess_kinds()
    values = file.read(
        {name: kind for name, kind in guessed.items() if name not in roles and kind != "month"}
    )
    labels = held[label].to_numpy() if label is not None else None
    seen = tuple(
        _look_at_role(name, roles[name], held[name])
        if name in roles
        else _look(name, guessed[name], values.get(name), labels)
        for name in file.columns
    )
    declaration = Declaration(
        type=TableParty.type,
        name=file.path.resolve().parent.name,
        id=id,
        label=label,
        month=month,
        columns=tuple(
            Column(column.name, column.role) for column in seen if column.role in ("numeric", "categorical")
        ),
        file=file.path.name,
    )
    if not declaration.columns and label is None:
        raise DataError(f"{file.path} has no column that a model could use; see that it holds more than ids.")
    return Inspection(declaration, len(held), seen)


def _look_at_role(name: str, kind: Kind, values: pd.Series) -> Seen:
    remarks = []
    if kind == "id" and _counts_up(pd.to_numeric(values, errors="coerce")):
        remarks.append(
            "The ids count up like row numbers; another party must know the businesses by the same."
        )
    if kind == "label":
        remarks.append(f"{values.mean():.1%} are defaults.")
        if values.nunique() < 2:
            remarks.append("The label is the same in every row, so nothing can be learned from it.")
    return Seen(name, kind, float(values.isna().mean()), values.nunique(), tuple(remarks))


def _look(name: str, kind: Kind, values: pd.Series | None, labels: npt.NDArray[np.int8] | None) -> Seen:
    if values is None:
        return Seen(
            name, "left out", 0.0, 0, ("A date; turn it into a number, such as months before the loan.",)
        )
    role = "numeric" if kind == "number" else "categorical"
    seen = Seen(name, role, float(values.isna().mean()), values.nunique())
    if reason := _useless(name, kind, values, seen.distinct):
        return replace(seen, role="left out", remarks=(reason,))
    remarks = []
    if labels is not None and (found := _leak(values, labels)) >= LEAK:
        remarks.append(
            f"LEAK? It tells the label almost exactly (AUC {found:.3f}); remove it unless it is known on the day of "
            "the application."
        )
    present = values.dropna()
    if kind == "number" and seen.distinct <= FEW and (present == present.round()).all() and seen.distinct > 2:
        remarks.append("Few whole numbers: if they are codes, write kind = 'categorical'.")
    if kind == "text" and seen.distinct > MANY:
        remarks.append("Many categories; groups of them may serve better.")
    return replace(seen, remarks=tuple(remarks))


def _useless(name: str, kind: Kind, values: pd.Series, distinct: int) -> str:
    """Why no model can use a column; empty if one can."""
    if re.fullmatch(r"__index_level_\d+__", name):
        return "The row labels of pandas, which were written with the table."
    if distinct == 0:
        return "No row has a value."
    if distinct == 1 and not values.isna().any():
        return "The same in every row."
    if kind == "number" and _counts_up(values):
        return "It counts up like a row number."
    if kind == "text" and distinct > MANY and distinct > OWN_TEXT * values.notna().sum():
        return "Nearly every row has a text of its own, such as a name, which would tell who the business is."
    return ""


def _counts_up(values: pd.Series) -> bool:
    """Whether the values are distinct whole numbers without a gap, in any order."""
    numbers = np.sort(values.to_numpy(dtype=np.float64))
    return len(numbers) > FEW and bool((np.diff(numbers) == 1).all())


def _leak(values: pd.Series, labels: npt.NDArray[np.int8]) -> float:
    """The AUC of one column against the label: of its values, of its categories' rates, or of its gaps."""
    missing = values.isna().to_numpy()
    found = [_auc(labels, missing.astype(np.float64))]
    present, own = values[~missing], labels[~missing]
    if not pd.api.types.is_numeric_dtype(present):
        # Of rare categories the rate in the sample says nothing.
        present = pd.Series(own, index=present.index).groupby(present).transform("mean")
        if values.nunique() > MANY:
            return max(found)
    found.append(_auc(own, present.to_numpy(dtype=np.float64)))
    return max(found)


def _auc(labels: npt.NDArray[np.int8], scores: npt.NDArray[np.float64]) -> float:
    if len(np.unique(labels)) < 2:
        return 0.5
    area = auc(labels, scores)
    return max(area, 1 - area)
