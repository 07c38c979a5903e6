"""The scorecard of several banks at one of them: it is kept as that of a bank alone, so that all else works as there.

Points, reasons, the card's tables and the export follow from what `clients/scorecard/model.py` reads. The shares of
applicants and the stability of the card's tables are those of the bank's own rows.
"""

from typing import cast

from clients.banks import Model
from clients.scorecard.card import keep_card, tell_columns
from clients.scorecard.model import BankWeights, Groupings, answers, score_rows
from clients.session import Session
from fl.banks.program import Rows
from fl.banks.scorecard import ScorecardProgram, ScorecardState
from fl.evaluation import Scored
from fl.scorecard.bank import BankColumns
from fl.scorecard.card import Share
from fl.splits import TRAIN

__all__ = ["answers", "keep"]


def keep(session: Session, model: Model, rows: Rows) -> Scored:
    """Keep the trained scorecard, and the scores of all rows; evaluate those of the test rows."""
    program, state = cast(tuple[ScorecardProgram, ScorecardState], model.program(session.config))
    binning, evidence = program.trained(state)
    weights = program.weights(state)
    of_bank = BankWeights(joint=weights, alone=weights)
    columns, table = BankColumns.of(evidence.grouping, {}), model.schema.table(rows.table)
    groupings = Groupings(bank=rows.name, columns=columns, information=evidence.information, passive={})
    session.store.keep(binning)
    session.store.keep(groupings)
    points = of_bank.points(columns, session.config)
    groups, training = groupings.of_rows(binning.transform(table), {}), rows.roles == TRAIN
    card = tell_columns(
        session, table, points.table, evidence.grouping, groups, rows.roles, alone=points.alone_table
    )
    share = Share.of_bank(
        rows.name, card, columns, points, groups[training], rows.labels[training], evidence.information
    )
    scored = score_rows(session.store, of_bank, table, {}, {}, session.config)
    calibration = model.recalibration.after(program.calibration(state))
    return keep_card(session, [share], scored, points, of_bank, rows.roles, calibration)
