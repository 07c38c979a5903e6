"""The finished scorecard at a party: its own points table for its people, and at the bank what is kept of all rows."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from clients.aligned import read_applications
from clients.evaluation import keep_scores
from clients.reasons import column_texts
from clients.scorecard.columns import values_of
from clients.scorecard.model import ANSWERS_ALL, BankModel, BankWeights, ScoredRows
from clients.session import Session
from fl.binning import Binning, Codes
from fl.calibration import Calibration
from fl.config.scorecard import ScorecardConfig
from fl.escaping import csv_text
from fl.evaluation import Scored
from fl.scorecard import Card
from fl.scorecard.bank import BankPoints
from fl.scorecard.card import Share, share_of_rows, tables_of_card, told, with_coverage
from fl.scorecard.design import Floats
from fl.scorecard.grouping import Grouping
from fl.scorecard.points import PointsTable, Scale
from fl.scorecard.values import EXACT, ROUNDED
from fl.splits import TRAIN, VALIDATION, Roles
from fl.tables import Table

POINTS_TABLE = "points.csv"
"""Name of the file in a party's store with the groups of its own columns and their points: column, values,
applicants (share of the training rows that it knows) and points; at the bank points_alone, those of a business that no
passive party knows. Cuts are exact here."""


def tell_columns(
    session: Session,
    table: Table,
    points: PointsTable,
    grouping: Grouping,
    groups: Codes,
    roles: Roles,
    covered: Mapping[str, int] | None = None,
    alone: PointsTable | None = None,
) -> Card:
    """Write the points table of the party's own columns, and make of it what the party tells others.

    grouping is that of the table; groups (n, k) and roles (n,) are of the rows that it knows. At the bank, covered are
    the passive parties that it has a column for (`BankColumns.covered`), and alone are the points of a business that no
    passive party knows.
    """
    covered = covered or {}
    declared = session.columns
    binning = session.store.read(Binning)
    exact, rounded = (values_of(declared, table, binning, grouping, digits) for digits in (EXACT, ROUNDED))
    names = dict(enumerate(table.names))
    names |= {len(names) + number: f"known to {party}" for party, number in covered.items()}
    frame = pd.DataFrame(
        {
            "column": np.repeat([names[int(number)] for number in points.columns], points.counts),
            "values": with_coverage(exact, covered),
            "applicants": share_of_rows(groups[roles == TRAIN], points.counts),
            "points": points.points,
        }
    )
    if alone is not None:
        frame["points_alone"] = alone.points
    session.store.write_file(POINTS_TABLE, csv_text(frame).encode())
    card = told(points, groups, roles, rounded, column_texts(session, table, grouping.columns), covered)
    if session.declaration.publish_bins:
        return card
    return replace(card, values=np.full(len(card.values), ""))


def keep_card(
    session: Session,
    shares: list[Share],
    rows: ScoredRows,
    points: BankPoints,
    weights: BankWeights,
    roles: Roles,
    calibration: Calibration | None = None,
) -> Scored:
    """Keep the model, and scores, reasons and PDs of every position; evaluate those of the test rows.

    shares are what is told of each party's columns, and points are the bank's. Without a calibration, one is fitted by
    the bank's validation rows if the settings ask for that.
    """
    config = session.config.section(ScorecardConfig)
    scale = Scale.of(config)
    log_odds = scale.log_odds(rows.scores)
    fitted = calibration or _calibrated(session, log_odds, roles)
    tables = tables_of_card(shares, config, points, rows.scores, roles)
    texts = tables["reasons"]
    session.store.keep(
        BankModel(
            weights=weights,
            calibration=fitted,
            codes=texts["code"],
            texts=texts["text"],
            texts_zh=texts["text_zh"],
            best=np.concatenate([share.columns["most"] for share in shares]),
            means=np.concatenate([share.means for share in shares], axis=1),
        )
    )
    session.store.keep(rows)
    session.store.keep(scale)
    return keep_scores(session, fitted.log_odds(log_odds), roles, tables, answers_all=ANSWERS_ALL)


def _calibrated(session: Session, log_odds: Floats, roles: Roles) -> Calibration:
    """The map from the log odds of all positions (n,) to those of the PD, by the validation rows."""
    if not session.config.section(ScorecardConfig).calibrate:
        return Calibration()
    validation = roles == VALIDATION
    return Calibration.fit(log_odds[validation], read_applications(session.study).labels[validation])
