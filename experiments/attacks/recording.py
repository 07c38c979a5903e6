"""A real run on the inline backend of which every message that arrives at a party is kept, as a curious party would.

Nothing else differs from an ordinary run: the parties, the coordinator and the configuration are the same. The parties'
state goes to a folder that is thrown away, and nothing is logged to MLflow.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

from clients.app import app as client_app
from clients.data.declaration import read_declaration
from experiments.backends.inline import InlineGrid
from experiments.joined import Joined, read_joined
from fl.config.network import NetworkConfig
from fl.config.run import RunConfig
from fl.evaluation import Evaluation
from fl.handshake import form_roster
from fl.messages import refusal_in, unpack
from fl.network import BackwardRequest, ForwardRequest, ScoreRequest
from fl.splits import VALIDATION, Roles
from server.alignment import Alignment
from server.coordinator import Federation, TrainingProtocol, assign_roles, connect
from server.exchange import Exchange
from server.progress import Report
from server.training import Training

Kept = Mapping[str, tuple[type[Any], ...]]
"""By action the type of its request, and of its reply if that is of use, too."""

_KEPT: Kept = {
    "train.network_forward": (ForwardRequest,),
    "train.network_backward": (BackwardRequest,),
    "evaluate.network_score": (ScoreRequest,),
}


@dataclass(frozen=True)
class Batch:
    """The gradients that a passive party received for one batch: float32 (k, embedding) at its rows (k,)."""

    rows: NDArray[np.int_]
    gradient: NDArray[np.float32]


@dataclass(frozen=True)
class Recording:
    """One federated network and what every party received while it was trained.

    name and seed say under which settings; requests are the messages to each party in their order; roles (n,) and
    joined are the truth by which attacks are judged.
    """

    name: str
    seed: int
    requests: Mapping[str, list[object]]
    joined: Joined
    roles: Roles
    evaluation: Evaluation

    def gradients(self, party: str) -> list[Batch]:
        """What the bank let a passive party see of the gradient, batch by batch.

        A row of zeros was left out by party dropout: it tells nothing, and the party sees that.
        """
        known = self.joined.coverage[party]
        forward = [request for request in self.requests[party] if isinstance(request, ForwardRequest)]
        batches = []
        for batch, answer in pairwise(forward):
            rows, used = batch.positions[known[batch.positions]], answer.gradient.any(axis=1)
            batches.append(Batch(rows[used], answer.gradient[used]))
        return batches

    def embeddings(self, party: str) -> tuple[NDArray[np.int_], NDArray[np.float32]]:
        """The final embeddings that the bank received from a party, (k, embedding), and their rows (k,)."""
        final = next(
            request for request in self.requests[self.joined.active] if isinstance(request, ScoreRequest)
        )
        return np.flatnonzero(self.joined.coverage[party]), final.embeddings[party]

    def validation_embeddings(self, party: str) -> tuple[NDArray[np.int_], NDArray[np.float32]]:
        """The validation rows' embeddings of all looks side by side, (k, looks · embedding), and their rows (k,)."""
        looks = [
            request.validation[party]
            for request in self.requests[self.joined.active]
            if isinstance(request, BackwardRequest) and request.evaluate
        ]
        rows = np.flatnonzero(self.joined.coverage[party] & (self.roles == VALIDATION))
        return rows, np.concatenate(looks, axis=1)


class Tap(ClientApp):
    """Stands in front of the parties' ClientApp and keeps a copy of what an attack can use.

    messages are by party, in their order: what it received, and what it replied.
    """

    def __init__(self, config: RunConfig, kept: Kept) -> None:
        super().__init__()
        self.messages: defaultdict[str, list[Any]] = defaultdict(list)
        self._kept = kept
        self._parties = [read_declaration(config.data_folder / name).name for name in config.party_names]

    def __call__(self, message: Message, context: Context) -> Message:
        """Let the party answer the request, and note both."""
        reply = client_app(message, context)
        kinds = self._kept.get(message.metadata.message_type, ())
        if kinds and refusal_in(reply.content) is None:
            party = self._parties[int(context.node_config["partition-id"])]
            contents = (message.content, reply.content)[: len(kinds)]
            self.messages[party] += [unpack(kind, one) for kind, one in zip(kinds, contents, strict=True)]
        return reply


def record(config: RunConfig, report: Report, networks: Mapping[str, NetworkConfig]) -> Iterator[Recording]:
    """Align once, then train under every seed and each of some network settings; a recording of each, in that order.

    The first party of the configuration holds the label, as in `experiments.dataset.Dataset`. Raises what an ordinary
    run raises when the federation fails.
    """
    with aligned(config, report) as (config, alignment):
        for seed in config.seed_numbers:
            for name, network in networks.items():
                settings, tap = replace(config, network=network), Tap(config, _KEPT)
                roles, evaluation = train_tapped(settings, alignment, name, seed, report, network_half, tap)
                joined = read_joined(config, config.party_names[0])
                yield Recording(name, seed, tap.messages, joined, roles, evaluation)


@contextmanager
def aligned(config: RunConfig, report: Report) -> Iterator[tuple[RunConfig, Alignment]]:
    """The configuration with a state that is thrown away, and the alignment of its parties."""
    with tempfile.TemporaryDirectory(prefix="siloscore-") as folder:
        config = replace(config, state=folder)
        yield config, connect(InlineGrid(config), config, report).alignment


def train_tapped(
    config: RunConfig,
    alignment: Alignment,
    name: str,
    seed: int,
    report: Report,
    protocol: TrainingProtocol,
    tap: Tap,
) -> tuple[Roles, Evaluation]:
    """Train one model of an aligned study behind a tap; its name keeps its state apart from the others'."""
    exchange = Exchange(InlineGrid(config, tap), config.study, config.timeout)
    roster = form_roster(
        exchange.connect(len(config.party_names), config.connect_timeout), (protocol.PROTOCOL,)
    )
    roles = assign_roles(Federation(exchange, roster, alignment), seed)
    return roles, protocol.train(exchange, roster, Training(name, seed, roles, config, report))
