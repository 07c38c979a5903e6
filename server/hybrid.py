"""The order of the conversation of hybrid boosting; see `fl/hybrid`. All banks go the same way in the same round trips.

With each bank, the passive parties grow trees as in `boosting`, and the coordinator passes on the same things.
Between two levels it adds what the banks show, and knows not what.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fl.banks import Judged
from fl.boosting import (
    CommonStartRequest,
    FinishRequest,
    Grown,
    OutcomesRequest,
    SidesRequest,
)
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.errors import ProtocolError
from fl.hybrid import (
    AddRequest,
    AgreeRequest,
    BeginRequest,
    CloseRequest,
    CountRequest,
    CutRequest,
    Ended,
    JudgeRequest,
    Next,
    ScoreRequest,
    Shown,
    SplitRequest,
    StartRequest,
)
from fl.messages import Reply, Request
from fl.records import Array
from fl.secure_sums import added
from fl.workload import Plan, Sizes
from server import boosting
from server.banks import letters_for
from server.boosting import grow_request, sum_requests
from server.exchange import Exchange
from server.training import OfBanks, Training


def train(exchange: Exchange, training: Training) -> OfBanks:
    """Train one forest from start to evaluation; each bank keeps it in its sub-study under `training.model`."""
    model, banks = training.model, exchange.roster.holders
    started = exchange.ask_each(StartRequest(training.seed), model)
    exchange.ask({bank: AgreeRequest(letters_for(bank, started)) for bank in banks}, model)
    replies: Mapping[str, Next | Ended] = _begin(exchange, training)
    padded: dict[str, dict[str, Array]] = {bank: {} for bank in banks}
    while any(isinstance(reply, Next) for reply in replies.values()):
        replies = _advance(exchange, training, all_of(replies, Next), padded)
    judged = _judge(exchange, training, all_of(replies, Ended))
    exchange.ask_each(CloseRequest(), model)
    return OfBanks(judged[banks[0]].whole, {bank: judged[bank].evaluation for bank in banks})


def _begin(exchange: Exchange, training: Training) -> Mapping[str, Next]:
    """Bins at every party, and the banks' first demands."""
    seed, splits = training.seed, {bank: of.split for bank, of in training.of_banks.items()}
    shown = ask_banks(
        exchange, training, {bank: CountRequest(seed=seed, split=split) for bank, split in splits.items()}
    )
    studies = tuple(exchange.sub_studies.values())
    started = exchange.ask_in_all(
        {
            bank: dict.fromkeys(
                exchange.roster.passive, CommonStartRequest(seed=seed, split=split, studies=studies)
            )
            for bank, split in splits.items()
        },
        training.model,
    )
    total = total_of(shown)
    begin = {
        bank: BeginRequest(total=total, columns={party: reply.columns for party, reply in of_bank.items()})
        for bank, of_bank in started.items()
    }
    return ask_banks(exchange, training, begin)


def _advance(
    exchange: Exchange,
    training: Training,
    demands: Mapping[str, Next],
    padded: dict[str, dict[str, Array]],
) -> Mapping[str, Next | Ended]:
    """Pass on what the banks demand and what the passive parties answer, and the total of what they then show.

    padded are the sides by bank and party that have been handed over so far.
    """
    model, trees = training.model, training.config.section(BoostingConfig).trees
    missing = {
        bank: {choice.party: SidesRequest() for choice in demand.chosen if choice.party not in padded[bank]}
        for bank, demand in demands.items()
    }
    for bank, answers in exchange.ask_in_all(missing, model).items():
        padded[bank] |= {party: answer.sides for party, answer in answers.items()}
    grow = {
        bank: {party: grow_request(demand, party, padded[bank]) for party in demand.levels}
        for bank, demand in demands.items()
    }
    grown: dict[str, dict[str, Grown]] = exchange.ask_in_all(grow, model)
    for bank, replies in grown.items():
        padded[bank] |= {party: each.sides for party, each in replies.items() if each.sides is not None}
    waiting = {bank: sum_requests(demand, grown[bank]) for bank, demand in demands.items()}
    for bank, summed in exchange.ask_in_all(waiting, model).items():
        grown[bank] |= summed
    split = {
        bank: SplitRequest(
            members={party: answer.members for party, answer in of_bank.items()},
            sums={party: answer.sums for party, answer in of_bank.items() if answer.sums is not None},
        )
        for bank, of_bank in grown.items()
    }
    replied = ask_banks(exchange, training, split)
    if all(isinstance(reply, Next) for reply in replied.values()):
        return all_of(replied, Next)
    total = AddRequest(total_of(all_of(replied, Shown)))
    going = ask_banks(exchange, training, dict.fromkeys(replied, total))
    first = next(iter(going.values()))
    training.report(first.trees, trees, ", ".join(going), first.metrics)
    return going


def _judge(exchange: Exchange, training: Training, ended: Mapping[str, Ended]) -> Mapping[str, Judged]:
    """Let every party keep its part of the forest, and the banks evaluate it."""
    model = training.model
    finish = {
        bank: {party: FinishRequest(kept) for party, kept in end.kept.items()} for bank, end in ended.items()
    }
    exchange.ask_in_all(finish, model)
    told = exchange.ask_in_all(
        {bank: dict.fromkeys(of_bank, OutcomesRequest()) for bank, of_bank in finish.items()}, model
    )
    score = {
        bank: ScoreRequest(
            outcomes={party: reply.outcomes for party, reply in of_bank.items()},
            reasons={party: reply.reasons for party, reply in of_bank.items()},
        )
        for bank, of_bank in told.items()
    }
    counts = CutRequest(total_of(ask_banks(exchange, training, score)))
    goods_and_bads = JudgeRequest(total_of(ask_banks(exchange, training, dict.fromkeys(score, counts))))
    return ask_banks(exchange, training, dict.fromkeys(score, goods_and_bads))


def ask_banks(
    exchange: Exchange, training: Training, requests: Mapping[str, Request[Reply]]
) -> dict[str, Reply]:
    """One round trip with all banks, each in its sub-study."""
    asked = {bank: {bank: request} for bank, request in requests.items()}
    return {bank: replies[bank] for bank, replies in exchange.ask_in_all(asked, training.model).items()}


def all_of(replies: Mapping[str, Any], kind: type[Reply]) -> dict[str, Reply]:
    """The replies, which are all of one kind. Raises ProtocolError if they are not."""
    for bank, reply in replies.items():
        if not isinstance(reply, kind):
            raise ProtocolError(f"{bank} is not where the other banks are in training; begin a new study")
    return dict(replies)


def total_of(shown: Mapping[str, Shown]) -> Array:
    """The total of what all banks show. Raises ProtocolError unless these are numbers that can be added."""
    for bank, reply in shown.items():
        if reply.numbers.dtype != "uint64" or reply.numbers.ndim != 1:
            raise ProtocolError(f"{bank} has not shown whole numbers (k,) of 64 bits")
    return added(reply.numbers for reply in shown.values())


def plan(config: TrainingConfig, sizes: Sizes) -> Plan:
    """What training takes: as much as boosting of one bank with all the rows, and a sum of the banks for each level."""
    of_one, depth = boosting.plan(config, sizes), config.section(BoostingConfig).depth
    each = replace(of_one.each, round_trips=of_one.each.round_trips + depth + 1)
    return replace(of_one, once=replace(of_one.once, round_trips=of_one.once.round_trips + 6), each=each)
