"""The finished scorecard at a party: its own points table for its people, and at the bank what is kept of all rows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clients.aligned import read_applications, read_table
from clients.evaluation import keep_scores
from clients.scorecard.model import ANSWERS_ALL, SCORECARD, BankModel, Totals
from clients.session import Session
from fl.calibration import Calibration
from fl.scorecard import Finished
from fl.scorecard.bank import BankPoints
from fl.scorecard.card import Card, Texts
from fl.scorecard.points import PointsTable, Scale
from fl.scorecard.solver import State
from fl.scoring import Scored
from fl.splits import VALIDATION

POINTS_TABLE = "points.csv"
"""Name of the file in a party's store with the groups of its own columns and their points: column, values,
applicants (share of the training rows that it knows) and points; at the bank points_alone, those of a business that no
passive party knows. Cuts are exact here."""


def keep_points_table(
    session: Session,
    table: PointsTable,
    values: Texts,
    applicants: NDArray[np.float64],
    known_to: Sequence[str] = (),
    alone: PointsTable | None = None,
) -> None:
    """Write the points table of the party's own columns, with the values of each group and its share of applicants.

    At the bank, known_to are all passive parties, and alone are the points of a business that none of them knows.
    """
    names = np.array([*read_table(session.study).names, *(f"known to {party}" for party in known_to)])
    columns = {"column": np.repeat(names[table.columns], table.counts), "values": values}
    points = {"points": table.points} | ({} if alone is None else {"points_alone": alone.points})
    kept = pd.DataFrame({**columns, "applicants": applicants, **points})
    session.store.write_file(POINTS_TABLE, kept.to_csv(index=False).encode("utf-8"))


def without_values(session: Session, finished: Finished) -> Finished:
    """What the party tells others: which values its groups hold only if its `party.toml` publishes that."""
    if session.party.declaration.publish_bins:
        return finished
    return replace(finished, values=np.full(len(finished.values), ""))


def keep_card(
    session: Session, card: Card, totals: Totals, points: BankPoints, state: State, roles: NDArray[np.int8]
) -> Scored:
    """Store the model, and scores, reasons and PDs of every position; evaluate those of the test rows."""
    config = session.config.scorecard
    scores, labels = totals.scores, read_applications(session.study).labels
    odds, validation = Scale.of(config).log_odds(scores), roles == VALIDATION
    calibration = Calibration()
    if config.calibrate:
        calibration = Calibration.fit(odds[validation], labels[validation])
    BankModel(state.weights, state.alone, calibration).write(session.store)
    reasons, lost = totals.reasons(card.parties)
    made = {"points": totals.points, "parties": np.array(card.parties, np.str_)}
    kept = {"score": scores, "base": totals.base, **made, "reasons": reasons, "lost": lost}
    session.store.write(SCORECARD, {**kept, **card.texts()})
    tables = card.tables(config, points, scores, roles)
    return keep_scores(session, calibration.log_odds(odds), roles, tables, answers_all=ANSWERS_ALL)
