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
    SplitRequest,
    StartRequest,
    SumRequest,
)
from fl.boosting.padding import combined
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.evaluation import Evaluation
from fl.handshake import Roster
from fl.records import Array
from server.exchange import Exchange
from server.training import Training


def round_trips(config: TrainingConfig, passive: int) -> int:
    """The most round trips that `train` takes; see `fl/boosting`."""
    boosting = config.section(BoostingConfig)
    if not passive:
        return 3 + boosting.trees
    per_level, per_tree = {"tree": (3, 0), "level": (3, 1), "none": (4, 0)}[boosting.ahead]
    if passive == 1 or boosting.sealed_sides:
        per_level, per_tree = {"tree": (2, 0), "level": (2, 2), "none": (4, 0)}[boosting.ahead]
    return 7 + boosting.trees * (per_level * boosting.depth + per_tree)


def train(exchange: Exchange, roster: Roster, training: Training) -> Evaluation:
    """Train one forest from start to evaluation; the parties keep their parts under `training.model`."""
    model, split = training.model, training.assigned.split
    hand_over = training.config.section(BoostingConfig).sealed_sides and len(roster.passive) > 1
    start = StartRequest(seed=training.seed, split=split, hand_over=hand_over)
    started = exchange.ask(dict.fromkeys(roster.passive, start), model)
    begin = BeginRequest(
        seed=training.seed,
        split=split,
        columns={party: reply.columns for party, reply in started.items()},
    )
    ended = _grow(exchange, roster, training, exchange.ask_one(roster.holder, begin, model))
    exchange.ask({party: FinishRequest(kept) for party, kept in ended.kept.items()}, model)
    told = exchange.ask(dict.fromkeys(roster.passive, OutcomesRequest()), model)
    score = ScoreRequest({party: reply.outcomes for party, reply in told.items()})
    return exchange.ask_one(roster.holder, score, model).evaluation


def _grow(exchange: Exchange, roster: Roster, training: Training, reply: Demanded | Ended) -> Ended:
    """Pass on what the bank demands and the passive parties answer, until the bank ends the training."""
    model, trees = training.model, training.config.section(BoostingConfig).trees
    padded: dict[str, Array] = {}
    while isinstance(reply, Demanded):
        grown = exchange.ask({p: _grow_request(reply, p, padded) for p in reply.levels}, model)
        padded |= {party: answer.sides for party, answer in grown.items() if answer.sides is not None}
        summed = exchange.ask(_sum_requests(reply, grown), model)
        if grown:
            training.report(reply.trees, trees, ", ".join(grown))
        sums = {party: answer.sums for party, answer in grown.items() if answer.sums is not None}
        split = SplitRequest(
            members={party: answer.members for party, answer in grown.items()},
            sums=sums | {party: answer.sums for party, answer in summed.items()},
        )
        reply = exchange.ask_one(roster.holder, split, model)
        training.report(reply.trees, trees, roster.holder, reply.fit.metrics if reply.fit else {})
    return reply


def _grow_request(demand: Demanded, party: str, padded: Mapping[str, Array]) -> GrowRequest:
    """What the bank demands of a party, with the padded sides of the other passive parties' splits."""
    others = [choice for choice in demand.chosen if choice.party != party]
    sides = [combined(padded[choice.party], choice.rows[None]) for choice in others]
    return GrowRequest(
        task=demand.task,
        level=demand.levels[party],
        gradients=None if party in demand.waits else demand.gradients,
        sides=np.concatenate(sides) if sides else None,
    )


def _sum_requests(demand: Demanded, grown: Mapping[str, Grown]) -> dict[str, SumRequest]:
    """For the parties that wait: where the other passive parties send rows."""
    if demand.gradients is None:
        return {}
    members = {party: answer.members for party, answer in grown.items()}
    return {
        party: SumRequest(demand.gradients, {other: members[other] for other in grown if other != party})
        for party in demand.waits
    }
