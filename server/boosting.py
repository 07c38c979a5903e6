"""The order of the conversation that trains and evaluates boosted trees; see `fl/boosting`."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from fl.boosting import (
    ANOTHER,
    NOBODY,
    THE_BANK,
    VERSION,
    YOU,
    Array,
    BeginRequest,
    Demanded,
    Finished,
    FinishRequest,
    Grown,
    GrowRequest,
    Outcomes,
    OutcomesRequest,
    ScoreRequest,
    SplitRequest,
    Started,
    StartRequest,
    Summed,
    SumRequest,
    packed,
    unpacked,
)
from fl.boosting.layouts import children
from fl.boosting.padding import combined
from fl.config.boosting import BoostingConfig
from fl.evaluation import Evaluation
from fl.handshake import Roster
from fl.scoring import Scored
from fl.splits import TEST
from server.exchange import Exchange
from server.training import Training

PROTOCOL = VERSION

Reply = TypeVar("Reply")


def round_trips(config: BoostingConfig, passive: int) -> int:
    """The most round trips that `train` takes; see `fl/boosting`."""
    if not passive:
        return 3 + config.trees
    per_level, per_tree = {"tree": (3, 0), "level": (3, 1), "none": (4, 0)}[config.ahead]
    if passive == 1 or config.sealed_sides:
        per_level, per_tree = {"tree": (2, 0), "level": (2, 2), "none": (4, 0)}[config.ahead]
    return 7 + config.trees * (per_level * config.depth + per_tree)


def train(exchange: Exchange, roster: Roster, training: Training) -> Evaluation:
    """Train one forest from start to evaluation; parties keep their parts under `training.model`."""
    return _Conversation(exchange, roster, training).run()


class _Conversation:
    """One model's questions to the parties, each asked as the protocol says."""

    def __init__(self, exchange: Exchange, roster: Roster, training: Training) -> None:
        self._exchange = exchange
        self._active = roster.active
        self._passive = roster.passive
        self._training = training
        self._sides = _Sides(int((training.roles != TEST).sum())) if self._seals else None

    @property
    def _seals(self) -> bool:
        return self._training.config.boosting.sealed_sides and len(self._passive) > 1

    def run(self) -> Evaluation:
        """The whole conversation."""
        demand = self._begin()
        while not demand.finished:
            demand = self._split(demand)
        kept = zip(self._passive, demand.kept.tolist(), strict=True)
        self._ask("train.boosting_finish", {party: FinishRequest(count) for party, count in kept}, Finished)
        asked = dict.fromkeys(self._passive, OutcomesRequest())
        found = self._ask("evaluate.boosting_outcomes", asked, Outcomes)
        score = ScoreRequest({party: reply.outcomes for party, reply in found.items()})
        scored = self._ask("evaluate.boosting_score", {self._active: score}, Scored)
        return Evaluation.from_arrays(scored[self._active].evaluation)

    def _begin(self) -> Demanded:
        seed, roles = self._training.seed, self._training.roles
        start = StartRequest(seed, roles, self._seals)
        started = self._ask("train.boosting_start", dict.fromkeys(self._passive, start), Started)
        shapes = nested({party: reply.shape for party, reply in started.items()}, self._passive)
        keys = {party: reply.seal_key for party, reply in started.items()} if self._seals else {}
        if self._sides is not None:
            self._sides.bins = {party: reply.shape["bins"] for party, reply in started.items()}
        begin = BeginRequest(seed, roles, self._passive, shapes, keys)
        return self._ask("train.boosting_begin", {self._active: begin}, Demanded)[self._active]

    def _split(self, demand: Demanded) -> Demanded:
        """What the demand wants of the passive parties, then the bank's next demand."""
        members: dict[str, Array] = {}
        sums: dict[str, Array] = {}
        candidates: dict[str, Array] = {}
        homes: dict[str, Array] = {}
        if self._passive:
            opened = {} if self._sides is None else self._sides.members(demand, self._passive)
            grown = self._ask("train.boosting_grow", self._grow_requests(demand, opened), Grown)
            if self._sides is not None:
                self._sides.take(demand, grown, opened)
            members = {party: reply.members for party, reply in grown.items()}
            replies: dict[str, Grown | Summed] = dict(grown)
            if demand.wanted and self._waits(demand):
                replies |= self._ask("train.boosting_add_up", self._sum_requests(demand, grown), Summed)
            sums = nested({party: reply.sums for party, reply in replies.items()}, self._passive)
            candidates = {party: reply.candidates for party, reply in replies.items()}
            homes = {party: reply.homes for party, reply in replies.items()}
            self._training.report(demand.settled, self._trees, ", ".join(grown))
        request = SplitRequest(members, sums, candidates, homes)
        reply = self._ask("train.boosting_split", {self._active: request}, Demanded)[self._active]
        metrics = {
            "train.loss": reply.train_loss,
            "valid.auc": reply.validation_auc,
            "valid.loss": reply.validation_loss,
        }
        known = {} if np.isnan(reply.validation_auc) else metrics
        self._training.report(reply.settled, self._trees, self._active, known)
        return reply

    @property
    def _trees(self) -> int:
        return self._training.config.boosting.trees

    def _grow_requests(self, demand: Demanded, members: Mapping[str, Array]) -> dict[str, GrowRequest]:
        none = np.empty(0, np.uint8)
        requests = {}
        for number, party in enumerate(self._passive, 1):
            others = [members[other] for other in members if other != party]
            joined = np.bitwise_or.reduce(others) if others else none
            requests[party] = self._grow_request(demand, number, joined)
        return requests

    def _grow_request(self, demand: Demanded, number: int, members: Array) -> GrowRequest:
        """The demand as the passive party of that number may see it; members are where other ones' splits send rows."""
        owners = np.full(len(demand.owners), ANOTHER, np.int8)
        owners[demand.owners == number] = YOU
        owners[demand.owners == 0] = THE_BANK
        owners[demand.owners < 0] = NOBODY
        party = self._passive[number - 1]
        return GrowRequest(
            demand.tree,
            demand.ahead,
            demand.wanted,
            owners,
            demand.lighter_left,
            demand.columns[party],
            demand.left[party],
            demand.bank_left,
            members,
            demand.public_key,
            demand.seal_key,
            {} if number in self._waits(demand) else demand.encrypted,
        )

    def _waits(self, demand: Demanded) -> set[int]:
        """The passive parties that must know another one's outcomes first."""
        if self._seals:
            return set()
        numbers = range(1, 1 + len(self._passive))
        owners = {int(owner) for owner in demand.owners if owner > 0}
        return {number for number in numbers if owners - {number}}

    def _sum_requests(self, demand: Demanded, grown: dict[str, Grown]) -> dict[str, SumRequest]:
        requests = {}
        for number in sorted(self._waits(demand)):
            party = self._passive[number - 1]
            others = [reply.members for name, reply in grown.items() if name != party]
            requests[party] = SumRequest(np.bitwise_or.reduce(others), demand.encrypted)
        return requests

    def _ask(self, action: str, requests: Mapping[str, object], reply: type[Reply]) -> dict[str, Reply]:
        if not requests:
            return {}
        return self._exchange.ask(action, requests, reply, self._training.model)


