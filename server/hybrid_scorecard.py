"""The order of the conversation of the scorecard of several banks and passive parties; see `fl/hybrid_scorecard`.

All banks go the same way in the same round trips. Between two of them the coordinator adds what they show, and knows
not what.
"""

from collections.abc import Mapping
from dataclasses import replace

from fl.banks import Judged
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.hybrid import Shown
from fl.hybrid_scorecard import (
    AddRequest,
    AgreeRequest,
    BeginRequest,
    BinRequest,
    CloseRequest,
    CountRequest,
    CutRequest,
    Ended,
    FinishRequest,
    FitRequest,
    GradientRequest,
    GroupRequest,
    JoinRequest,
    JudgeRequest,
    OpenRequest,
    PassRequest,
    PointsRequest,
    RevealRequest,
    ScoreRequest,
    Solved,
    SolveRequest,
    StartRequest,
    StepRequest,
    TallyRequest,
    TellRequest,
)
from fl.messages import Request
from fl.scorecard import Masked
from fl.workload import Plan, Sizes
from server import scorecard
from server.banks import letters_for
from server.exchange import Exchange
from server.hybrid import all_of, ask_banks, total_of
from server.scorecard import with_all_names
from server.training import OfBanks, Training

FIRST, EACH = 6, 2
"""Sums of Newton's method before the first exchange, and in each, on average: what `plan` assumes."""


def train(exchange: Exchange, training: Training) -> OfBanks:
    """Train one scorecard from start to evaluation; each bank keeps it in its sub-study under `training.model`."""
    model, banks = training.model, exchange.roster.holders
    started = exchange.ask_each(StartRequest(training.seed), model)
    exchange.ask({bank: AgreeRequest(letters_for(bank, started)) for bank in banks}, model)
    solved = _settled(exchange, training, _grouped(exchange, training))
    first = next(iter(solved.values()))
    fitting = tuple(first.groups) if isinstance(first, Solved) else ()
    requests: Mapping[str, Mapping[str, Request[Masked]]] = {
        bank: {party: FitRequest(groups=letter, residual=of.residual) for party, letter in of.groups.items()}
        for bank, of in solved.items()
        if isinstance(of, Solved)
    }
    while requests:
        solved = _settled(exchange, training, _exchanged(exchange, training, requests))
        requests = {
            bank: dict.fromkeys(fitting, GradientRequest(of.residual))
            for bank, of in solved.items()
            if isinstance(of, Solved)
        }
    judged = _judged(exchange, training, fitting)
    exchange.ask_each(CloseRequest(), model)
    evaluations = {bank: with_all_names(exchange, judged[bank].evaluation, bank) for bank in banks}
    return OfBanks(judged[banks[0]].whole, evaluations)


def _grouped(exchange: Exchange, training: Training) -> Mapping[str, Shown]:
    """Bins at every party, groups at every bank, and what the banks add first for their weights."""
    seed, splits = training.seed, {bank: of.split for bank, of in training.of_banks.items()}
    studies, model = tuple(exchange.sub_studies.values()), training.model
    passive = exchange.roster.passive
    join = {
        bank: dict.fromkeys(passive, JoinRequest(seed=seed, split=split, studies=studies))
        for bank, split in splits.items()
    }
    exchange.ask_in_all(join, model)
    binned = exchange.ask_in_all({bank: dict.fromkeys(passive, BinRequest()) for bank in splits}, model)
    told = ask_banks(
        exchange, training, {bank: TellRequest(seed=seed, split=split) for bank, split in splits.items()}
    )
    total = total_of(told)
    begin = {
        bank: BeginRequest(total=total, columns={party: reply.columns for party, reply in of_bank.items()})
        for bank, of_bank in binned.items()
    }
    begun = ask_banks(exchange, training, begin)
    counted = exchange.ask_in_all(
        {bank: dict.fromkeys(passive, CountRequest(of.labels)) for bank, of in begun.items()}, model
    )
    revealed = exchange.ask_in_all({bank: dict.fromkeys(passive, RevealRequest()) for bank in splits}, model)
    tally = {
        bank: TallyRequest({party: reply.sums for party, reply in of_bank.items()})
        for bank, of_bank in counted.items()
    }
    total = total_of(ask_banks(exchange, training, tally))
    group = {
        bank: GroupRequest(total=total, masks={party: reply.masks for party, reply in of_bank.items()})
        for bank, of_bank in revealed.items()
    }
    return ask_banks(exchange, training, group)


def _settled(
    exchange: Exchange, training: Training, shown: Mapping[str, Shown]
) -> Mapping[str, Solved] | Mapping[str, Ended]:
    """Add what the banks show for their weights, until all of them have these."""
    most = training.config.section(ScorecardConfig).exchanges
    while True:
        add = AddRequest(total_of(shown))
        replies = ask_banks(exchange, training, dict.fromkeys(shown, add))
        first = next(iter(replies.values()))
        if isinstance(first, Shown):
            shown = all_of(replies, Shown)
            continue
        if first.exchanges:
            training.report(first.exchanges, most, ", ".join(replies), first.metrics)
        return all_of(replies, Solved) if isinstance(first, Solved) else all_of(replies, Ended)


def _exchanged(
    exchange: Exchange, training: Training, requests: Mapping[str, Mapping[str, Request[Masked]]]
) -> Mapping[str, Shown]:
    """An exchange: the residual goes to the passive parties, and their steps to the banks."""
    model = training.model
    masked = exchange.ask_in_all(requests, model)
    to_open = {
        bank: OpenRequest({party: reply.sums for party, reply in of_bank.items()})
        for bank, of_bank in masked.items()
    }
    total = PassRequest(total_of(ask_banks(exchange, training, to_open)))
    opened = ask_banks(exchange, training, dict.fromkeys(requests, total))
    step = {
        bank: {party: StepRequest(letter) for party, letter in of.sums.items()} for bank, of in opened.items()
    }
    stepped = exchange.ask_in_all(step, model)
    solve = {
        bank: SolveRequest({party: reply.step for party, reply in of_bank.items()})
        for bank, of_bank in stepped.items()
    }
    return ask_banks(exchange, training, solve)


def _judged(exchange: Exchange, training: Training, fitting: tuple[str, ...]) -> Mapping[str, Judged]:
    """Let every passive party that fits keep its points, and the banks evaluate the scorecard."""
    model, banks = training.model, exchange.roster.holders
    exchange.ask_in_all({bank: dict.fromkeys(fitting, FinishRequest()) for bank in banks}, model)
    told = exchange.ask_in_all({bank: dict.fromkeys(fitting, PointsRequest()) for bank in banks}, model)
    score = {
        bank: ScoreRequest(
            cards={party: reply.card for party, reply in of_bank.items()},
            points={party: reply.points for party, reply in of_bank.items()},
        )
        for bank, of_bank in told.items()
    }
    counts = CutRequest(total_of(ask_banks(exchange, training, score)))
    goods_and_bads = JudgeRequest(total_of(ask_banks(exchange, training, dict.fromkeys(banks, counts))))
    return ask_banks(exchange, training, dict.fromkeys(banks, goods_and_bads))


def plan(config: TrainingConfig, sizes: Sizes) -> Plan:
    """What training takes at most: as the scorecard of one bank with all the rows, and the sums of the banks."""
    of_one = scorecard.plan(config, sizes)
    once = replace(of_one.once, round_trips=16 + FIRST)
    return replace(of_one, once=once, each=replace(of_one.each, round_trips=5 + EACH))
