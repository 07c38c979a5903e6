"""A file of applicants to be scored.

The file is a table, CSV or Parquet, with the bank's id column. If the bank's applications have observation months, the
file may have that column too; without it, each applicant is scored as of the month of its application. The facts about
an applicant come from the bank's records, whether its outcome is known or not.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from clients.data.errors import DataError
from clients.data.files import Kind, open_table
from clients.parties import Party


def read_applicants_file(party: Party, path: Path) -> pd.DataFrame:
    """The applicants in a file, id as index in the order of the file, with their `month`.

    Raises DataError for a file without ids, and with the row for a repeated id, an applicant without an application at
    the bank, or a month that cannot be read or lies in the future.
    """
    declared, file = party.declaration, open_table(path, party.declaration.format)
    kinds: dict[str, Kind] = {declared.id: "id"}
    if declared.month is not None and declared.month in file.columns:
        kinds[declared.month] = "month"
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
    if declared.month in kinds:
        months = pd.Series(rows[declared.month].to_numpy(), index=months.index)
    return pd.DataFrame({"month": months.astype("datetime64[s]")})
