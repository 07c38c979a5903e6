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
)
from fl.config import BoostingConfig
from fl.evaluation import Evaluation
from fl.handshake import Roster
from fl.nesting import nested
from fl.scoring import Scored
from server.exchange import Exchange
from server.training import Training

PROTOCOL = VERSION

Reply = TypeVar("Reply")


def round_trips(config: BoostingConfig, passive: int) -> int:
    """The most round trips that `train` takes; see `fl/boosting`."""
    if not passive:
        return 3 + config.trees
    per_level, per_tree = {"tree": (3, 0), "level": (3, 1), "none": (4, 0)}[config.ahead]
    if passive == 1:
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
        start = StartRequest(seed, roles)
        started = self._ask("train.boosting_start", dict.fromkeys(self._passive, start), Started)
        shapes = nested({party: reply.shape for party, reply in started.items()}, self._passive)
        begin = BeginRequest(seed, roles, self._passive, shapes)
        return self._ask("train.boosting_begin", {self._active: begin}, Demanded)[self._active]

    def _split(self, demand: Demanded) -> Demanded:
        """What the demand wants of the passive parties, then the bank's next demand."""
        outcomes: dict[str, Array] = {}
        sums: dict[str, Array] = {}
        candidates: dict[str, Array] = {}
        if self._passive:
            grown = self._ask("train.boosting_grow", self._grow_requests(demand), Grown)
            outcomes = {party: reply.outcomes for party, reply in grown.items()}
            replies: dict[str, Grown | Summed] = dict(grown)
            if demand.wanted and self._waits(demand):
                replies |= self._ask("train.boosting_add_up", self._sum_requests(demand, grown), Summed)
            sums = nested({party: reply.sums for party, reply in replies.items()}, self._passive)
            candidates = {party: reply.candidates for party, reply in replies.items()}
            self._training.report(demand.settled, self._trees, ", ".join(grown))
        request = SplitRequest(outcomes, sums, candidates)
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

    def _grow_requests(self, demand: Demanded) -> dict[str, GrowRequest]:
        return {party: self._grow_request(demand, number) for number, party in enumerate(self._passive, 1)}

    def _grow_request(self, demand: Demanded, number: int) -> GrowRequest:
        """The demand as the passive party of that number may see it."""
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
            demand.public_key,
            {} if number in self._waits(demand) else demand.encrypted,
        )

    def _waits(self, demand: Demanded) -> set[int]:
        """The passive parties that must know another one's outcomes first."""
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
