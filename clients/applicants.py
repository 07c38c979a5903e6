"""The applications that a run is about: the label holder's own when it trains, those of a file when it scores."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clients.data.applicants import read_applicants_file
from clients.session import Session


@dataclass(frozen=True)
class Applicants:
    """The applicants of a scoring run in the order of their file: ids (n,), months datetime64[M] (n,)."""

    ids: NDArray[np.str_]
    months: NDArray[np.datetime64]


@dataclass(frozen=True)
class ScoredIds:
    """The id of the applicant at each position of a scoring run, (n,)."""

    ids: NDArray[np.str_]


def keep_applicants(session: Session) -> None:
    """Read the file of applicants, once for the whole run. Raises DataError."""
    frame = read_applicants_file(session.party, Path(session.scoring.applicants))
    ids, months = frame.index.to_numpy().astype(np.str_), frame["month"].to_numpy().astype("datetime64[M]")
    session.study.keep(Applicants(ids, months))


def applications_of(session: Session) -> pd.DataFrame:
    """The applications that the run is about, id as index, with at least their `month` (datetime64[s])."""
    if not session.is_scoring:
        return session.party.applications()
    kept = session.study.read(Applicants)
    return pd.DataFrame({"month": kept.months.astype("datetime64[s]")}, index=pd.Index(kept.ids))
