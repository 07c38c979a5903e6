"""What every party does while a split network learns: set up its models, keep them between batches, choose the best.

The bank's part of a batch is in `label_holder`, a passive party's in `passive`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clients.aligned import read_applications, read_coverage, read_table
from clients.binned import Start, start_model
from clients.network.model import BOTTOM, TOP, Model
from clients.session import Session
from clients.store import Store
from fl.config.network import SMALLEST_BATCH, NetworkConfig
from fl.errors import ProtocolError
from fl.network import Finished, FinishRequest, Floats, Started, StartRequest, Verdict, training_batches
from fl.network.models import PartState, new_bottom, new_top
from fl.network.preprocessing import Encoder
from fl.splits import TRAIN, VALIDATION
from fl.tables import Table

# Batches are small: more threads wait for each other longer than they work, and their number would change sums.
torch.set_num_threads(1)


@dataclass(frozen=True, kw_only=True)
class Learning:
    """What a party keeps between two batches.

    batch     number of the last batch that it has answered for; 0 before the first
    parts     its models as they stand, by name
    best      their weights with the best validation AUC so far: float32 (w,) by name
    best_auc  that AUC, at the bank; -1 before the first look at the validation rows
    looks     looks at the validation rows since then, at the bank
    """

    batch: int
    parts: Mapping[str, PartState]
    best: Mapping[str, Floats]
    best_auc: float = -1.0
    looks: int = 0

    def has_ended(self, config: NetworkConfig) -> bool:
        """Whether no batch is to come: the last one was there, or the AUC has not improved for too many looks."""
        return self.batch == config.batches or self.looks >= config.patience

    def check_next(self, batch: int, config: NetworkConfig) -> None:
        """Raises ProtocolError unless the batch of that number is the next one."""
        if self.has_ended(config):
            raise ProtocolError("training has ended: no batch is to come")
        if batch != self.batch + 1:
            raise ProtocolError(f"batch {self.batch + 1} is the next one, not {batch}")

    @property
    def weights(self) -> dict[str, Floats]:
        """Those of the models as they stand, by name."""
        return {name: part.weights for name, part in self.parts.items()}


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of a model at a party, and what its bottom model sees of them.

    roles is int8 (n,); batches are the positions of every training batch, int32 (k,).
    """

    seed: int
    roles: NDArray[np.int8]
    table: Table
    encoder: Encoder
    batches: list[NDArray[np.int32]]

    @cached_property
    def judged(self) -> NDArray[np.int_]:
        """The positions of the validation rows that this party knows."""
        return np.flatnonzero((self.roles == VALIDATION) & self.table.known)

    @cached_property
    def judged_inputs(self) -> Floats:
        """The bottom model's inputs there, which every look needs."""
        return self.inputs(self.judged)

    def in_batch(self, batch: int) -> NDArray[np.int32]:
        """The positions in the batch of that number, from 1, that this party knows."""
        positions = self.batches[batch - 1]
        return positions[self.table.known[positions]]

    def inputs(self, positions: NDArray[np.integer[Any]]) -> Floats:
        """The bottom model's inputs at some positions, (k, inputs)."""
        return self.encoder.transform(self.table, positions)


def start(session: Session, request: StartRequest) -> Started:
    """Fit the preprocessing, and set up the bottom model and at the bank the top model."""
    config, table = session.config.section(NetworkConfig), read_table(session.study)
    training = start_model(session, request.seed, request.split).roles == TRAIN
    if training.sum() < SMALLEST_BATCH:
        raise ProtocolError(f"a network needs {SMALLEST_BATCH} training rows at least, not {training.sum()}")
    encoder = Encoder.fit(table, np.flatnonzero(training), config.bins)
    if not encoder.width:
        raise ProtocolError("none of its columns tells the training rows apart")
    session.store.keep(encoder)
    parts = {BOTTOM: new_bottom(encoder.width, request.seed, session.declaration.name, config).state()}
    if session.holds_label:
        bad_rate = float(read_applications(session.study).labels[training].mean())
        parts[TOP] = new_top(len(read_coverage(session.study)), bad_rate, request.seed, config).state()
    session.keep(Learning(batch=0, parts=parts, best={name: part.weights for name, part in parts.items()}))
    return Started()


def finish(session: Session, request: FinishRequest) -> Finished:
    """Return to the best weights, which from here on are the model."""
    learning, best = session.state(Learning), request.verdict.read(Verdict).best
    session.store.keep(Model(learning.weights if best else learning.best))
    session.keep(None)
    return Finished()


def read_rows(session: Session) -> Rows:
    """The rows of the model that the session's request is about."""
    return _rows(session.store.folder, session.study.folder, session.config.section(NetworkConfig))


# The same at every message of a model, so a worker process reads it once.
@lru_cache(maxsize=8)
def _rows(model: Path, study: Path, config: NetworkConfig) -> Rows:
    start = Store(model).read(Start)
    return Rows(
        seed=start.seed,
        roles=start.roles,
        table=read_table(Store(study)),
        encoder=Store(model).read(Encoder),
        batches=training_batches(start.roles, start.seed, config),
    )
