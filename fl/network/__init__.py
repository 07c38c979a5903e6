"""The split network: every party embeds its own columns, the bank joins the embeddings and alone knows the labels.

Vertical split learning (Vepakomma et al. 2018) with the label at a party instead of the server: a bottom model per
party, a top model at the bank. What crosses a border is embeddings to the bank and their gradients back. Gradients
at this cut layer tell labels (Li et al., "Label Leakage and Protection in Two-party Split Learning", ICLR 2022), so
the bank disturbs them first (`defence`). For a business that a party does not know, the bank uses an "unknown"
embedding that it learns; party dropout trains it on businesses that the party does know, too.

The parts: `preprocessing` (columns to inputs), `models`, `defence` (of gradients), `inference` (row by row).

Conversation `network/1`. A training batch costs two round trips, because a passive party learns from the last batch and
embeds the next one in the same message. A request names a batch by its number, from 1: every party draws the batches
for itself (`training_batches`) and knows before which of them the weights are judged (`is_look`).

1. `StartRequest` → `Started`, all parties;
2. per batch: `ForwardRequest` → `Embedded` from the passive parties, then `BackwardRequest` → `Learned` from the bank,
   or `Ended` when the validation AUC has stopped improving, and at the last batch;
3. `FinishRequest` → `Finished`, all parties return to the weights with the best validation AUC;
4. `EmbedRequest` → `Told` from the passive parties, then `ScoreRequest` → `Scored` from the bank.

Round trips: 4 + 2 · batches; without passive parties, 3 + batches.

Only the messages and the order of the batches are here, because the coordinator works without PyTorch and the models
need it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fl.config.network import NetworkConfig
from fl.evaluation import Scored
from fl.messages import (
    Count,
    Figure,
    PerRow,
    Reader,
    Request,
    Setting,
    ToLabelHolder,
    ToParties,
    ToPassive,
    request,
)
from fl.seeds import generator
from fl.splits import TRAIN, Split

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Started:
    """The party has set up its part."""


@request("start")
@dataclass(frozen=True, kw_only=True)
class StartRequest(Request[Started]):
    """Asks a party to fit its preprocessing on the training rows and to set up its part."""

    seed: Setting[int]
    split: ToParties[Split]


@dataclass(frozen=True, kw_only=True)
class BatchEmbeddings:
    """Embeddings, float32 (k, embedding), of the rows that the party knows in a batch, in their order.

    validation are those of the validation rows that it knows, likewise, if the weights are judged before this batch.
    """

    batch: PerRow
    validation: PerRow | None


@dataclass(frozen=True)
class Embedded:
    """A passive party's embeddings for a batch."""

    embeddings: ToLabelHolder[BatchEmbeddings]


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What the bank lets a passive party learn from a batch.

    gradient  float32 (k, embedding): defended, over the rows of the batch that the party knows
    best      whether the weights before this lesson have the best validation AUC so far
    """

    gradient: PerRow
    best: Setting[bool]


@request("forward", to=Reader.PASSIVE, after=("start", "forward"))
@dataclass(frozen=True, kw_only=True)
class ForwardRequest(Request[Embedded]):
    """For a passive party: learn the lesson from the batch before, if there was one, then embed the batch `batch`."""

    batch: Count
    lesson: ToPassive[Lesson] | None


@dataclass(frozen=True, kw_only=True)
class Look:
    """How the weights do on the validation rows: AUC, and the mean log loss in nats."""

    auc: Figure
    loss: Figure

    @property
    def metrics(self) -> dict[str, float]:
        """The same by the names under which training curves are kept."""
        return {"valid.auc": self.auc, "valid.loss": self.loss}


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What the bank has learned from a batch.

    batch is its number, lessons are by passive party, loss is the mean log loss of the batch, and look is the one
    before it, if any.
    """

    batch: Count
    lessons: Mapping[str, ToPassive[Lesson]]
    loss: Figure
    look: Look | None

    @property
    def metrics(self) -> dict[str, float]:
        """Loss and look by the names under which training curves are kept."""
        return {"train.loss": self.loss} | (self.look.metrics if self.look else {})


@dataclass(frozen=True)
class Verdict:
    """Whether the weights as they stand have the best validation AUC."""

    best: Setting[bool]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Training has ended with this look, and nobody learns from the batch."""

    verdict: ToParties[Verdict]
    look: Look

    @property
    def metrics(self) -> dict[str, float]:
        """The look by the names under which training curves are kept."""
        return self.look.metrics


@request("backward", to=Reader.LABEL_HOLDER, after=("start", "backward"))
@dataclass(frozen=True, kw_only=True)
class BackwardRequest(Request[Learned | Ended]):
    """For the bank: judge the weights if a look comes before `batch`, then learn from it by the parties' embeddings."""

    batch: Count
    embeddings: Mapping[str, ToLabelHolder[BatchEmbeddings]]


@dataclass(frozen=True)
class Finished:
    """The party holds its final weights."""


@request("finish", after=("forward", "backward"))
@dataclass(frozen=True)
class FinishRequest(Request[Finished]):
    """Asks a party to return to its best weights."""

    verdict: ToParties[Verdict]


@dataclass(frozen=True)
class Embeddings:
    """The final model's embeddings, float32 (k, embedding), of all rows that the party knows, in their order."""

    embeddings: PerRow


@dataclass(frozen=True)
class Told:
    """A passive party's final embeddings of all positions."""

    embeddings: ToLabelHolder[Embeddings]


@request("embed", to=Reader.PASSIVE, after=("finish",))
@dataclass(frozen=True)
class EmbedRequest(Request[Told]):
    """Asks a passive party for the final embeddings of all positions that it knows."""


@request("score", to=Reader.LABEL_HOLDER, after=("finish",))
@dataclass(frozen=True)
class ScoreRequest(Request[Scored]):
    """For the bank: every passive party's final embeddings of all positions."""

    embeddings: Mapping[str, ToLabelHolder[Embeddings]]


def training_batches(roles: NDArray[np.int8], seed: int, config: NetworkConfig) -> list[NDArray[np.int32]]:
    """The positions of every batch: training rows in fresh random orders, one after the other, cut in equal parts."""
    rows = np.flatnonzero(roles == TRAIN).astype(np.int32)
    size = min(config.batch_size, len(rows))
    rng = generator(seed, "batches")
    stream = np.concatenate([rng.permutation(rows) for _ in range(-(-config.batches * size // len(rows)))])
    return [stream[k * size : (k + 1) * size] for k in range(config.batches)]


def is_look(batch: int, config: NetworkConfig) -> bool:
    """Whether the weights are judged on the validation rows before they learn from batch number `batch`, from 1."""
    return batch % config.evaluate_every == 0 or batch == config.batches
