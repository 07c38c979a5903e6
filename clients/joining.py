"""The two sides of a bank that joins others: who has a model hands it over, and the newcomer takes it.

See `fl/joining.py` for the conversation.
"""

from dataclasses import replace

import numpy as np

from clients.banks import Floats, Model, keep, read_rows, read_schema, recalibrated
from clients.pads import banks_of
from clients.session import Session
from fl.banks.program import Rows
from fl.calibration import Calibration
from fl.errors import ConfigError, ProtocolError
from fl.evaluation import Scored
from fl.joining import Handed, HandedModel, HandOverRequest, TakeRequest
from fl.messages import Letter
from fl.records import encode
from fl.splits import TEST

_MALFORMED = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What NumPy and PyTorch raise where a model's arrays do not fit together."""
_MOST = 100.0  # log odds, of either sign, that anybody believes


def hand_over(session: Session, request: HandOverRequest) -> Handed:
    """Give a model that this bank has to the newcomer, without what is this bank's own."""
    config, name = session.training, session.envelope.model
    session.policy.require("hand_over", True, f"{config.joins}/{name} for {config.newcomer}")
    if config.newcomer not in set(banks_of(session)) - {session.declaration.name}:
        raise ProtocolError(f"the newcomer {config.newcomer!r} is not the other bank of this study")
    kept = session.earlier(config.joins, name)
    if not kept.has(Model):
        raise ProtocolError(
            f"it does not keep the model {config.joins}/{name} (any more); a party keeps as many studies as its "
            "setting keep-studies says"
        )
    model = kept.read(Model)
    program, state = model.program(session.config)
    handed = HandedModel(schema=model.schema, state=encode(program.shared(state)))
    return Handed({config.newcomer: Letter.of(handed)})


def take(session: Session, request: TakeRequest) -> Scored:
    """Evaluate a model of other banks on this bank's test rows, and keep it.

    The model has learned from none of this bank's rows, so that all of them but these can recalibrate it.
    """
    config, others = session.training, set(banks_of(session)) - {session.declaration.name}
    if config.newcomer != session.declaration.name or len(others) != 1 or request.models.keys() != others:
        raise ProtocolError("the newcomer takes a model, and the other bank of the study hands it over")
    ((giver, letter),) = request.models.items()
    handed, schema, rows = letter.read(HandedModel), read_schema(session), read_rows(session)
    if handed.schema != schema:
        raise ProtocolError(
            f"the model of {giver} is of other columns, levels or special values than this bank's party.toml declares, "
            "or of these in another order"
        )
    # What does not fit together ends in one of these errors, or in numbers that are none.
    try:
        with np.errstate(all="ignore"):
            model, log_odds = _received(session, handed, rows)
            evaluation = keep(session, model, rows, log_odds)
    except (ProtocolError, ConfigError):
        raise
    except _MALFORMED as error:
        raise ProtocolError(f"the model that {giver} has handed over cannot score") from error
    session.study.mark_trained()
    session.make_room()
    return Scored(evaluation)


def _received(session: Session, handed: HandedModel, rows: Rows) -> tuple[Model, Floats]:
    """The model for this bank, and the log odds (n,) of its rows by it."""
    model = Model.of(session, handed.schema, handed.state, Calibration())
    program, state = model.program(session.config)
    state = program.shared(state)
    log_odds = program.log_odds(rows, state)
    if not np.abs(log_odds).max() <= _MOST:
        raise ProtocolError("the model that was handed over gives no log odds")
    unseen = rows.roles != TEST
    recalibration = recalibrated(session, log_odds[unseen], rows.labels[unseen])
    return replace(model, state=encode(state), recalibration=recalibration), recalibration.log_odds(log_odds)
