"""The order of the conversation that trains and evaluates a scorecard; see `fl/scorecard`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from fl.config.scorecard import ScorecardConfig
from fl.evaluation import Evaluation
from fl.handshake import Roster
from fl.scorecard import (
    VERSION,
    BeginRequest,
    Begun,
    Counted,
    CountRequest,
    Finished,
    FinishRequest,
    GradientRequest,
    GroupRequest,
    Masked,
    Opened,
    OpenRequest,
    Points,
    PointsRequest,
    ScoreRequest,
    Solved,
    SolveRequest,
    Started,
    StartRequest,
    Stepped,
    StepRequest,
)
from fl.scorecard.card import named
from fl.scoring import Scored
from server.exchange import Exchange
from server.training import Training

PROTOCOL = VERSION

Reply = TypeVar("Reply")


def round_trips(config: ScorecardConfig, passive: int) -> int:
    """The most round trips that `train` takes; see `fl/scorecard`."""
    return 7 + 4 * config.exchanges if passive else 3


def train(exchange: Exchange, roster: Roster, training: Training) -> Evaluation:
    """Train one scorecard from start to evaluation; parties keep their parts under `training.model`."""
    return _Conversation(exchange, roster, training).run()


class _Conversation:
    """One model's questions to the parties, each asked as the protocol says."""

    def __init__(self, exchange: Exchange, roster: Roster, training: Training) -> None:
        self._exchange = exchange
        self._roster = roster
        self._active = roster.active
        self._passive = roster.passive
        self._training = training

    def run(self) -> Evaluation:
        """The whole conversation."""
        solved = self._begin()
        groups = solved.groups
        # Whoever has no column worth its place has nothing to fit.
        self._passive = tuple(party for party in self._passive if (groups[party] >= 0).any())
        while not solved.finished:
            solved = self._exchange_once(solved, groups)
            groups = {party: np.empty(0, np.int16) for party in self._passive}
        finished = self._ask(
            "train.scorecard_finish", dict.fromkeys(self._passive, FinishRequest()), Finished
        )
        found = self._ask("evaluate.scorecard_points", dict.fromkeys(self._passive, PointsRequest()), Points)
        columns = nested({party: vars(reply) for party, reply in finished.items()}, self._passive)
        rows = nested({party: vars(reply) for party, reply in found.items()}, self._passive)
        scored = self._ask_bank("evaluate.scorecard_score", ScoreRequest(columns, rows), Scored)
        evaluation = Evaluation.from_arrays(scored.evaluation)
        return replace(evaluation, tables=named(evaluation.tables, self._names()))

    def _names(self) -> dict[str, list[str]]:
        """By party the names of its columns, as its handshake told them, in the order of the protocol's numbers."""
        found = {}
        for party in self._roster.all:
            about = self._roster.descriptions[party]
            # Numeric ones first, each kind in its order.
            kinds = dict(zip(about.columns, about.kinds, strict=True))
            found[party] = sorted(about.columns, key=lambda name: kinds[name] != "numeric")
        return found

    def _begin(self) -> Solved:
        """Bins at every party, and the groups that the bank makes of them."""
        seed, roles = self._training.seed, self._training.roles
        start = StartRequest(seed, roles)
        started = self._ask("train.scorecard_start", dict.fromkeys(self._passive, start), Started)
        shapes = nested({party: reply.shape for party, reply in started.items()}, self._passive)
        counts = {party: reply.counts for party, reply in started.items()}
        begin = BeginRequest(seed, roles, self._passive, shapes, counts)
        begun = self._ask_bank("train.scorecard_begin", begin, Begun)
        count = CountRequest(begun.public_key, begun.encrypted)
        counted = self._ask("train.scorecard_count", dict.fromkeys(self._passive, count), Counted)
        sums = nested({party: reply.sums for party, reply in counted.items()}, self._passive)
        return self._ask_bank("train.scorecard_group", GroupRequest(sums), Solved)

    def _exchange_once(self, solved: Solved, groups: Mapping[str, np.ndarray]) -> Solved:
        """The residual to the parties, their steps to the bank."""
        gradient = {
            party: GradientRequest(groups[party], solved.mix, solved.encrypted) for party in self._passive
        }
        masked = self._ask("train.scorecard_gradient", gradient, Masked)
        sums = nested({party: reply.sums for party, reply in masked.items()}, self._passive)
        opened = self._ask_bank("train.scorecard_open_sums", OpenRequest(sums), Opened).opened
        step = {party: StepRequest(of_party(opened, number)) for number, party in enumerate(self._passive)}
        stepped = self._ask("train.scorecard_step", step, Stepped)
        self._report(solved.exchanges + 1, ", ".join(stepped))
        scores = {party: reply.scores for party, reply in stepped.items()}
        products = {party: reply.products for party, reply in stepped.items()}
        reply = self._ask_bank("train.scorecard_solve", SolveRequest(scores, products), Solved)
        metrics = {
            "train.loss": reply.train_loss,
            "valid.auc": reply.validation_auc,
            "valid.loss": reply.validation_loss,
        }
        self._report(reply.exchanges, self._active, metrics)
        return reply

    def _report(self, step: int, party: str, metrics: Mapping[str, float] | None = None) -> None:
        self._training.report(step, self._training.config.scorecard.exchanges, party, metrics)

    def _ask(self, action: str, requests: Mapping[str, object], reply: type[Reply]) -> dict[str, Reply]:
        if not requests:
            return {}
        return self._exchange.ask(action, requests, reply, self._training.model)

    def _ask_bank(self, action: str, request: object, reply: type[Reply]) -> Reply:
        return self._ask(action, {self._active: request}, reply)[self._active]
