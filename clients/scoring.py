"""A party's half of scoring applicants by a model that was trained before; see `fl/scoring.py` for the conversation.

A training protocol takes part by two functions of its module: `contribution(model, table, config)`, what a passive
party adds to the score of a table's rows, and `log_odds(model, table, coverage, contributions, config)`, what the bank
makes of all of them; either finds its part of the model as `model` in the store that it is given. The protocol's own
evaluation uses the same two, so that an applicant gets the score which the evaluation computed. A third is optional:
`answers`, with the arguments of `log_odds`, gives further columns of the bank's file, or another `score` than log odds.

An applicant whom no passive party knows gets the mean log odds of the federated and of the bank's own model, in the
training's evaluation as here. Not so where the protocol's module says `ANSWERS_ALL = True`, as one does whose score is
not log odds: two kinds of scores in one file would mislead.
"""

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from clients.aligned import known_to_none, read_applicants, read_coverage, read_schema, read_table
from clients.data.applicants import applications_of
from clients.data.declaration import schema_hash
from clients.session import Session
from clients.store import Store
from fl.errors import ProtocolError
from fl.nesting import of_party
from fl.scoring import (
    Answered,
    AnswerRequest,
    ContributeRequest,
    Contribution,
    Prepared,
    PrepareRequest,
)
from fl.tables import Table

ANSWERS = "scores.csv"
"""Of a scoring run's study at the bank: a row per applicant."""

_MODEL = "model"


def prepare(session: Session, request: PrepareRequest) -> Prepared:
    """Find the model, and make sure that it can score the data as they are declared now."""
    party, study = session.party, session.earlier(request.study)
    model = session.earlier(request.study, f"{request.contender}/{request.seed}")
    _module(request.protocol)
    if not model.has(_MODEL):
        raise ProtocolError(
            f"it does not keep the model {request.study}/{request.contender}/{request.seed} (any more); a party keeps "
            "as many studies as its setting keep-studies says"
        )
    if read_schema(study) != schema_hash(party.declaration):
        raise ProtocolError(
            "its declared columns have changed since the model was trained; undo that in its party.toml, or train again"
        )
    session.study.write(_MODEL, {name: np.array(value) for name, value in vars(request).items()})
    if party.declaration.label is None:
        return Prepared(())
    applications_of(session)
    return Prepared(tuple(read_coverage(study)))


def contribute(session: Session, request: ContributeRequest) -> Contribution:
    """What the own part of the model says of every position."""
    asked = _asked(session)
    model, table = _model_and_table(session, asked)
    return Contribution(_module(asked.protocol).contribution(model, table, session.config))


def answer(session: Session, request: AnswerRequest) -> Answered:
    """Score every applicant, by the federated model if all its parties are here, else by the bank's own; keep that.

    Of whom no passive party knows, see above.
    """
    from clients.reserve import FALLBACK, fallback_log_odds, with_fallback

    asked = _asked(session)
    model, table = _model_and_table(session, asked)
    study = session.earlier(asked.study)
    trained, aligned = tuple(read_coverage(study)), read_coverage(session.study)
    for party in request.parties:
        if party not in aligned:
            raise ProtocolError(f"party {party} took no part in the alignment")
    further: Mapping[str, NDArray[Any]] = {}
    unknown = np.zeros(len(table), bool)
    if set(trained) <= set(request.parties):
        name, protocol = asked.contender, _module(asked.protocol)
        contributions = {party: of_party(request.contributions, k) for k, party in enumerate(request.parties)}
        coverage = {party: aligned[party] for party in trained}
        given = model, table, coverage, contributions, session.config
        log_odds = protocol.log_odds(*given)
        if hasattr(protocol, "answers"):
            further = protocol.answers(*given)
        if trained and not getattr(protocol, "ANSWERS_ALL", False):
            unknown = known_to_none(coverage, len(table))
            log_odds = with_fallback(study, asked.seed, log_odds, unknown, table, session.config)
    else:
        name, coverage = FALLBACK, {}
        log_odds = fallback_log_odds(study, asked.seed, table, session.config)
    models = np.where(unknown, f"{name} + {FALLBACK}", name)
    answers = _answers(session, log_odds, coverage, models, further)
    session.study.write_file(ANSWERS, answers.to_csv(lineterminator="\n").encode())
    known = {party: float(own.sum()) for party, own in coverage.items()}
    return Answered(len(answers), name, int(unknown.sum()), known)


def _answers(
    session: Session,
    log_odds: NDArray[np.float64],
    coverage: Mapping[str, NDArray[np.bool_]],
    models: NDArray[np.str_],
    further: Mapping[str, NDArray[Any]],
) -> pd.DataFrame:
    """A row per applicant in the order of the file.

    The columns: score, the log odds of default unless the protocol has another; pd; parties, whose columns had a part
    in it; model, which one answered; then the protocol's own.
    """
    declared, ids = session.party.declaration, read_applicants(session.study)
    parties = np.full(len(ids), declared.name, dtype=object)
    for party, known in coverage.items():
        parties[known] += f"; {party}"
    rows = {"score": log_odds, "pd": expit(log_odds), "parties": parties, "model": models, **further}
    return pd.DataFrame(rows, index=pd.Index(ids, name=declared.id)).loc[applications_of(session).index]


def _asked(session: Session) -> PrepareRequest:
    """What `prepare` was asked. Raises ProtocolError before it."""
    if not session.study.has(_MODEL):
        raise ProtocolError("no model has been prepared for scoring")
    kept = session.study.read(_MODEL)
    texts = (str(kept[name]) for name in ("study", "contender"))
    return PrepareRequest(*texts, int(kept["seed"]), str(kept["protocol"]))


def _model_and_table(session: Session, asked: PrepareRequest) -> tuple[Store, Table]:
    """The trained model, and this study's table in terms of the table it was trained on."""
    table = read_table(session.study).in_levels_of(read_table(session.earlier(asked.study)))
    return session.earlier(asked.study, f"{asked.contender}/{asked.seed}"), table


def _module(protocol: str) -> ModuleType:
    """The party half of a training protocol that this party speaks. Raises ProtocolError for any other."""
    from clients.handshake import PROTOCOLS

    name = protocol.partition("/")[0]
    found = importlib.import_module(f"clients.{name}") if protocol in PROTOCOLS else None
    if found is None or not hasattr(found, "contribution"):
        raise ProtocolError(f"it cannot score by the protocol {protocol}")
    return found
