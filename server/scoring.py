"""The coordinator's half of scoring applicants by a model that was trained before; see `fl/scoring.py`.

It sees how many applicants there are and who answered, and neither ids nor scores: the bank keeps those.
"""

from collections.abc import Collection
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from fl.config.run import ScoringConfig
from fl.protocols import VERTICAL, conversation_of, essential
from fl.scoring import (
    Answered,
    AnswerRequest,
    ContributeRequest,
    PostponeRequest,
    PrepareRequest,
    QueueRequest,
)
from server.alignment import align
from server.coordinator import new_study_name
from server.costs import Costs
from server.delivery import Messenger
from server.exchange import Exchange, FederationError
from server.journal import Journal
from server.progress import Progress, Report
from server.roster import form_roster
from server.tracking.registry import ScoringRun

_STATE = "answers"  # under which the parties keep what belongs to this conversation alone


@dataclass(frozen=True)
class Scoring:
    """What came of it: the bank's answer, the model's parties that were absent, and what it took.

    run_id is that of the MLflow run; empty where nothing is logged.
    """

    answered: Answered
    absent: tuple[str, ...]
    costs: Costs
    run_id: str = ""

    @property
    def in_words(self) -> str:
        """How many were scored by which model, and who was absent."""
        absent = f"; absent: {', '.join(self.absent)}" if self.absent else ""
        return f"{self.answered.applicants:,} applicants scored by {self.answered.model}{absent}"


def score(grid: Messenger, config: ScoringConfig, report: Report) -> Scoring | None:
    """Score applicants by `config.model`, and log how many to MLflow; None where too few wait in the bank's queue.

    A failure is reported with its reason, and raised again. With a journal, the same configuration then goes on with
    the run, without the parties that it has been without before; applicants who are queued wait for another run.
    """
    config = config if config.study else replace(config, study=new_study_name("scoring"))
    scored: Scoring | None
    try:
        if config.queued:
            exchange = Exchange(grid, config.study, config.party_timeout)
            scored = _score_queue(exchange, config, report)
        else:
            with (
                closing(Journal(config.journal, config.study, config.keep_studies)) as journal,
                ScoringRun.start(config, journal.is_resumed) as run,
            ):
                exchange = Exchange(grid, config.study, config.party_timeout, journal)
                scored = _logged(run, converse(exchange, config, report))
                journal.remove()
    except Exception as error:
        report(Progress("failed", text=str(error)))
        raise
    report(Progress("done", text=scored.in_words if scored else ""))
    return scored


def _logged(run: ScoringRun, scoring: Scoring) -> Scoring:
    run.log(scoring.answered, scoring.absent, scoring.costs.to_mapping())
    return replace(scoring, run_id=run.run_id)


def _score_queue(exchange: Exchange, config: ScoringConfig, report: Report) -> Scoring | None:
    """Score the batch that waits at the bank, if it is large enough; the bank is told why if that fails.

    MLflow has the batches that were scored. A party may be away for many intervals, and each would be a failed run.
    """
    report(Progress("connect"))
    _connect(exchange, config)
    if not exchange.ask_holder(QueueRequest()).applicants:
        return None
    try:
        scoring = _converse(exchange, config, report)
    except FederationError as error:
        # The bank may be what has failed; its applicants wait in any case.
        with suppress(FederationError):
            exchange.ask_holder(PostponeRequest(str(error)), _STATE)
        raise
    with ScoringRun.start(config) as run:
        return _logged(run, scoring)


def converse(exchange: Exchange, config: ScoringConfig, report: Report) -> Scoring:
    """The whole conversation. Raises FederationError, ProtocolError or ConfigError."""
    report(Progress("connect"))
    _connect(exchange, config)
    return _converse(exchange, config, report)


def _converse(exchange: Exchange, config: ScoringConfig, report: Report) -> Scoring:
    study, contender, seed = config.model_parts

    def prepare(contenders: Collection[str]) -> PrepareRequest:
        versions = {name: conversation_of(name).announced for name in contenders}
        return PrepareRequest(study=study, seed=seed, models=versions)

    of_bank = exchange.ask_holder(prepare([contender]), _STATE)
    wanted, models = of_bank.parties, of_bank.models
    absent: set[str] = set()

    def left(there: Collection[str]) -> tuple[str, ...]:
        """Who is still needed: all passive parties of the model, or none once one of them is missing."""
        # A party that joined after the training has no part in the model, and without one of its own nobody has.
        absent.update(party for party in wanted if party not in there)
        if absent and config.queued:
            # The bank's own model has answered these applicants already.
            raise FederationError(f"Party {', '.join(sorted(absent))} was away.")
        return () if absent else wanted

    asked = left(exchange.roster.passive)
    # A blend answers without a member whose conversation one of these parties speaks in another version.
    spoken = [
        set(exchange.roster.descriptions[party].conversations) for party in (exchange.roster.holder, *asked)
    ]
    models = tuple(name for name in models if all(conversation_of(name).announced in each for each in spoken))
    questions = dict.fromkeys(asked, prepare(models)) if models else {}
    # Without one of these parties the bank answers alone.
    prepared = exchange.ask(questions, _STATE, dispensable=asked)
    models = tuple(name for name in models if all(name in about.models for about in prepared.values()))
    if config.queued and not models:
        raise FederationError(f"The parties do not keep {config.model} any more.")
    exchange.roster = replace(exchange.roster, passive=left(prepared) if asked and models else ())
    report(Progress("align"))
    aligned = align(exchange, "left", scoring=True)
    report(Progress("score"))
    asked = left(aligned.known) if exchange.roster.passive else ()
    question = ContributeRequest(models)
    contributed = exchange.ask(dict.fromkeys(asked, question), _STATE, dispensable=asked)
    parties = left(contributed) if asked else ()
    answer = AnswerRequest({party: contributed[party].contributions for party in parties})
    return Scoring(exchange.ask_holder(answer, _STATE), tuple(sorted(absent)), exchange.costs)


def _connect(exchange: Exchange, config: ScoringConfig) -> None:
    """Wait for the parties that are there in time; only the label holder must be."""
    described = exchange.connect(config.require_parties(), config.connect_timeout, least=1)
    if not any(about.target for about in described.values()):
        raise FederationError(
            f"The party that holds the label is not there, and only it can answer; there are {', '.join(described)}."
        )
    needed = [c for c in essential() if c.name in ("handshake", "alignment", "scoring")]
    model = conversation_of(config.model_parts[1])
    # Of a model of several banks each has all that it needs, and the one that asks is the only bank here.
    exchange.roster = form_roster(described, [*needed, *([model] if VERTICAL in model.layouts else [])])
