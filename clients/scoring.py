"""A party's half of scoring applicants by a trained model; see `fl/scoring.py` for the conversation.

The conversation that trained the model takes part by what `Scorer` names. Its own evaluation uses the same functions,
so that an applicant gets the score which the evaluation computed.

An applicant whom no passive party knows gets the mean log odds of the federated and of the reserve model, in the
training's evaluation as here. Not so where the conversation says `ANSWERS_ALL`, as one does whose score is not log
odds: two kinds of scores in one file would mislead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, get_type_hints

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from clients.aligned import Schema, known_to_none, read_coverage, read_table
from clients.applicants import Applicants, ScoredIds, keep_applicants
from clients.data.declaration import schema_hash
from clients.reasons import reason_columns
from clients.reserve import explain_reserve, explain_with_reserve, reserve_log_odds, with_reserve
from clients.session import SCORING, Session, state_folder
from clients.store import Store
from fl import protocols
from fl.config.run import RunConfig, ScoringConfig
from fl.errors import ProtocolError
from fl.escaping import csv_text
from fl.explanation import Explanation
from fl.messages import Letter
from fl.reserve import RESERVE
from fl.scoring import Answered, AnswerRequest, Contributed, ContributeRequest, Prepared, PrepareRequest
from fl.tables import Table

ANSWERS = "scores.csv"
"""Of a scoring run's study at the bank, for its own people: a row per applicant."""

Booleans = NDArray[np.bool_]
Columns = Mapping[str, NDArray[Any]]


class Scorer(Protocol):
    """What the party half of a conversation that trains offers to score by its models, each found in its store."""

    ANSWERS_ALL: bool
    """Whether its models answer for businesses that no passive party knows, without the reserve model."""

    def is_trained(self, model: Store) -> bool:
        """Whether the store holds this party's part of a trained model."""
        ...

    def contribution(self, model: Store, table: Table, config: RunConfig) -> Any:
        """What a passive party adds to the score of the rows of a table, as a record."""
        ...

    def log_odds(
        self,
        model: Store,
        table: Table,
        coverage: Mapping[str, Booleans],
        contributions: Mapping[str, Any],
        config: RunConfig,
    ) -> NDArray[np.float64]:
        """At the bank: the log odds of default (n,) of a table's rows; coverage says which rows each party knows."""
        ...

    def explain(
        self,
        model: Store,
        table: Table,
        coverage: Mapping[str, Booleans],
        contributions: Mapping[str, Any],
        config: RunConfig,
    ) -> Explanation:
        """At the bank: how `log_odds` come about; base and contributions add up to them within 1e-9."""
        ...

    def answers(
        self,
        model: Store,
        table: Table,
        coverage: Mapping[str, Booleans],
        contributions: Mapping[str, Any],
        config: RunConfig,
    ) -> Columns:
        """At the bank: further columns of its answers, or another `score` than log odds."""
        ...


@dataclass(frozen=True)
class Answers:
    """The bank's answers, a row per applicant in the order of the file; columns by name, each (n,).

    The id; score, the log odds of default unless the conversation has another; pd; parties, whose columns had a part in
    it; model, which one answered; review, whether a person should look at it, as the bank's own model had a say; then
    the reasons and what each column adds (`clients/reasons.py`).
    """

    columns: Mapping[str, NDArray[Any]]

    def frame(self) -> pd.DataFrame:
        """The same as a frame."""
        return pd.DataFrame(dict(self.columns))


def prepare(session: Session, request: PrepareRequest) -> Prepared:
    """Find the model, and make sure that it can score the data as they are declared now."""
    party, study = session.party, session.earlier(request.study)
    model = session.earlier(request.study, f"{request.contender}/{request.seed}")
    if not _scorer(request.conversation).is_trained(model):
        raise ProtocolError(
            f"it does not keep the model {request.study}/{request.contender}/{request.seed} (any more); a party keeps "
            "as many studies as its setting keep-studies says"
        )
    if study.read(Schema).digest != schema_hash(party.declaration):
        raise ProtocolError(
            "its declared columns have changed since the model was trained; undo that in its party.toml, or train again"
        )
    session.keep(request)
    if not session.holds_label:
        return Prepared(())
    keep_applicants(session)
    return Prepared(tuple(read_coverage(study)))


