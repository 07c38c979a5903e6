"""The order of the conversation that trains and evaluates a scorecard; see `fl/scorecard`."""

from collections.abc import Mapping
from dataclasses import replace

from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.evaluation import Evaluation
from fl.handshake import Description, Roster
from fl.messages import Request
from fl.scorecard import (
    BeginRequest,
    CountRequest,
    Ended,
    FinishRequest,
    FitRequest,
    GradientRequest,
    Grouped,
    GroupRequest,
    Masked,
    OpenRequest,
    PointsRequest,
    ScoreRequest,
    SolveRequest,
    StartRequest,
    StepRequest,
)
from fl.scorecard.card import named
from server.exchange import Exchange
from server.training import Training


def round_trips(config: TrainingConfig, passive: int) -> int:
    """The most round trips that `train` takes with so many passive parties; see `fl/scorecard`."""
    return 7 + 4 * config.section(ScorecardConfig).exchanges if passive else 3


def train(exchange: Exchange, roster: Roster, training: Training) -> Evaluation:
    """Train one scorecard from start to evaluation; the parties keep their parts under `training.model`."""
    model, grouped = training.model, _group(exchange, roster, training)
    fitting: tuple[str, ...] = ()
    if isinstance(grouped, Grouped):
        # A party without a column worth its place has nothing to fit.
        fitting = tuple(grouped.groups)
        _fit(exchange, roster.holder, training, grouped)
    finished = exchange.ask(dict.fromkeys(fitting, FinishRequest()), model)
    told = exchange.ask(dict.fromkeys(fitting, PointsRequest()), model)
    score = ScoreRequest(
        cards={party: reply.card for party, reply in finished.items()},
        points={party: reply.points for party, reply in told.items()},
    )
    evaluation = exchange.ask_one(roster.holder, score, model).evaluation
    names = {party: _numeric_first(roster.descriptions[party]) for party in roster.all}
    return replace(evaluation, tables=named(evaluation.tables, names))


def _group(exchange: Exchange, roster: Roster, training: Training) -> Grouped | Ended:
    """Bins at every party, and the groups that the bank makes of them."""
    model, seed, split = training.model, training.seed, training.assigned.split
    started = exchange.ask(dict.fromkeys(roster.passive, StartRequest(seed=seed, split=split)), model)
    columns = {party: reply.columns for party, reply in started.items()}
    begun = exchange.ask_one(roster.holder, BeginRequest(seed=seed, split=split, columns=columns), model)
    counted = exchange.ask(dict.fromkeys(roster.passive, CountRequest(begun.labels)), model)
    sums = {party: reply.sums for party, reply in counted.items()}
    return exchange.ask_one(roster.holder, GroupRequest(sums), model)


def _fit(exchange: Exchange, bank: str, training: Training, grouped: Grouped) -> None:
    """All exchanges until the bank ends the training: the residual to the parties, their steps to the bank."""
    model, most = training.model, training.config.section(ScorecardConfig).exchanges
    requests: Mapping[str, Request[Masked]] = {
        party: FitRequest(groups=groups, residual=grouped.residual)
        for party, groups in grouped.groups.items()
    }
    number = 0
    while requests:
        number += 1
        masked = exchange.ask(requests, model)
        sums = {party: reply.sums for party, reply in masked.items()}
        opened = exchange.ask_one(bank, OpenRequest(sums), model).sums
        stepped = exchange.ask({party: StepRequest(opened[party]) for party in masked}, model)
        training.report(number, most, ", ".join(stepped))
        steps = {party: reply.step for party, reply in stepped.items()}
        solved = exchange.ask_one(bank, SolveRequest(steps), model)
        training.report(solved.progress.exchanges, most, bank, solved.progress.metrics)
        requests = (
            {} if isinstance(solved, Ended) else dict.fromkeys(masked, GradientRequest(solved.residual))
        )


def _numeric_first(about: Description) -> list[str]:
    """A party's columns as its handshake told them, in the order of the protocol's numbers: numeric ones first."""
    kinds = dict(zip(about.columns, about.kinds, strict=True))
    return sorted(about.columns, key=lambda name: kinds[name] != "numeric")
