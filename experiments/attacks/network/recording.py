"""A recorded run of a split network: which gradients the passive parties received, and which embeddings the bank."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.attacks import recording
from fl.config.network import NetworkConfig
from fl.network import (
    BackwardRequest,
    BatchEmbeddings,
    Embeddings,
    ForwardRequest,
    Lesson,
    ScoreRequest,
    training_batches,
)
from fl.splits import TRAIN, VALIDATION


@dataclass(frozen=True)
class Batch:
    """The gradients that a passive party received for one batch: float32 (k, embedding) at its rows (k,)."""

    rows: NDArray[np.integer[Any]]
    gradient: NDArray[np.float32]


def defences(config: NetworkConfig) -> dict[str, NetworkConfig]:
    """What is compared: the settings under every defence of the gradients (`network.defence`)."""
    return {name: replace(config, defence=name) for name in ("none", "max-norm", "gaussian")}


class Tap(recording.Tap):
    """Keeps what carries gradients or embeddings."""

    kept = (ForwardRequest, BackwardRequest, ScoreRequest)


class Recording(recording.Recording):
    """One federated network and what every party received while it was trained."""

    contender = "federated-network"
    tap = Tap
    variants = staticmethod(defences)

    def gradients(self, party: str) -> list[Batch]:
        """What the bank let a passive party see of the gradient, batch by batch.

        A row of zeros was left out by party dropout: it tells nothing, and the party sees that.
        """
        known, batches = self.joined.coverage[party], []
        requests = self.received(ForwardRequest, party)
        # The lesson from a batch comes with the request for the next one.
        lessons = [request.lesson.read(Lesson) for request in requests if request.lesson is not None]
        positions = training_batches(self.roles, self.seed, self.config.section(NetworkConfig))
        for lesson, rows in zip(lessons, positions[: len(lessons)], strict=True):
            used = lesson.gradient.any(axis=1)
            batches.append(Batch(rows[known[rows]][used], lesson.gradient[used]))
        return batches

    def embeddings(self, party: str) -> tuple[NDArray[np.int_], NDArray[np.float32]]:
        """The final embeddings that the bank received from a party, (k, embedding), and their rows (k,)."""
        (request,) = self.received(ScoreRequest, self.joined.holder)
        final = request.embeddings[party].read(Embeddings).embeddings
        return np.flatnonzero(self.joined.coverage[party]), final

    def first_embeddings(self, party: str) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Those of the first batch, which come under the initial weights, (k, embedding), and their rows (k,)."""
        first = self.received(BackwardRequest, self.joined.holder)[0]
        rows = training_batches(self.roles, self.seed, self.config.section(NetworkConfig))[0]
        embeddings = first.embeddings[party].read(BatchEmbeddings).batch
        return rows[self.joined.coverage[party][rows]], embeddings

    def training(self, party: str) -> NDArray[np.int_]:
        """The training rows that a passive party knows."""
        return np.flatnonzero((self.roles == TRAIN) & self.joined.coverage[party])

    def validation_embeddings(self, party: str) -> tuple[NDArray[np.int_], NDArray[np.float32]]:
        """The validation rows' embeddings of all looks side by side, (k, looks · embedding), and their rows (k,)."""
        requests = self.received(BackwardRequest, self.joined.holder)
        received = [request.embeddings[party].read(BatchEmbeddings).validation for request in requests]
        looks = [embeddings for embeddings in received if embeddings is not None]
        rows = np.flatnonzero(self.joined.coverage[party] & (self.roles == VALIDATION))
        return rows, np.concatenate(looks, axis=1)
