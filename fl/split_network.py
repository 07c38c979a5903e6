"""The split network: every party embeds its own columns, the bank joins the embeddings and alone knows the labels.

Vertical split learning (Vepakomma et al. 2018) with the label at a party instead of the server: a bottom model per
party, a top model at the bank. What crosses a border is embeddings to the bank and their gradients back. Gradients
at this cut layer tell labels (Li et al., "Label Leakage and Protection in Two-party Split Learning", ICLR 2022), so
the bank disturbs them first (`defend`). A business that a party does not know gets a learned "unknown" embedding
at the bank, which party dropout trains on known ones too.

Protocol `split_network/1`. A training batch costs two round trips, fused so that a party applies the last gradient and
embeds the next batch in one message:

1. `StartRequest` → `Started`, all parties;
2. per batch: `ForwardRequest` → `Embeddings` from the passive parties, `BackwardRequest` → `Gradients` from the bank;
3. `FinishRequest` → `Finished`, all parties return to the weights with the best validation AUC;
4. `EmbedRequest` → `Embeddings`, passive parties, then `ScoreRequest` → `Scored`, the bank.

Round trips: 4 + 2 · batches; without passive parties, 3 + batches.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.optim.adamw import adamw

from fl.config import NetworkConfig
from fl.seeds import generator
from fl.splits import TRAIN

VERSION = "split_network/1"

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


class Bottom(nn.Module):
    """A party's model: a linear map of its encoded columns to the embedding.

    What is not linear in a column is in its encoding (`fl/preprocessing.py`), and what columns do together is for the
    top model: a hidden layer here would have to learn through the noise of the defence, and gained nothing.
    """

    def __init__(self, inputs: int, config: NetworkConfig) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, config.embedding)

    def forward(self, inputs: Tensor) -> Tensor:
        """Embeddings (n, embedding) of inputs (n, inputs)."""
        return self.linear(inputs)  # type: ignore[no-any-return]


class Top(nn.Module):
    """The bank's model over all embeddings: a linear path to the logit of default, and one by a hidden layer (ReLU).

    unknown (passive parties, embedding) stands in for the embedding of a party that does not know the business.
    """

    def __init__(self, passive: int, config: NetworkConfig) -> None:
        super().__init__()
        joined = (1 + passive) * config.embedding
        self.unknown = nn.Parameter(torch.zeros(passive, config.embedding))
        self.linear = nn.Linear(joined, 1)
        self.hidden = nn.Sequential(
            nn.Linear(joined, config.top), nn.ReLU(), nn.Linear(config.top, 1, bias=False)
        )

    def forward(self, own: Tensor, others: list[Tensor], present: Tensor) -> Tensor:
        """Logits (n,) from the bank's embeddings (n, e), each passive party's (n, e), and presence (n, passive)."""
        seen = [
            torch.where(present[:, k, None], embedding, self.unknown[k]) for k, embedding in enumerate(others)
        ]
        joined = torch.cat([own, *seen], dim=1)
        return (self.linear(joined) + self.hidden(joined))[:, 0]  # type: ignore[no-any-return]


class Part:
    """A module with its optimiser, whose whole state is four arrays: what a party keeps between messages.

    AdamW (Loshchilov and Hutter 2019) on one flat vector of weights, under a one-cycle learning rate (Smith 2018)
    over the batches of the configuration.
    """

    def __init__(self, module: nn.Module, config: NetworkConfig) -> None:
        self.module = module
        self._config = config
        weights = parameters_to_vector(module.parameters()).detach()
        self.steps = 0
        self._first, self._second = torch.zeros_like(weights), torch.zeros_like(weights)

    def state(self) -> dict[str, NDArray[Any]]:
        """weights and the two moments, float32 (w,), and the number of updates so far."""
        return {
            "weights": self.weights(),
            "first_moment": self._first.numpy(),
            "second_moment": self._second.numpy(),
            "steps": np.array(self.steps),
        }

    def weights(self) -> Floats:
        """The module's weights as one vector."""
        return parameters_to_vector(self.module.parameters()).detach().numpy().copy()

    def set_weights(self, weights: Floats) -> None:
        """Put the vector back into the module."""
        vector_to_parameters(torch.tensor(weights), self.module.parameters())

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Return to a state that `state` gave."""
        self.set_weights(state["weights"])
        self._first, self._second = torch.tensor(state["first_moment"]), torch.tensor(state["second_moment"])
        self.steps = int(state["steps"])

    def update(self) -> None:
        """Apply the gradients that stand in the module, and clear them."""
        weights = parameters_to_vector(self.module.parameters()).detach()
        gradient = torch.cat([_gradient(parameter).flatten() for parameter in self.module.parameters()])
        # The optimiser's functional form, since its state lives with the party and not in an object of PyTorch's.
        adamw(
            [weights],
            [gradient],
            [self._first],
            [self._second],
            [],
            [torch.tensor(float(self.steps))],
            foreach=False,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=learning_rate(self.steps, self._config),
            weight_decay=self._config.weight_decay,
            eps=1e-8,
            maximize=False,
        )
        self.set_weights(weights.numpy())
        self.module.zero_grad()
        self.steps += 1


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def learning_rate(step: int, config: NetworkConfig) -> float:
    """One cycle: up from a 25th to the peak in the first 15 % of the batches, then down by a half cosine."""
    warm_up = max(1, round(0.15 * config.batches))
    if step < warm_up:
        return config.learning_rate * (0.04 + 0.96 * step / warm_up)
    progress = min(1.0, (step - warm_up) / max(1, config.batches - warm_up))
    return config.learning_rate * 0.5 * (1 + float(np.cos(np.pi * progress)))


def new_bottom(inputs: int, seed: int, party: str, config: NetworkConfig) -> Part:
    """A party's fresh bottom model; equal arguments give equal weights."""
    with _seeded(seed, "bottom", party):
        return Part(Bottom(inputs, config), config)


