"""The coordinator's half of scoring applicants by a model that was trained before; see `fl/scoring.py`.

It sees how many applicants there are and who answered, and neither ids nor scores: the bank keeps those.
"""

from collections.abc import Collection, Mapping
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
from server.tracking.registry import ScoringRun

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
    absent: set[str] = set()

    def left(there: Collection[str]) -> tuple[str, ...]:
        """Who is still needed: all passive parties of the model, or none once one of them is missing."""
        # A party that joined after the training has no part in the model, and without one of its own nobody has.
        absent.update(party for party in wanted if party not in there)
        return () if absent else wanted

    asked = left(roster.passive)
    prepared = _ask(exchange, "train.scoring_prepare", dict.fromkeys(asked, request), Prepared)
    roster = Roster(roster.active, left(prepared) if asked else (), roster.descriptions)
    report(Progress("align"))
    aligned = align(exchange, roster, "left", scoring=True)
    report(Progress("score"))
    asked = left(aligned.known) if roster.passive else ()
    found = _ask(
        exchange, "evaluate.scoring_contribute", dict.fromkeys(asked, ContributeRequest()), Contribution
    )
    parties = left(found) if asked else ()
    arrays = {party: found[party].arrays for party in parties}
    answer = AnswerRequest(parties, nested(arrays, parties))
    answered = exchange.ask("evaluate.scoring_answer", {roster.active: answer}, Answered, _STATE)
    return Scoring(answered[roster.active], tuple(sorted(absent)), exchange.costs)


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
    """Asks passive parties; who does not answer is missing."""
    return exchange.ask(action, requests, reply, _STATE, tuple(requests)) if requests else {}
