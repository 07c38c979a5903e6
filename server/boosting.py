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
from fl.boosting.gradients import ranges, roots_ahead
from fl.boosting.padding import masked
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.encrypted_sums.packing import Packing
from fl.evaluation import Evaluation
from fl.records import Array
from fl.workload import EncryptedSums, Plan, Sizes, Workload, sampled
from server.exchange import Exchange
from server.training import Training

LIGHTER, GROWN = 0.27, 0.9
"""What `plan` assumes, on average: the share of a node's rows in its lighter child, and of a tree's rows in nodes that
are split at the last level."""


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
    grown = exchange.ask({party: grow_request(demand, party, padded) for party in demand.levels}, model)
    padded |= {party: answer.sides for party, answer in grown.items() if answer.sides is not None}
    grown |= exchange.ask(sum_requests(demand, grown), model)
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
    score = ScoreRequest(
        outcomes={party: reply.outcomes for party, reply in told.items()},
        reasons={party: reply.reasons for party, reply in told.items()},
    )
    return exchange.ask_holder(score, model).evaluation


def grow_request(demand: Demanded, party: str, padded: Mapping[str, Array]) -> GrowRequest:
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


def sum_requests(demand: Demanded, grown: Mapping[str, Grown]) -> dict[str, SumRequest]:
    """For the parties that wait: where the other passive parties send rows."""
    return {
        party: SumRequest(
            demand.gradients, {other: grown[other].members for other in grown if other != party}
        )
        for party in demand.waits
        if demand.gradients is not None
    }


def plan(config: TrainingConfig, sizes: Sizes) -> Plan:
    """What training takes at most, in rounds of `boosting.parallel` trees.

    Splits depend on the data: any column is taken to be as likely to split a node as any other (`LIGHTER`, `GROWN`).
    The roots of parallel trees share an encryption of the rows that any of them learns from.
    """
    boosting, parties = config.section(BoostingConfig), len(sizes.columns)
    ahead = "level" if boosting.ahead == "tree" and not roots_ahead(boosting) else boosting.ahead
    depth, parallel, is_ahead = boosting.depth, boosting.parallel, ahead != "none"
    of_others = sizes.passive_columns / (sizes.bank_columns + sizes.passive_columns)
    of_tree = round(boosting.row_share * sizes.training)
    of_any = round((1 - (1 - boosting.row_share) ** parallel) * sizes.training)
    listed = of_others + (1 - of_others) * LIGHTER if is_ahead else LIGHTER
    all_bins = sum(int(of_party.sum()) for of_party in sizes.bins(boosting.bins).values())
    # A column's last bin is not told, and a tree may use some of the columns only.
    bins = {
        party: sampled(of_party, boosting.column_share) - 1
        for party, of_party in sizes.bins(boosting.bins).items()
    }
    root = EncryptedSums(
        rows=round(of_any * (1 + GROWN * of_others)) if ahead == "tree" else of_any,
        groups=1,
        bins={party: np.tile(of_party, parallel) for party, of_party in bins.items()},
    )
    levels = (
        EncryptedSums(
            rows=parallel * round(of_tree * listed),
            groups=parallel * 2 ** (level - 1),
            bins=bins,
            again=True,
        )
        for level in range(1, depth)
    )
    per_level, per_tree, once = {"tree": (2, 0, 7), "level": (2, 2, 5), "none": (4, 0, 7)}[ahead]
    if parties > 1 and not boosting.sealed_sides:
        per_level, per_tree, once = {"tree": (3, 0, 7), "level": (3, 1, 7), "none": (4, 0, 7)}[ahead]
    bits = -(-sizes.learned // 8)
    # Of a level: where the bank sends rows, members from each party and pads and sides to it where there are others.
    of_level = bits * (1 + parties + (6 if parties > 1 else 2) * parties)
    # Merged bins and candidates of each node, sent and received.
    of_nodes = 3 * all_bins * (2**depth - 1)
    own_splits = (2**depth - 1) * of_others * boosting.trees
    return Plan(
        rounds=boosting.rounds,
        once=Workload(
            round_trips=once,
            rows=sizes.rows,
            letters=sizes.rows * (1 + parties)
            + all_bins * bits * (parties > 1)
            + 2 * own_splits * sizes.test / 8,
        ),
        each=Workload(
            round_trips=per_level * depth + per_tree,
            rows=sizes.learned,
            letters=parallel * (depth * of_level + of_nodes),
            sums=(root, *levels),
        ),
        engine=boosting.encryption,
        packing=Packing(sizes.training * (2 if ahead == "tree" else 1), ranges(boosting)),
        keys=1,
    )