def new_top(passive: int, bad_rate: float, seed: int, config: NetworkConfig) -> Part:
    """The bank's fresh top model, which starts at the bad rate of the training rows."""
    with _seeded(seed, "top"):
        top = Top(passive, config)
    nn.init.constant_(top.linear.bias, float(np.log(bad_rate / (1 - bad_rate))))
    return Part(top, config)


@contextmanager
def _seeded(seed: int, *purpose: str) -> Iterator[None]:
    """PyTorch's own generator, which initialises layers, under the seed of a purpose."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(generator(seed, *purpose).integers(2**63)))
        yield


def training_batches(roles: NDArray[np.int8], seed: int, config: NetworkConfig) -> list[NDArray[np.int32]]:
    """The positions of every batch: training rows in fresh random orders, one after the other, cut in equal parts."""
    rows = np.flatnonzero(roles == TRAIN).astype(np.int32)
    size = min(config.batch_size, len(rows))
    rng = generator(seed, "batches")
    orders = [rng.permutation(rows) for _ in range(-(-config.batches * size // len(rows)))]
    stream = np.concatenate(orders)
    return [stream[k * size : (k + 1) * size] for k in range(config.batches)]


def backward(
    bottom: Part,
    top: Part,
    inputs: Floats,
    others: Sequence[Floats],
    present: NDArray[np.bool_],
    labels: NDArray[np.int8],
) -> tuple[list[Floats], float]:
    """The bank's pass over a batch: the mean log loss, and its gradient at each passive party's embeddings.

    inputs (n, inputs) are the bank's own, others (n, embedding) per passive party (anything where not present),
    present (n, passive). The gradients of the bank's own weights are left in its two parts, for `Part.update`.
    """
    cuts = [torch.tensor(embedding, requires_grad=True) for embedding in others]
    logits = top.module(bottom.module(torch.from_numpy(inputs)), cuts, torch.from_numpy(present))
    loss = log_loss(logits, torch.from_numpy(labels.astype(np.float32)))
    loss.backward()  # type: ignore[no-untyped-call]
    return [_gradient(cut).numpy() for cut in cuts], loss.item()


def embed(bottom: Part, inputs: Floats) -> Floats:
    """A party's embeddings (n, embedding) of its inputs."""
    with torch.no_grad():
        return bottom.module(torch.from_numpy(inputs)).numpy()  # type: ignore[no-any-return]


def backward_embeddings(bottom: Part, inputs: Floats, gradient: Floats) -> None:
    """Continue a gradient (n, embedding) from the bank through a passive party's bottom model."""
    bottom.module(torch.from_numpy(inputs)).backward(torch.from_numpy(gradient))


def predict(
    bottom: Part, top: Part, inputs: Floats, others: Sequence[Floats], present: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Probability of default (n,) from the bank's inputs and the passive parties' embeddings."""
    with torch.no_grad():
        embeddings = [torch.from_numpy(embedding) for embedding in others]
        logits = top.module(bottom.module(torch.from_numpy(inputs)), embeddings, torch.from_numpy(present))
        return torch.sigmoid(logits.double()).numpy()


log_loss = nn.functional.binary_cross_entropy_with_logits


def defend(gradient: Floats, config: NetworkConfig) -> Floats:
    """What the bank lets a party see of the gradient (k, embedding) at its embeddings.

    `gaussian` adds noise of standard deviation `config.noise` times the largest row norm to every number; `max-norm`
    (Li et al. 2022) stretches each row by noise in its own direction until all rows have the largest norm on average.
    The noise comes from the operating system, since whoever knew its seed could subtract it.
    """
    if config.defence == "none" or not len(gradient):
        return gradient
    # In double precision: a row that party dropout hid has norm zero, and its stretch must stay finite.
    norms = np.linalg.norm(gradient.astype(np.float64), axis=1, keepdims=True)
    largest = norms.max()
    if config.defence == "gaussian":
        noise = config.noise * largest * secret_normal(gradient.shape)
        return np.asarray(gradient + noise, np.float32)
    spread = np.sqrt(np.maximum(0, (largest / np.maximum(norms, 1e-30)) ** 2 - 1))
    return np.asarray(gradient * (1 + spread * secret_normal(norms.shape)), np.float32)


def secret_normal(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Standard normal numbers from the operating system's randomness."""
    count = int(np.prod(shape))
    whole = np.frombuffer(os.urandom(8 * count), np.uint64) >> np.uint64(11)
    return ndtri((whole + 0.5) / 2.0**53).reshape(shape)  # type: ignore[no-any-return]
