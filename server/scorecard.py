"""The order of the conversation that trains and evaluates a scorecard; see `fl/scorecard`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.encrypted_sums.packing import Packing
from fl.evaluation import Evaluation
from fl.handshake import Description
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
from fl.workload import EncryptedSums, Plan, Sizes, Workload, sampled
from server.exchange import Exchange
from server.training import Training

EXCHANGES = 7
"""Exchanges after which a training has settled: on all datasets so far (docs/results.md)."""
STAY, ROWS, GROUPED = 0.8, 15_000, 0.8
"""What `plan` assumes: the share of the columns that stay if there are very many training rows, the rows of which half
as many stay, and the share of a column's bins that are groups of their own."""


def train(exchange: Exchange, training: Training) -> Evaluation:
    """Train one scorecard from start to evaluation; the parties keep their parts under `training.model`."""
    model, grouped = training.model, _group(exchange, training)
    # A party without a column worth its place has nothing to fit.
    fitting = _fit(exchange, training, grouped) if isinstance(grouped, Grouped) else ()
    exchange.ask(dict.fromkeys(fitting, FinishRequest()), model)
    told = exchange.ask(dict.fromkeys(fitting, PointsRequest()), model)
    score = ScoreRequest(
        cards={party: reply.card for party, reply in told.items()},
        points={party: reply.points for party, reply in told.items()},
    )
    evaluation = exchange.ask_holder(score, model).evaluation
    return with_all_names(exchange, evaluation, exchange.roster.holder)


def with_all_names(exchange: Exchange, evaluation: Evaluation, bank: str) -> Evaluation:
    """The evaluation of a scorecard of a bank and the passive parties, with the names of all columns."""
    roster = exchange.roster
    passive = [party for party in roster.descriptions if party in roster.passive]
    return with_names(exchange, evaluation, [bank, *passive])


def with_names(exchange: Exchange, evaluation: Evaluation, parties: Sequence[str]) -> Evaluation:
    """The evaluation of a scorecard of some parties' columns, a bank's first, with the names of these columns."""
    names = {party: _numeric_first(exchange.roster.descriptions[party]) for party in parties}
    return replace(evaluation, tables=named(evaluation.tables, names))


def _group(exchange: Exchange, training: Training) -> Grouped | Ended:
    """Bins at every party, and the groups that the bank makes of them."""
    model, seed, split = training.model, training.seed, training.assigned.split
    started = exchange.ask_each(StartRequest(seed=seed, split=split), model)
    columns = {party: reply.columns for party, reply in started.items()}
    begun = exchange.ask_holder(BeginRequest(seed=seed, split=split, columns=columns), model)
    counted = exchange.ask_each(CountRequest(begun.labels), model)
    return exchange.ask_holder(GroupRequest({party: reply.sums for party, reply in counted.items()}), model)


def _fit(exchange: Exchange, training: Training, grouped: Grouped) -> Collection[str]:
    """All exchanges until the bank ends the training; who has fitted something.

    In an exchange the residual goes to the parties, and their steps to the bank.
    """
    model, most = training.model, training.config.section(ScorecardConfig).exchanges
    requests: Mapping[str, Request[Masked]] = {
        party: FitRequest(groups=groups, residual=grouped.residual)
        for party, groups in grouped.groups.items()
    }
    number = 1
    while True:
        masked = exchange.ask(requests, model)
        to_open = OpenRequest({party: reply.sums for party, reply in masked.items()})
        opened = exchange.ask_holder(to_open, model).sums
        stepped = exchange.ask({party: StepRequest(letter) for party, letter in opened.items()}, model)
        training.report(number, most, ", ".join(stepped))
        steps = {party: reply.step for party, reply in stepped.items()}
        solved = exchange.ask_holder(SolveRequest(steps), model)
        training.report(solved.progress.exchanges, most, exchange.roster.holder, solved.progress.metrics)
        if isinstance(solved, Ended):
            return stepped
        requests = dict.fromkeys(stepped, GradientRequest(solved.residual))
        number = solved.progress.exchanges + 1


def _numeric_first(about: Description) -> list[str]:
    """A party's columns as its handshake told them, in the order of the protocol's numbers: numeric ones first."""
    kinds = dict(zip(about.columns, about.kinds, strict=True))
    return sorted(about.columns, key=lambda name: kinds[name] != "numeric")


def plan(config: TrainingConfig, sizes: Sizes) -> Plan:
    """What training usually takes, in rounds of an exchange.

    How many columns stay and how many groups they get depends on the data (`STAY`).
    """
    card, parties = config.section(ScorecardConfig), len(sizes.columns)
    # Both have a bin or group more, of the rows that the party does not know.
    bins = {party: of_party + 1 for party, of_party in sizes.bins(card.bins).items()}
    share = STAY * sizes.training / (sizes.training + ROWS)
    groups = {
        party: np.ceil(GROUPED * sampled(of_party, share)).astype(np.int64) + 1
        for party, of_party in sizes.bins(card.bins).items()
    }
    labels = EncryptedSums(rows=sizes.training, groups=1, bins=bins)
    residual = EncryptedSums(rows=sizes.training, groups=1, bins=groups, masked=True)
    points = 4 + 4 * (2 + 4)  # bytes of a row: points, and for four reasons a column and points lost
    unit = 1 << card.precision
    return Plan(
        rounds=min(card.exchanges, EXCHANGES) if card.settled else card.exchanges,
        once=Workload(
            round_trips=7,
            rows=sizes.rows,
            letters=sizes.rows * (1 + parties) + 2 * points * sizes.rows * parties,
            sums=(labels,),
        ),
        each=Workload(
            round_trips=4,
            rows=sizes.learned,
            letters=2 * 8 * sizes.learned * sizes.known_share,
            sums=(residual,),
        ),
        engine=card.encryption,
        packing=Packing(sizes.training, ((-unit, unit),)),
        keys=2,
    )
