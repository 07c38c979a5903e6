"""The split network: every party embeds its own columns, the bank joins the embeddings and alone knows the labels.

Vertical split learning (Vepakomma et al. 2018) with the label at a party instead of the server: a bottom model per
party, a top model at the bank. What crosses a border is embeddings to the bank and their gradients back. Gradients
at this cut layer tell labels (Li et al., "Label Leakage and Protection in Two-party Split Learning", ICLR 2022), so
the bank disturbs them first (`defend`). A business that a party does not know gets a learned "unknown" embedding
at the bank, which party dropout trains on known ones too.

Protocol `network/1`. A training batch costs two round trips, fused so that a party applies the last gradient and
embeds the next batch in one message:

1. `StartRequest` → `Started`, all parties;
2. per batch: `ForwardRequest` → `Embeddings` from the passive parties, `BackwardRequest` → `Gradients` from the bank;
3. `FinishRequest` → `Finished`, all parties return to the weights with the best validation AUC;
4. `EmbedRequest` → `Embeddings`, passive parties, then `ScoreRequest` → `Scored`, the bank.

Round trips: 4 + 2 · batches; without passive parties, 3 + batches.

Here are the messages; the models are in `models`, which needs PyTorch: a coordinator does without.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl.config import NetworkConfig
from fl.seeds import generator
from fl.splits import TRAIN

VERSION = "network/1"

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class StartRequest:
    """Asks a party to fit its preprocessing on the training rows and to set up its part; roles is int8 (n,)."""

    seed: int
    roles: np.ndarray[Any, Any]


@dataclass(frozen=True)
class Started:
    """How many inputs and weights the party's bottom model has."""

    inputs: int
    weights: int


@dataclass(frozen=True)
class ForwardRequest:
    """For a passive party: the last batch's gradient, then the next batch's positions, int (b,).

    gradient is float32 (k, embedding) over the rows of the last batch that the party knows; empty at the first.
    keep: the weights before this gradient are the best so far. evaluate: embed the validation rows, too.
    """

    positions: np.ndarray[Any, Any]
    gradient: np.ndarray[Any, Any]
    keep: bool
    evaluate: bool


@dataclass(frozen=True)
class Embeddings:
    """Embeddings, float32 (k, embedding), of the rows that the party knows among those asked, in their order."""

    batch: np.ndarray[Any, Any]
    validation: np.ndarray[Any, Any]


@dataclass(frozen=True)
class BackwardRequest:
    """For the bank: a batch's positions and each passive party's embeddings of it.

    evaluate: judge the weights on the validation rows, whose embeddings came with the batch, before learning.
    """

    positions: np.ndarray[Any, Any]
    batch: Mapping[str, np.ndarray[Any, Any]]
    validation: Mapping[str, np.ndarray[Any, Any]]
    evaluate: bool


@dataclass(frozen=True)
class Gradients:
    """By passive party the defended gradient at its embeddings, and how training stands.

    loss is the batch's; the validation figures are NaN between looks; improved: the AUC is the best so far.
    """

    gradients: Mapping[str, np.ndarray[Any, Any]]
    loss: float
    validation_auc: float
    validation_loss: float
    improved: bool


@dataclass(frozen=True)
class FinishRequest:
    """Asks a party to return to its best weights; keep as in `ForwardRequest`."""

    keep: bool


@dataclass(frozen=True)
class Finished:
    """The party holds its final weights."""


@dataclass(frozen=True)
class EmbedRequest:
    """Asks a passive party for the embeddings of all positions it knows (in `batch`)."""


@dataclass(frozen=True)
class ScoreRequest:
    """For the bank: every passive party's embeddings of all positions."""

    embeddings: Mapping[str, np.ndarray[Any, Any]]


def training_batches(roles: NDArray[np.int8], seed: int, config: NetworkConfig) -> list[NDArray[np.int32]]:
    """The positions of every batch: training rows in fresh random orders, one after the other, cut in equal parts."""
    rows = np.flatnonzero(roles == TRAIN).astype(np.int32)
    size = min(config.batch_size, len(rows))
    rng = generator(seed, "batches")
    orders = [rng.permutation(rows) for _ in range(-(-config.batches * size // len(rows)))]
    stream = np.concatenate(orders)
    return [stream[k * size : (k + 1) * size] for k in range(config.batches)]
