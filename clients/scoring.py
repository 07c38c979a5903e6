"""A party's half of scoring applicants by a trained model; see `fl/scoring.py` for the conversation.

The conversation that trained a model takes part by what `Scorer` names. Its own evaluation uses the same functions, so
that an applicant gets the score which the evaluation computed. A blend is scored by its members, and any other model
like a blend of one.

An applicant whom no passive party knows gets the mean log odds of the federated and of the reserve model, in the
training's evaluation as here. Not so where the conversation says `ANSWERS_ALL`, as one does whose score is not log
odds: two kinds of scores in one file would mislead.
"""

from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
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
from clients.serving.answers import answers_in_json
from clients.serving.queue import Queue
from clients.session import SCORING, Session, state_folder
from clients.store import Store
from fl import protocols
from fl.blend import Blend
from fl.config.run import RunConfig, ScoringConfig
from fl.errors import ProtocolError
from fl.escaping import csv_text
from fl.explanation import Explanation, printable, weighted_mean
from fl.messages import Letter
from fl.records import decode, encode
from fl.reserve import RESERVE
from fl.scoring import (
    Answered,
    AnswerRequest,
    Contributed,
    ContributeRequest,
    Contributions,
    Postponed,
    PostponeRequest,
    Prepared,
    PrepareRequest,
    Queued,
    QueueRequest,
)
from fl.studies import whole_study
from fl.tables import Table

ANSWERS = "scores.csv"
"""Of a scoring run's study at the bank, for its own people: a row per applicant."""

Booleans = NDArray[np.bool_]
Columns = Mapping[str, NDArray[Any]]


class Trained(Protocol):
    """What the party half of a conversation that trains says of its models, each found in its store."""

    ANSWERS_ALL: bool
    """Whether its models answer for businesses that no passive party knows, without the reserve model."""

    def is_trained(self, model: Store) -> bool:
        """Whether the store holds this party's part of a trained model."""
        ...


class Scorer(Trained, Protocol):
    """What it also offers to score by them, unless they are blends, of which the members score."""

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
    """Find the models, and make sure that they can score the data as they are declared now."""
    party, study = session.party, session.earlier(request.study)
    if session.holds_label and len(request.models) != 1:
        raise ProtocolError(f"the bank scores by one model at a time, not by {len(request.models)}")
    kept = {
        name: version
        for name, version in request.models.items()
        if _scorer(version).is_trained(_model(session, request, name))
    }
    if not kept:
        names = " or ".join(f"{request.study}/{name}/{request.seed}" for name in request.models)
        raise ProtocolError(
            f"it does not keep the model {names} (any more); a party keeps as many studies as its setting "
            "keep-studies says"
        )
    if study.read(Schema).digest != schema_hash(party.declaration):
        raise ProtocolError(
            "its declared columns have changed since the model was trained; undo that in its party.toml, or train again"
        )
    session.keep(replace(request, models=kept))
    if not session.holds_label:
        return Prepared(models=tuple(kept), parties=())
    keep_applicants(session, _name(request))
    return Prepared(models=_kept_members(session, request), parties=_partners(session, request))


def contribute(session: Session, request: ContributeRequest) -> Contributed:
    """What this party's parts of the models say of every position."""
    asked = session.state(PrepareRequest)
    if others := [name for name in request.models if name not in asked.models]:
        raise ProtocolError(f"it has not prepared the model {others[0][:100]!r}")
    table, parts = _table(session, asked), {}
    for name in request.models:
        scorer = _scorer(asked.models[name])
        parts[name] = encode(scorer.contribution(_model(session, asked, name), table, session.config))
    return Contributed(Letter.of(Contributions(parts)))


def answer(session: Session, request: AnswerRequest) -> Answered:
    """Score every applicant, by the federated model if all its parties are here, else by the reserve model; keep that.

    A blend does without the members of which a party has no part. On applicants whom no passive party knows, the
    reserve model has a say, too; see above.
    """
    asked = session.state(PrepareRequest)
    table, study = _table(session, asked), session.earlier(asked.study)
    aligned, trained = read_coverage(session.study), _partners(session, asked)
    for party in request.contributions:
        if party not in aligned:
            raise ProtocolError(f"party {party} took no part in the alignment")
    told = {party: letter.read(Contributions).parts for party, letter in request.contributions.items()}
    members = _kept_members(session, asked)
    able = [name for name in members if all(name in told.get(party, {}) for party in trained)]
    further: Columns = {}
    unknown = np.zeros(len(table), bool)
    if able:
        ((contender, version),) = asked.models.items()
        coverage = {party: aligned[party] for party in trained}
        absent = [name for name in _blend(session, asked).weights if name not in able]
        answering = f"{contender} without {', '.join(absent)}" if absent else contender
        log_odds, explanation, further = _by_members(session, asked, absent, table, coverage, told)
        if trained and not _scorer(version).ANSWERS_ALL:
            unknown = known_to_none(coverage, len(table))
            of_study = (coverage, table, session.config)
            log_odds = with_reserve(study, asked.seed, log_odds, *of_study)
            explanation = explain_with_reserve(study, asked.seed, explanation, *of_study)
    else:
        answering, coverage = RESERVE, {}
        log_odds = reserve_log_odds(study, asked.seed, table, session.config)
        explanation = explain_reserve(study, asked.seed, table, session.config)
    models = np.where(unknown, f"{answering} + {RESERVE}", answering)
    reasons = reason_columns(session, explanation, table, read_table(study), coverage)
    answers = _answers(session, log_odds, coverage, models, {**further, **reasons})
    session.study.keep(answers)
    session.study.write_file(ANSWERS, csv_text(answers.frame()).encode())
    if session.scoring.queued:
        _answer_queue(session, asked, answers)
    return Answered(
        applicants=len(log_odds),
        model=answering,
        by_both=int(unknown.sum()),
        known={party: int(rows.sum()) for party, rows in coverage.items()},
    )


