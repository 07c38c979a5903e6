"""The applications that a run is about: the label holder's own when it trains, others when it scores.

A run that scores takes them from a file or from the queue of the bank's service. Applicants of the queue may bring
their columns with them; those of the others come from the records, as in training.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clients.data.applicants import frame_of_rows, read_applicants_file
from clients.serving.queue import Applicant, Queue
from clients.session import Session


@dataclass(frozen=True)
class Applicants:
    """The applicants of a scoring run in the order of their file: ids (n,), months datetime64[M] (n,)."""

    ids: NDArray[np.str_]
    months: NDArray[np.datetime64]


@dataclass(frozen=True)
class PostedColumns:
    """The declared columns, as JSON, of the applicants that brought theirs, by id."""

    rows: Mapping[str, str]


@dataclass(frozen=True)
class ScoredIds:
    """The id of the applicant at each position of a scoring run, (n,)."""

    ids: NDArray[np.str_]


def keep_applicants(session: Session, model: str) -> None:
    """Read the applicants that are to be scored by a model, STUDY/CONTENDER/SEED, once for the whole run.

    Raises DataError, and PolicyError where they are too few.
    """
    if session.scoring.queued:
        with closing(Queue(session.queue)) as queue:
            batch = queue.take(model, session.envelope.study)
        ids, months = applicant_arrays(batch)
        session.study.keep(PostedColumns({one.id: one.columns for one in batch if one.columns}))
    else:
        frame = read_applicants_file(session.party, Path(session.scoring.applicants))
        ids = frame.index.to_numpy().astype(np.str_)
        months = frame["month"].to_numpy().astype("datetime64[M]")
    session.policy.require("least_applicants", len(ids))
    session.study.keep(Applicants(ids, months))


def applicant_arrays(batch: Sequence[Applicant]) -> tuple[NDArray[np.str_], NDArray[np.datetime64]]:
    """Ids (n,) and months datetime64[M] (n,), NaT where there is none."""
    months = np.array([one.month or "NaT" for one in batch], "datetime64[M]")
    return np.array([one.id for one in batch], np.str_), months


def applications_of(session: Session) -> pd.DataFrame:
    """The applications that the run is about, id as index, with at least their `month` (datetime64[s])."""
    if not session.is_scoring:
        return session.party.applications()
    kept = session.study.read(Applicants)
    return pd.DataFrame({"month": kept.months.astype("datetime64[s]")}, index=pd.Index(kept.ids))


def features_at(session: Session, ids: NDArray[np.str_], months: NDArray[np.datetime64]) -> pd.DataFrame:
    """This party's columns of businesses (n,) as of months (n,), as `Party.matrix` has them, special values included.

    At the bank, those that brought their columns have these instead of what its records say.
    """
    frame = session.party.matrix(ids, months, special=True)
    posted = session.study.read(PostedColumns).rows if session.study.has(PostedColumns) else {}
    places = np.flatnonzero(np.isin(ids, list(posted)))
    if len(places):
        rows = [posted[id_] for id_ in ids[places].tolist()]
        brought = frame_of_rows(session.declaration, rows, months[places])
        for name in frame:
            column = frame[name].astype(object)
            column.iloc[places] = brought[name].astype(object)
            frame[name] = column.astype("category" if brought[name].dtype == "category" else np.float64)
    return frame
