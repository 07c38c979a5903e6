"""Made-up records of any party type, by which its features can be tried out without data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from clients.parties.base import Party

APPLICATIONS = "applications"
"""The record table of the label holder, with a row per business."""
MONTH = "month"
"""The column of a record table that says in which month a row became known."""
BEFORE, AFTER = 24, 4
"""Months of made-up records up to the observation month, and after it."""
_LEVELS = ("amber", "blue", "coral")


def made_up_records(kind: type[Party], as_of: pd.Series) -> dict[str, pd.DataFrame]:
    """Random records by the type's `tables`: monthly where a table has months, else one row per business of `as_of`.

    Numbers are positive, those of a column whose name ends in `share` are below one; texts have three levels. Equal
    arguments give equal records.
    """
    rng = np.random.default_rng(0)
    return {name: _made_up_table(kind, name, columns, as_of, rng) for name, columns in kind.tables.items()}


def _made_up_table(
    kind: type[Party], name: str, columns: tuple[str, ...], as_of: pd.Series, rng: np.random.Generator
) -> pd.DataFrame:
    ids, observed = as_of.index.to_numpy(), as_of.to_numpy().astype("datetime64[M]")
    lags = np.arange(-AFTER, BEFORE) if MONTH in columns else np.zeros(1, dtype=np.int64)
    rows = len(ids) * len(lags)
    months = np.repeat(observed, len(lags)) - np.tile(lags, len(ids))
    roles = {MONTH: months.astype("datetime64[s]"), kind.id: np.repeat(ids, len(lags))}
    if name == APPLICATIONS:
        roles = {
            kind.month: observed.astype("datetime64[s]"),
            kind.label: (np.arange(rows) % 2).astype(np.int8),
        } | roles
    table = {kind.id: roles[kind.id]}
    for column in columns:
        if column in roles:
            table[column] = roles[column]
        elif column in kind.texts():
            table[column] = rng.choice(_LEVELS, rows)
        elif column.endswith("share"):
            table[column] = rng.random(rows)
        else:
            table[column] = rng.gamma(4.0, 100.0, rows).round(2)
    return pd.DataFrame(table)