def _answer_queue(session: Session, asked: PrepareRequest, answers: Answers) -> None:
    """Tell those who wait what the federated model says; the reserve model has answered them before."""
    ids, models = (answers.columns[name].tolist() for name in (session.declaration.id, "model"))
    by_id = {
        id_: answer
        for id_, model, answer in zip(ids, models, answers_in_json(answers.columns), strict=True)
        if model != RESERVE
    }
    with closing(Queue(session.queue)) as queued:
        queued.answer(_name(asked), session.envelope.study, by_id)


def queue(session: Session, request: QueueRequest) -> Queued:
    """Count those who wait for the run's model; too few for the policy are none."""
    with closing(Queue(session.queue)) as queued:
        waiting = queued.batch_size(session.scoring.model)
    return Queued(waiting if waiting >= (session.policy.least_applicants or 1) else 0)


def postpone(session: Session, request: PostponeRequest) -> Postponed:
    """Note in the queue why the batch was not scored."""
    with closing(Queue(session.queue)) as queued:
        queued.postpone(session.envelope.study, printable(request.reason))
    return Postponed()


def read_answers(config: ScoringConfig, folder: Path) -> Answers:
    """What the label holder with this data folder has answered in a run. FileNotFoundError if it has not."""
    return Store(state_folder(config, folder) / SCORING / config.study).read(Answers)


def _by_members(
    session: Session,
    asked: PrepareRequest,
    absent: Collection[str],
    table: Table,
    coverage: Mapping[str, Booleans],
    told: Mapping[str, Mapping[str, bytes]],
) -> tuple[NDArray[np.float64], Explanation, Columns]:
    """The log odds (n,) of a blend without the absent members, how they come about, and a single model's own columns.

    told has by party the encoded contribution to each member.
    """
    blend, further = _blend(session, asked).without(absent), dict[str, NDArray[Any]]()
    log_odds, explanations = dict[str, NDArray[np.float64]](), list[Explanation]()
    for name in blend.weights:
        scorer = _scorer(_version(asked, name))
        kind = get_type_hints(scorer.contribution)["return"]
        contributions = {party: decode(kind, told[party][name]) for party in coverage}
        of_rows = (_model(session, asked, name), table, coverage, contributions, session.config)
        log_odds[name] = scorer.log_odds(*of_rows)
        explanations.append(scorer.explain(*of_rows))
        if name in asked.models:
            further |= scorer.answers(*of_rows)
    return blend.log_odds(log_odds), weighted_mean(explanations, list(blend.weights.values())), further


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


def _table(session: Session, asked: PrepareRequest) -> Table:
    """This study's table in terms of the table that the models were trained on."""
    return read_table(session.study).in_levels_of(read_table(session.earlier(asked.study)))


def _partners(session: Session, asked: PrepareRequest) -> tuple[str, ...]:
    """At the bank: the passive parties that have a part of the model, none of one that banks alone have trained."""
    (contender,) = asked.models
    return () if _is_of_banks_alone(contender) else tuple(read_coverage(session.earlier(asked.study)))


def _model(session: Session, asked: PrepareRequest, contender: str) -> Store:
    """Where this party keeps its part: of what banks alone have trained, in the study of all of them."""
    study = whole_study(asked.study) if _is_of_banks_alone(contender) else asked.study
    return session.earlier(study, f"{contender}/{asked.seed}")


def _is_of_banks_alone(contender: str) -> bool:
    conversation = protocols.federated_contenders().get(contender)
    return conversation is not None and protocols.HORIZONTAL in conversation.layouts


def _name(asked: PrepareRequest) -> str:
    """At the bank: the model that is to score, as STUDY/CONTENDER/SEED."""
    (contender,) = asked.models
    return f"{asked.study}/{contender}/{asked.seed}"


def _blend(session: Session, asked: PrepareRequest) -> Blend:
    """At the bank: the blend that is to score, which any other model is by itself."""
    (contender,) = asked.models
    model = _model(session, asked, contender)
    return model.read(Blend) if model.has(Blend) else Blend({contender: 1.0})


def _kept_members(session: Session, asked: PrepareRequest) -> tuple[str, ...]:
    """At the bank: the members of that blend of which it has its part."""
    return tuple(
        name
        for name in _blend(session, asked).weights
        if _scorer(_version(asked, name)).is_trained(_model(session, asked, name))
    )


def _version(asked: PrepareRequest, contender: str) -> str:
    """Of the conversation that trained a model, as it was asked for; a blend's members speak today's."""
    return asked.models.get(contender) or protocols.conversation_of(contender).announced


def _scorer(version: str) -> Scorer:
    """How a conversation's models score. Raises ProtocolError for a conversation that trains none."""
    conversation = protocols.announced(version)
    if not conversation.contenders:
        raise ProtocolError(f"it cannot score by the conversation {version}")
    return cast(Scorer, conversation.half("clients"))
