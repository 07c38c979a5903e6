"""The coordinator's half of scoring applicants by a model that was trained before; see `fl/scoring.py`.

It sees how many applicants there are and who answered, and neither ids nor scores: the bank keeps those.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from flwr.serverapp import Grid

from fl.config.run import ScoringConfig
from fl.protocols import conversation_of, essential
from fl.scoring import Answered, AnswerRequest, ContributeRequest, PrepareRequest
from server.alignment import align
from server.coordinator import new_study_name
from server.exchange import Costs, Exchange, FederationError
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


def score(grid: Grid, config: ScoringConfig, report: Report) -> Scoring:
    """Score the applicants of `config.applicants` by `config.model`, and log how many to MLflow.

    A failure is reported with its reason, and raised again.
    """
    config = config if config.study else replace(config, study=new_study_name("scoring"))
    try:
        with ScoringRun.start(config) as run:
            found = converse(Exchange(grid, config.study, config.timeout), config, report)
            run.log(found.answered, found.absent, found.costs.to_mapping())
    except Exception as error:
        report(Progress("failed", text=str(error)))
        raise
    report(Progress("done"))
    return replace(found, run_id=run.run_id)


def converse(exchange: Exchange, config: ScoringConfig, report: Report) -> Scoring:
    """The whole conversation. Raises FederationError, ProtocolError or ConfigError."""
    study, contender, seed = config.model_parts
    report(Progress("connect"))
    _connect(exchange, config)

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
    described = exchange.connect(len(config.require_parties()), config.connect_timeout, least=1)
    if not any(about.target for about in described.values()):
        raise FederationError(
            f"The party that holds the label is not there, and only it can answer; there are {', '.join(described)}."
        )
    needed = [c for c in essential() if c.name in ("handshake", "alignment", "scoring")]
    exchange.roster = form_roster(described, [*needed, conversation_of(config.model_parts[1])])