class _Sides:
    """The passive parties' sealed sides, and in which nodes rows are: what it takes to say where a split sends them."""

    def __init__(self, rows: int) -> None:
        self._nodes = np.zeros(rows, np.int16)
        self._sealed: dict[str, Array] = {}
        self.bins: dict[str, Array] = {}

    def members(self, demand: Demanded, passive: tuple[str, ...]) -> dict[str, Array]:
        """By passive party: where its splits send the rows of their nodes, packed bits."""
        found = {}
        for number, party in enumerate(passive, 1):
            rows = np.zeros(len(self._nodes), bool)
            nodes = np.flatnonzero(demand.owners == number)
            if len(nodes):
                choice = self.bins[party], demand.columns[party], demand.left[party]
                opened = combined(self._sealed[party], *choice) ^ demand.pads[party]
                for node, side in zip(nodes, unpacked(opened, len(rows)), strict=True):
                    rows |= (self._nodes == node) & side
            found[party] = packed(rows)
        return found

    def take(self, demand: Demanded, grown: Mapping[str, Grown], members: Mapping[str, Array]) -> None:
        """Keep what is sealed, and follow the rows to their new nodes."""
        self._sealed |= {party: reply.sealed for party, reply in grown.items() if len(reply.sealed)}
        if demand.ahead:
            self._nodes = np.zeros_like(self._nodes)
        elif demand.wanted:
            left = np.bitwise_or.reduce([demand.bank_left, *members.values()])
            self._nodes = children(self._nodes, demand.owners >= 0, unpacked(left, len(self._nodes)))
