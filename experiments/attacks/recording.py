"""A real run on the inline engine of which every message that arrives at a party is kept, as a curious party would.

Nothing else differs from an ordinary run: the parties, the coordinator and the configuration are the same. The parties'
state goes to a folder that is thrown away, and nothing is logged to MLflow.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

from clients.app import app as client_app
from clients.declaration import read_declaration
from experiments.engines.inline import InlineGrid
from experiments.joined import Joined, read_joined
from fl.config import NetworkConfig, RunConfig
from fl.evaluation import Evaluation
from fl.handshake import form_roster
from fl.messages import unpack
from fl.split_network import VERSION, BackwardRequest, ForwardRequest, ScoreRequest
from fl.splits import VALIDATION, Roles
from server.alignment import Alignment
from server.coordinator import Federation, assign_roles, connect
from server.exchange import Exchange
from server.progress import Report
from server.split_network import train
from server.training import Training

_KEPT = {
    "train.split_network_forward": ForwardRequest,
    "train.split_network_backward": BackwardRequest,
    "evaluate.split_network_score": ScoreRequest,
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
    """Stands in front of the parties' ClientApp and keeps a copy of what an attack can use, by receiver."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        self.requests: defaultdict[str, list[object]] = defaultdict(list)
        self._parties = [read_declaration(config.data_folder / name).name for name in config.party_names]

    def __call__(self, message: Message, context: Context) -> Message:
        """Note the request, then let the party answer it."""
        kind = _KEPT.get(message.metadata.message_type)
        if kind is not None:
            party = self._parties[int(context.node_config["partition-id"])]
            self.requests[party].append(unpack(kind, message.content))
        return client_app(message, context)


def record(config: RunConfig, report: Report, networks: Mapping[str, NetworkConfig]) -> Iterator[Recording]:
    """Align once, then train under every seed and each of some network settings; a recording of each, in that order.

    The first party of the configuration holds the label, as in `experiments.dataset.Dataset`. Raises what an ordinary
    run raises when the federation fails.
    """
    with tempfile.TemporaryDirectory(prefix="siloscore-") as folder:
        config = replace(config, state=folder)
        alignment = connect(InlineGrid(config), config, report).alignment
        for seed in config.seed_numbers:
            for name, network in networks.items():
                yield _recording(replace(config, network=network), alignment, name, seed, report)


def _recording(config: RunConfig, alignment: Alignment, name: str, seed: int, report: Report) -> Recording:
    """Train one network of an aligned study; its name keeps its state apart from the others'."""
    tap = Tap(config)
    exchange = Exchange(InlineGrid(config, tap), config.study, config.timeout)
    roster = form_roster(exchange.connect(len(config.party_names), config.connect_timeout), (VERSION,))
    roles = assign_roles(Federation(exchange, roster, alignment), seed)
    evaluation = train(exchange, roster, Training(name, seed, roles, config, report))
    return Recording(name, seed, tap.requests, read_joined(config, config.party_names[0]), roles, evaluation)
