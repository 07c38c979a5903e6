"""A real run on the inline backend of which every message that arrives at a party is kept, as a curious party would.

Nothing else differs from an ordinary run: the parties, the coordinator and the configuration are the same. The parties'
state goes to a folder that is thrown away, and nothing is logged to MLflow.
"""

import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import numpy as np
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

from clients.app import new_app
from clients.data.declaration import read_declaration
from experiments.backends.inline import InlineGrid
from experiments.joined import Joined, read_joined
from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.evaluation import Evaluation
from fl.handshake import form_roster
from fl.messages import declaration_of
from fl.network import (
    BackwardRequest,
    BatchEmbeddings,
    Embeddings,
    ForwardRequest,
    Lesson,
    ScoreRequest,
    training_batches,
)
from fl.protocols import conversation_of, message_type
from fl.splits import VALIDATION, Roles, Split
from fl.wire import refusal_in, unpack
from server.alignment import Alignment
from server.coordinator import Federation, assign_roles, connect, train_reserve
from server.exchange import Exchange
from server.progress import Report
from server.training import Trainer, Training

Body = TypeVar("Body")


@dataclass(frozen=True)
class Batch:
    """The gradients that a passive party received for one batch: float32 (k, embedding) at its rows (k,)."""

    rows: NDArray[np.integer[Any]]
    gradient: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One federated network and what every party received while it was trained.

    name, seed and config say under which settings; messages are of each party, in their order; roles (n,) and joined
    are the truth by which attacks are judged.
    """

    name: str
    seed: int
    config: NetworkConfig
    messages: Mapping[str, list[Any]]
    joined: Joined
    roles: Roles
    evaluation: Evaluation

    def gradients(self, party: str) -> list[Batch]:
        """What the bank let a passive party see of the gradient, batch by batch.

        A row of zeros was left out by party dropout: it tells nothing, and the party sees that.
        """
        known = self.joined.coverage[party]
        positions = training_batches(self.roles, self.seed, self.config)
        batches = []
        for request in of_kind(ForwardRequest, self.messages[party]):
            if request.lesson is not None:
                rows = positions[
                    request.batch - 2
                ]  # numbers begin at 1, and the lesson is from the batch before
                rows, gradient = rows[known[rows]], request.lesson.read(Lesson).gradient
                used = gradient.any(axis=1)
                batches.append(Batch(rows[used], gradient[used]))
        return batches

    def embeddings(self, party: str) -> tuple[NDArray[np.int_], NDArray[np.float32]]:
        """The final embeddings that the bank received from a party, (k, embedding), and their rows (k,)."""
        (request,) = of_kind(ScoreRequest, self.messages[self.joined.active])
        final = request.embeddings[party].read(Embeddings).embeddings
        return np.flatnonzero(self.joined.coverage[party]), final

    def validation_embeddings(self, party: str) -> tuple[NDArray[np.int_], NDArray[np.float32]]:
        """The validation rows' embeddings of all looks side by side, (k, looks · embedding), and their rows (k,)."""
        requests = of_kind(BackwardRequest, self.messages[self.joined.active])
        received = [request.embeddings[party].read(BatchEmbeddings).validation for request in requests]
        looks = [embeddings for embeddings in received if embeddings is not None]
        rows = np.flatnonzero(self.joined.coverage[party] & (self.roles == VALIDATION))
        return rows, np.concatenate(looks, axis=1)


def of_kind(kind: type[Body], messages: list[Any]) -> list[Body]:
    """Those of the messages that are of this class, in their order."""
    return [message for message in messages if isinstance(message, kind)]


class Tap(ClientApp):
    """Stands in front of the parties' ClientApp and keeps a copy of the messages that an attack can use.

    messages are by party, in their order: each request of one of the `kept` classes that the party answered, and after
    it the reply.
    """

    def __init__(self, config: TrainingConfig, kept: Collection[type[Any]]) -> None:
        super().__init__()
        self.config = config
        self.messages: defaultdict[str, list[Any]] = defaultdict(list)
        self._app = new_app()
        self._kept = {message_type(kind): kind for kind in kept}
        self._parties = [read_declaration(config.data_folder / folder).name for folder in config.parties]

    def __call__(self, message: Message, context: Context) -> Message:
        """Let the party answer the request, and keep both."""
        reply = self._app(message, context)
        kind = self._kept.get(message.metadata.message_type)
        if kind is not None and refusal_in(reply.content) is None:
            party = self._parties[int(context.node_config["partition-id"])]
            replies = declaration_of(kind).replies
            self.messages[party] += [unpack(message.content, kind), unpack(reply.content, *replies)]
        return reply


def record(
    config: TrainingConfig, report: Report, networks: Mapping[str, NetworkConfig]
) -> Iterator[Recording]:
    """Align once, then train under every seed and each of some network settings; a recording of each, in that order.

    The first party of the configuration holds the label, as in `experiments.dataset.Dataset`. Raises what an ordinary
    run raises when the federation fails.
    """
    with aligned(config, report) as (config, alignment):
        for seed in config.seeds:
            for name, network in networks.items():
                tap = Tap(config.with_section(network), (ForwardRequest, BackwardRequest, ScoreRequest))
                roles, evaluation = train_tapped(
                    tap, alignment, contender="federated-network", name=name, seed=seed, report=report
                )
                yield Recording(
                    name=name,
                    seed=seed,
                    config=network,
                    messages=tap.messages,
                    joined=read_joined(config, config.parties[0]),
                    roles=roles,
                    evaluation=evaluation,
                )


@contextmanager
def aligned(config: TrainingConfig, report: Report) -> Iterator[tuple[TrainingConfig, Alignment]]:
    """The configuration with a state that is thrown away, and the alignment of its parties."""
    with tempfile.TemporaryDirectory(prefix="siloscore-") as folder:
        config = replace(config, state=folder)
        yield config, connect(InlineGrid(config), config, report).alignment


def train_tapped(
    tap: Tap, alignment: Alignment, *, contender: str, name: str, seed: int, report: Report
) -> tuple[Roles, Evaluation]:
    """Train a contender behind a tap, in an aligned study: the roles of all rows (n,), and the evaluation.

    name is the one under which the parties keep the model, so that models under other settings stand beside it.
    """
    config, conversation = tap.config, conversation_of(contender)
    exchange = Exchange(InlineGrid(config, tap), config.study, config.timeout)
    described = exchange.connect(len(config.parties), config.connect_timeout)
    federation = Federation(exchange, form_roster(described, (conversation.announced,)), alignment)
    assigned = assign_roles(federation, seed)
    train_reserve(federation, assigned, seed, report)
    training = Training(contender=name, seed=seed, assigned=assigned, config=config, on_progress=report)
    trainer = cast(Trainer, conversation.half("server"))
    return assigned.split.read(Split).roles, trainer.train(exchange, federation.roster, training)
