"""The finished scorecard at a party: its own points table for its people, and at the bank what is kept of all rows."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clients.aligned import read_applications, read_table
from clients.evaluation import keep_scores
from clients.scorecard.model import ANSWERS_ALL, BankModel, BankWeights, ScoredRows
from clients.session import Session
from fl.calibration import Calibration
from fl.config.scorecard import ScorecardConfig
from fl.evaluation import Scored
from fl.scorecard import Card
from fl.scorecard.bank import BankPoints
from fl.scorecard.card import Texts, WholeCard
from fl.scorecard.points import PointsTable, Scale
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
    covered: Mapping[str, int] | None = None,
    alone: PointsTable | None = None,
) -> None:
    """Write the points table of the party's own columns, with the values of each group and its share of applicants.

    At the bank, covered are the passive parties that it has a column for (`BankColumns.covered`), and alone are the
    points of a business that no passive party knows.
    """
    names = dict(enumerate(read_table(session.study).names))
    names |= {len(names) + number: f"known to {party}" for party, number in (covered or {}).items()}
    columns = np.repeat(np.array([names[int(number)] for number in table.columns], np.str_), table.counts)
    points = {"points": table.points} | ({} if alone is None else {"points_alone": alone.points})
    frame = pd.DataFrame({"column": columns, "values": values, "applicants": applicants, **points})
    session.store.write_file(POINTS_TABLE, frame.to_csv(index=False).encode("utf-8"))


def without_values(session: Session, card: Card) -> Card:
    """What the party tells others: which values its groups hold only if its `party.toml` publishes that."""
    if session.party.declaration.publish_bins:
        return card
    return replace(card, values=np.full(len(card.values), ""))


def keep_card(
    session: Session,
    card: WholeCard,
    rows: ScoredRows,
    points: BankPoints,
    weights: BankWeights,
    roles: NDArray[np.int8],
) -> Scored:
    """Keep the model, and scores, reasons and PDs of every position; evaluate those of the test rows."""
    config = session.config.section(ScorecardConfig)
    labels, validation = read_applications(session.study).labels, roles == VALIDATION
    log_odds, texts = Scale.of(config).log_odds(rows.scores), card.texts()
    calibration = Calibration()
    if config.calibrate:
        calibration = Calibration.fit(log_odds[validation], labels[validation])
    session.store.keep(
        BankModel(
            weights=weights,
            calibration=calibration,
            codes=texts["code"],
            texts=texts["text"],
            texts_zh=texts["text_zh"],
        )
    )
    session.store.keep(rows)
    tables = card.tables(config, points, rows.scores, roles)
    return keep_scores(session, calibration.log_odds(log_odds), roles, tables, answers_all=ANSWERS_ALL)