def contribute(session: Session, request: ContributeRequest) -> Contributed:
    """What this party's part of the model says of every position."""
    asked = session.state(PrepareRequest)
    model, table = _model_and_table(session, asked)
    return Contributed(Letter.of(_scorer(asked.conversation).contribution(model, table, session.config)))


def answer(session: Session, request: AnswerRequest) -> Answered:
    """Score every applicant, by the federated model if all its parties are here, else by the reserve model; keep that.

    On applicants whom no passive party knows, both have a say; see above.
    """
    asked = session.state(PrepareRequest)
    model, table = _model_and_table(session, asked)
    study, aligned = session.earlier(asked.study), read_coverage(session.study)
    trained = tuple(read_coverage(study))
    for party in request.contributions:
        if party not in aligned:
            raise ProtocolError(f"party {party} took no part in the alignment")
    further: Columns = {}
    unknown = np.zeros(len(table), bool)
    if set(trained) <= set(request.contributions):
        name, scorer = asked.contender, _scorer(asked.conversation)
        coverage = {party: aligned[party] for party in trained}
        kind = get_type_hints(scorer.contribution)["return"]
        contributions = {party: request.contributions[party].read(kind) for party in trained}
        told = (model, table, coverage, contributions, session.config)
        log_odds, explanation, further = scorer.log_odds(*told), scorer.explain(*told), scorer.answers(*told)
        if trained and not scorer.ANSWERS_ALL:
            unknown = known_to_none(coverage, len(table))
            of_study = (coverage, table, session.config)
            log_odds = with_reserve(study, asked.seed, log_odds, *of_study)
            explanation = explain_with_reserve(study, asked.seed, explanation, *of_study)
    else:
        name, coverage = RESERVE, {}
        log_odds = reserve_log_odds(study, asked.seed, table, session.config)
        explanation = explain_reserve(study, asked.seed, table, session.config)
    models = np.where(unknown, f"{name} + {RESERVE}", name)
    reasons = reason_columns(session, explanation, table, read_table(study), coverage)
    answers = _answers(session, log_odds, coverage, models, {**further, **reasons})
    session.study.keep(answers)
    session.study.write_file(ANSWERS, csv_text(answers.frame()).encode())
    return Answered(
        applicants=len(log_odds),
        model=name,
        by_both=int(unknown.sum()),
        known={party: int(rows.sum()) for party, rows in coverage.items()},
    )


def read_answers(config: ScoringConfig, folder: Path) -> Answers:
    """What the label holder with this data folder has answered in a run. FileNotFoundError if it has not."""
    return Store(state_folder(config, folder) / SCORING / config.study).read(Answers)


def _answers(
    session: Session,
    log_odds: NDArray[np.float64],
    coverage: Mapping[str, Booleans],
    models: NDArray[np.str_],
    further: Columns,
) -> Answers:
    """The answers, from those of the positions."""
    declared, ids = session.declaration, session.study.read(ScoredIds).ids
    parties = np.full(len(ids), declared.name, dtype=object)
    for party, known in coverage.items():
        parties[known] += f"; {party}"
    columns = {
        declared.id: ids,
        "score": log_odds,
        "pd": expit(log_odds),
        "parties": parties.astype(np.str_),
        "model": models,
        "review": np.char.find(models, RESERVE) >= 0,
        **further,
    }
    in_file = pd.Index(ids).get_indexer(session.study.read(Applicants).ids)
    return Answers({name: values[in_file] for name, values in columns.items()})


def _model_and_table(session: Session, asked: PrepareRequest) -> tuple[Store, Table]:
    """The trained model, and this study's table in terms of the table it was trained on."""
    table = read_table(session.study).in_levels_of(read_table(session.earlier(asked.study)))
    return session.earlier(asked.study, f"{asked.contender}/{asked.seed}"), table


def _scorer(version: str) -> Scorer:
    """How a conversation's models score. Raises ProtocolError for a conversation that trains none."""
    conversation = protocols.announced(version)
    if not conversation.contenders:
        raise ProtocolError(f"it cannot score by the conversation {version}")
    return cast(Scorer, conversation.half("clients"))
