"""The order of the conversation that trains and evaluates boosted trees; see `fl/boosting`."""

from collections.abc import Mapping

import numpy as np

from fl.boosting import (
    BeginRequest,
    Demanded,
    Ended,
    FinishRequest,
    Grown,
    GrowRequest,
    OutcomesRequest,
    ScoreRequest,
    SidesRequest,
    SplitRequest,
    StartRequest,
    SumRequest,
)
from fl.boosting.padding import masked
from fl.config.boosting import BoostingConfig
from fl.evaluation import Evaluation
from fl.records import Array
from server.exchange import Exchange
from server.training import Training


def train(exchange: Exchange, training: Training) -> Evaluation:
    """Train one forest from start to evaluation; the parties keep their parts under `training.model`."""
    reply: Demanded | Ended = begin(exchange, training)
    padded: dict[str, Array] = {}
    while isinstance(reply, Demanded):
        reply = advance(exchange, training, reply, padded)
    return finish(exchange, training, reply)


def begin(exchange: Exchange, training: Training) -> Demanded | Ended:
    """Bins at every party, and the bank's first demand."""
    model, seed, split = training.model, training.seed, training.assigned.split
    started = exchange.ask_each(StartRequest(seed=seed, split=split), model)
    columns = {party: reply.columns for party, reply in started.items()}
    return exchange.ask_holder(BeginRequest(seed=seed, split=split, columns=columns), model)


def advance(
    exchange: Exchange, training: Training, demand: Demanded, padded: dict[str, Array]
) -> Demanded | Ended:
    """Pass on what the bank demands, and what the passive parties answer; its next demand, or the end.

    padded, by party, are the sides that passive parties have handed over so far; those that are missing, as when the
    coordinator has been started anew, are asked for again. All else that is needed stands in the bank's last reply.
    """
    model, trees = training.model, training.config.section(BoostingConfig).trees
    missing = {choice.party: SidesRequest() for choice in demand.chosen if choice.party not in padded}
    padded |= {party: answer.sides for party, answer in exchange.ask(missing, model).items()}
    grown = exchange.ask({party: _grow_request(demand, party, padded) for party in demand.levels}, model)
    padded |= {party: answer.sides for party, answer in grown.items() if answer.sides is not None}
    grown |= exchange.ask(_sum_requests(demand, grown), model)
    if grown:
        training.report(demand.trees, trees, ", ".join(grown))
    split = SplitRequest(
        members={party: answer.members for party, answer in grown.items()},
        sums={party: answer.sums for party, answer in grown.items() if answer.sums is not None},
    )
    reply = exchange.ask_holder(split, model)
    training.report(reply.trees, trees, exchange.roster.holder, reply.fit.metrics if reply.fit else {})
    return reply


def finish(exchange: Exchange, training: Training, ended: Ended) -> Evaluation:
    """Let every party keep its part of the forest, and evaluate it."""
    model = training.model
    exchange.ask({party: FinishRequest(kept) for party, kept in ended.kept.items()}, model)
    told = exchange.ask_each(OutcomesRequest(), model)
    score = ScoreRequest({party: reply.outcomes for party, reply in told.items()})
    return exchange.ask_holder(score, model).evaluation


def _grow_request(demand: Demanded, party: str, padded: Mapping[str, Array]) -> GrowRequest:
    """What the bank demands of a party, with the padded sides of the other passive parties' splits."""
    sides = [
        masked(padded[choice.party], choice.rows, choice.seed)
        for choice in demand.chosen
        if choice.party != party
    ]
    return GrowRequest(
        task=demand.task,
        level=demand.levels[party],
        gradients=None if party in demand.waits else demand.gradients,
        sides=np.concatenate(sides) if sides else None,
    )


def _sum_requests(demand: Demanded, grown: Mapping[str, Grown]) -> dict[str, SumRequest]:
    """For the parties that wait: where the other passive parties send rows."""
    return {
        party: SumRequest(
            demand.gradients, {other: grown[other].members for other in grown if other != party}
        )
        for party in demand.waits
        if demand.gradients is not None
    }
