"""A file of applicants to be scored.

The file is a table, CSV or Parquet, with the bank's id column, and where its applications have observation months it
may have that column, too: without it each applicant is scored as of the month of its application. What is known of
an applicant stands in the bank's records, with or without an outcome.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from clients.data.errors import DataError
from clients.data.files import Kind, TableFile, open_table
from clients.parties import Party


def read_applicants_file(party: Party, path: Path) -> pd.DataFrame:
    """The applicants in a file, id as index in the order of the file, with their `month`.

    Raises DataError that names the row for a repeated id, an applicant without an application at the bank, or a month
    that is none or lies in the future; and for a file without ids.
    """
    declared, file = party.declaration, open_table(path)
    kinds: dict[str, Kind] = {declared.id: "id"}
    if declared.month is not None and declared.month in file.columns:
        kinds[declared.month] = "month"
    rows = file.read(kinds, unique_id=True)
    applications = party.applications()
    known = rows[declared.id].isin(applications.index).to_numpy()
    if not known.all():
        raise _error(file, known, declared.id, f"{declared.name} has no application of this business")
    months = applications["month"].reindex(rows[declared.id])
    if declared.month in kinds:
        months = pd.Series(rows[declared.month].to_numpy(), index=months.index)
    return pd.DataFrame({"month": months.astype("datetime64[s]")})


def _error(file: TableFile, fine: np.ndarray, column: str, problem: str) -> DataError:
    """The error at the first row that is not fine."""
    return DataError.at(file.path, f"{problem}.", row=file.row_name(int(np.argmin(fine))), column=column)
