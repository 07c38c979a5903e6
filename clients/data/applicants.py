"""A file of applicants: to be scored, or to have a party's features written.

The file is a table, CSV or Parquet, with the bank's id column. If the bank's applications have observation months, the
file may have that column too; without it, each applicant is scored as of the month of its application. The facts about
an applicant come from the bank's records, whether its outcome is known or not.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from clients.data import values
from clients.data.column import Column
from clients.data.dates import months_before
from clients.data.declaration import Declaration
from clients.data.errors import DataError
from clients.data.files import open_table
from clients.data.table_file import Kind
from clients.parties import Party


def read_applicants_file(party: Party, path: Path, month: str | None = None) -> pd.DataFrame:
    """The applicants in a file, id as index in the order of the file, with their `month`.

    month is the name of the column of observation months, if it is not the declared one. Raises DataError for a file
    without ids, and with the row for a repeated id, an applicant without an application at the bank, or a month that
    cannot be read or lies in the future.
    """
    declared, file = party.declaration, open_table(path, party.declaration.format)
    kinds: dict[str, Kind] = {declared.id: "id"}
    if month is None and declared.month in file.columns:
        month = declared.month
    if month is not None:
        kinds[month] = "month"
    rows = file.read(kinds, unique_id=True)
    applications = party.applications()
    has_applied = rows[declared.id].isin(applications.index).to_numpy()
    if not has_applied.all():
        raise DataError.at(
            file.path,
            f"{declared.name} has no application of this business.",
            row=file.row_name(int(np.argmin(has_applied))),
            column=declared.id,
        )
    months = applications["month"].reindex(rows[declared.id])
    if month is not None:
        months = pd.Series(rows[month].to_numpy(), index=months.index)
    return pd.DataFrame({"month": months.astype("datetime64[s]")})


def features_of(party: Party, path: Path, month: str | None = None) -> pd.DataFrame:
    """The declared columns of the businesses in a file, in its order, after a column of their ids.

    Each business is seen as of its month in the column `month` of the file. Without one, a label holder takes the month
    of the application, as it does when it scores, and another party all that it knows. At the label holder every
    business has a row, elsewhere those that the party knows: one without a row is unknown to it. Special values are
    numbers like others here. Raises DataError as `read_applicants_file` does.
    """
    declared = party.declaration
    if declared.target is not None:
        rows = read_applicants_file(party, path, month)
        ids, months = rows.index.to_numpy(), rows["month"].to_numpy()
    else:
        kinds: dict[str, Kind] = {declared.id: "id"}
        if month is not None:
            kinds[month] = "month"
        table = open_table(path, party.declaration.format).read(kinds, unique_id=True)
        table = table[table[declared.id].isin(party.ids())]
        ids = table[declared.id].to_numpy()
        months = table[month].to_numpy() if month is not None else np.full(len(ids), "NaT", "datetime64[s]")
    frame = party.matrix(ids.astype(np.str_), months.astype("datetime64[M]"), special=True)
    return frame.reset_index(names=declared.id)


def frame_of_rows(
    declaration: Declaration, rows: Sequence[str], months: NDArray[np.datetime64]
) -> pd.DataFrame:
    """The declared columns of rows (n,) that do not stand in a file, in the form that `Party.matrix` gives them.

    A row is a JSON object with a value for each declared column: a number, a text, a date such as 2024-03-01, or null.
    months (n,) are the observation months, NaT where there are none. Special values are numbers like others here.
    """
    objects = [json.loads(row) for row in rows]
    as_of = pd.Series(months.astype("datetime64[s]"))
    return pd.DataFrame(
        {
            column.name: _column_of([one[column.name] for one in objects], column, as_of)
            for column in declaration.columns
        },
        index=range(len(rows)),
    )


def _column_of(cells: list[float | str | None], column: Column, as_of: pd.Series) -> pd.Series:
    if column.kind == "categorical":
        texts = values.texts(pa.chunked_array([pa.array(cells, pa.large_string())]))
        return column.categories(pd.Series(texts.to_pandas().array))
    if column.kind == "date":
        days = pd.Series(pd.to_datetime(pd.Series(cells, dtype=object))).astype("datetime64[s]")
        return months_before(days, as_of.fillna(pd.Timestamp(column.reference or None)))
    return pd.Series(cells, dtype=np.float64)
