"""The split network: every party embeds its own columns, the bank joins the embeddings and alone knows the labels.

Vertical split learning (Vepakomma et al. 2018) with the label at a party instead of the server: a bottom model per
party, a top model at the bank. What crosses a border is embeddings to the bank and their gradients back. Gradients
at this cut layer tell labels (Li et al., "Label Leakage and Protection in Two-party Split Learning", ICLR 2022), so
the bank disturbs them first (`defence`). A business that a party does not know gets a learned "unknown" embedding
at the bank, which party dropout trains on known ones too.

The parts: `preprocessing` (columns to inputs), `models`, `defence` (of gradients), `inference` (without PyTorch's
optimiser).

Conversation `network/1`. A training batch costs two round trips, fused so that a party applies the last gradient and
embeds the next batch in one message. Every party draws the batches for itself (`training_batches`):

1. `StartRequest` → `Started`, all parties;
2. per batch: `ForwardRequest` → `Embedded` from the passive parties, `BackwardRequest` → `Learned` from the bank, or
   `Ended` when validation has stopped improving or the last batch has been judged;
3. `FinishRequest` → `Finished`, all parties return to the weights with the best validation AUC;
4. `EmbedRequest` → `Told`, passive parties, then `ScoreRequest` → `Scored`, the bank.

Round trips: 4 + 2 · batches; without passive parties, 3 + batches.

Here are the messages; the models need PyTorch: a coordinator does without.
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


@dataclass(frozen=True, kw_only=True)
class Started:
    """How many inputs and weights the party's bottom model has."""

    inputs: Count
    weights: Count


@request("start")
@dataclass(frozen=True, kw_only=True)
class StartRequest(Request[Started]):
    """Asks a party to fit its preprocessing on the training rows and to set up its part."""

    seed: Setting[int]
    split: ToParties[Split]


@dataclass(frozen=True)
class Embeddings:
    """Embeddings, float32 (k, embedding), of the rows that the party knows among those asked, in their order."""

    embeddings: PerRow


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """A batch's embeddings, and before a look at the validation rows also theirs."""

    batch: ToLabelHolder[Embeddings]
    validation: ToLabelHolder[Embeddings] | None


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What the bank lets a passive party learn from a batch.

    gradient  float32 (k, embedding): defended, over the rows of the batch that the party knows
    best      the weights before this gradient are the best so far
    """

    gradient: PerRow
    best: Setting[bool]


@request("forward", to=Reader.PASSIVE, after=("start", "forward"))
@dataclass(frozen=True, kw_only=True)
class ForwardRequest(Request[Embedded]):
    """For a passive party: the last batch's lesson, none before the first, then embed batch number `batch`, from 1.

    look: embed the validation rows, too.
    """

    batch: Count
    lesson: ToPassive[Lesson] | None
    look: Setting[bool]


@dataclass(frozen=True, kw_only=True)
class Learned:
    """By passive party its lesson, and how training stands.

    loss is the batch's; the validation figures are NaN between looks.
    """

    lessons: Mapping[str, ToPassive[Lesson]]
    loss: Figure
    validation_auc: Figure
    validation_loss: Figure

    @classmethod
    def none(cls) -> "Learned":
        """Before the first batch."""
        return cls(lessons={}, loss=float("nan"), validation_auc=float("nan"), validation_loss=float("nan"))


@dataclass(frozen=True)
class Verdict:
    """Whether the weights as they stand are the best."""

    best: Setting[bool]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Training has ended with this look at the validation rows; which weights are the best, for the passive parties."""

    verdict: ToParties[Verdict]
    validation_auc: Figure
    validation_loss: Figure


@request("backward", to=Reader.LABEL_HOLDER, after=("start", "backward"))
@dataclass(frozen=True, kw_only=True)
class BackwardRequest(Request[Learned | Ended]):
    """For the bank: each passive party's embeddings of batch number `batch`, from 1.

    look: judge the weights on the validation rows, whose embeddings came with the batch, before they learn from it.
    """

    batch: Count
    look: Setting[bool]
    embeddings: Mapping[str, ToLabelHolder[Embeddings]]
    validation: Mapping[str, ToLabelHolder[Embeddings]]


@dataclass(frozen=True)
class Finished:
    """The party holds its final weights."""


@request("finish", after=("forward", "backward"))
@dataclass(frozen=True)
class FinishRequest(Request[Finished]):
    """Asks a party to return to its best weights."""

    verdict: ToParties[Verdict]


@dataclass(frozen=True)
class Told:
    """The embeddings of all positions that the party knows."""

    embeddings: ToLabelHolder[Embeddings]


@request("embed", to=Reader.PASSIVE, after=("finish",))
@dataclass(frozen=True)
class EmbedRequest(Request[Told]):
    """Asks a passive party for the embeddings of all positions that it knows."""


@request("score", to=Reader.LABEL_HOLDER, after=("finish",))
@dataclass(frozen=True)
class ScoreRequest(Request[Scored]):
    """For the bank: every passive party's embeddings of all positions."""

    embeddings: Mapping[str, ToLabelHolder[Embeddings]]


def training_batches(roles: NDArray[np.int8], seed: int, config: NetworkConfig) -> list[NDArray[np.int32]]:
    """The positions of every batch: training rows in fresh random orders, one after the other, cut in equal parts."""
    rows = np.flatnonzero(roles == TRAIN).astype(np.int32)
    size = min(config.batch_size, len(rows))
    rng = generator(seed, "batches")
    orders = [rng.permutation(rows) for _ in range(-(-config.batches * size // len(rows)))]
    stream = np.concatenate(orders)
    return [stream[k * size : (k + 1) * size] for k in range(config.batches)]
