"""The coordinator's half of scoring applicants by a model that was trained before; see `fl/scoring.py`.

It sees how many applicants there are and who answered, and neither ids nor scores: the bank keeps those.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from flwr.serverapp import Grid

from fl import alignment, handshake, scoring
from fl.config import RunConfig
from fl.handshake import Roster, form_roster
from fl.nesting import nested
from fl.scoring import (
    Answered,
    AnswerRequest,
    ContributeRequest,
    Contribution,
    Prepared,
    PrepareRequest,
)
from server.alignment import align
from server.coordinator import new_study_name, protocol_of
from server.exchange import Costs, Exchange, FederationError, Reply
from server.progress import Progress, Report
from server.registry import ScoringRun

_STATE = "answers"  # under which the parties keep what belongs to this conversation alone


@dataclass(frozen=True)
class Scoring:
    """What came of it: the bank's answer, the model's parties that were absent, and what it took."""

    answered: Answered
    absent: tuple[str, ...]
    costs: Costs


def score(grid: Grid, config: RunConfig, report: Report) -> Scoring:
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
    return found


def converse(exchange: Exchange, config: RunConfig, report: Report) -> Scoring:
    """The whole conversation. Raises FederationError, ProtocolError or ConfigError."""
    study, contender, seed = config.model_parts
    protocol = protocol_of(contender).PROTOCOL
    report(Progress("connect"))
    roster = _connect(exchange, config, protocol)
    request = PrepareRequest(study, contender, seed, protocol)
    trained = exchange.ask("train.scoring_prepare", {roster.active: request}, Prepared, _STATE)
    wanted = trained[roster.active].parties
    absent = tuple(party for party in wanted if party not in roster.passive)
    # A party that joined after the training has no part in the model, and without one of its own nobody has.
    roster = Roster(roster.active, () if absent else wanted, roster.descriptions)
    _ask(exchange, "train.scoring_prepare", dict.fromkeys(roster.passive, request), Prepared)
    report(Progress("align"))
    align(exchange, roster, "left", strangers=True)
    report(Progress("score"))
    asked = dict.fromkeys(roster.passive, ContributeRequest())
    found = _ask(exchange, "evaluate.scoring_contribute", asked, Contribution)
    arrays = {party: reply.arrays for party, reply in found.items()}
    answer = AnswerRequest(roster.passive, nested(arrays, roster.passive))
    answered = exchange.ask("evaluate.scoring_answer", {roster.active: answer}, Answered, _STATE)
    return Scoring(answered[roster.active], absent, exchange.costs)


def _connect(exchange: Exchange, config: RunConfig, protocol: str) -> Roster:
    """The parties that are there in time; only the bank must be."""
    found = exchange.connect(len(config.party_names), config.connect_timeout, least=1)
    if not any(about.holds_label for about in found.values()):
        raise FederationError(
            f"The party that holds the label is not there, and only it can answer; there are {', '.join(found)}."
        )
    return form_roster(found, (alignment.VERSION, handshake.VERSION, scoring.VERSION, protocol))


def _ask(
    exchange: Exchange, action: str, requests: Mapping[str, object], reply: type[Reply]
) -> dict[str, Reply]:
    return exchange.ask(action, requests, reply, _STATE) if requests else {}
