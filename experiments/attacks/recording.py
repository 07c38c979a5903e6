"""A real run on the inline engine of which every message that arrives at a party is kept, as a curious party would.

Nothing else differs from an ordinary run: the parties, the coordinator and the configuration are the same. The parties'
state goes to a folder that is thrown away, and nothing is logged to MLflow.
"""

import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

from clients.app import app as client_app
from clients.declaration import read_declaration
from experiments.engines.inline import InlineGrid
from experiments.joined import Joined, read_joined, read_scores
from fl.config import RunConfig
from fl.evaluation import Evaluation
from fl.messages import unpack
from fl.split_network import BackwardRequest, ForwardRequest, ScoreRequest
from fl.splits import VALIDATION, Roles
from server.coordinator import assign_roles, connect, train
from server.progress import Report
from server.training import Training

CONTENDER = "federated-network"

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

    requests are the messages to each party in their order; pd (n,), roles (n,) and joined are the truth by which
    attacks are judged.
    """

    requests: Mapping[str, list[object]]
    joined: Joined
    roles: Roles
    pd: NDArray[np.float64]
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


def record(config: RunConfig, seed: int, report: Report) -> Recording:
    """Train the federated network once under a seed and keep what every party received.

    The first party of the configuration holds the label, as in `experiments.dataset.Dataset`. Raises what an ordinary
    run raises when the federation fails.
    """
    with tempfile.TemporaryDirectory(prefix="siloscore-") as folder:
        config = replace(config, state=folder, contenders=CONTENDER)
        tap = Tap(config)
        federation = connect(InlineGrid(config, tap), config, report)
        roles = assign_roles(federation, seed)
        trained = train(federation, Training(CONTENDER, seed, roles, config, report))
        active = config.party_names[0]
        return Recording(
            tap.requests,
            read_joined(config, active),
            roles,
            read_scores(config, active, CONTENDER, seed),
            trained.evaluation,
        )
