"""The models of the split network in PyTorch, and what a party does with its own: embed, learn, predict."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.optim.adamw import adamw

from fl.config.network import NetworkConfig
from fl.network import Floats
from fl.seeds import generator

Module = TypeVar("Module", bound=nn.Module)


class Bottom(nn.Module):
    """A party's model: a linear map of its encoded columns to the embedding.

    What is not linear in a column is in its encoding (`fl/network/preprocessing.py`), and what columns do together is
    for the top model: a hidden layer here would have to learn through the noise of the defence, and gained nothing.
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

    def forward(self, bank: Tensor, passive: list[Tensor], present: Tensor) -> Tensor:
        """Logits (n,) from the bank's embeddings (n, e), each passive party's (n, e), and presence (n, passive)."""
        filled = [
            torch.where(present[:, k, None], embedding, self.unknown[k])
            for k, embedding in enumerate(passive)
        ]
        joined = torch.cat([bank, *filled], dim=1)
        return (self.linear(joined) + self.hidden(joined))[:, 0]  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class PartState:
    """A `Part` between two messages: weights and AdamW's two moments, float32 (w,), and the updates so far."""

    weights: Floats
    first_moment: Floats
    second_moment: Floats
    steps: int


class Part(Generic[Module]):
    """A module with its optimiser, which goes on from `state` if there is one.

    AdamW (Loshchilov and Hutter 2019) on one flat vector of weights, under a one-cycle learning rate (Smith 2018)
    over the batches of the configuration.
    """

    def __init__(self, module: Module, config: NetworkConfig, state: PartState | None = None) -> None:
        self.module = module
        self._config = config
        if state is None:
            weights = self.weights()
            nothing = np.zeros_like(weights)
            state = PartState(weights=weights, first_moment=nothing, second_moment=nothing, steps=0)
        set_weights(module, state.weights)
        self.steps = state.steps
        self._first, self._second = torch.tensor(state.first_moment), torch.tensor(state.second_moment)

    def state(self) -> PartState:
        """What another `Part` can go on from."""
        return PartState(
            weights=self.weights(),
            first_moment=self._first.numpy().copy(),
            second_moment=self._second.numpy().copy(),
            steps=self.steps,
        )

    def weights(self) -> Floats:
        """The module's weights as one vector."""
        return _flat(self.module).numpy().copy()

    def update(self) -> None:
        """Apply the gradients that stand in the module, and clear them."""
        weights = _flat(self.module)
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
        set_weights(self.module, weights.numpy())
        self.module.zero_grad()
        self.steps += 1


def set_weights(module: nn.Module, weights: Floats) -> None:
    """Put weights, as `Part.weights` gives them, into a module."""
    vector_to_parameters(torch.tensor(weights), module.parameters())


def _flat(module: nn.Module) -> Tensor:
    return parameters_to_vector(module.parameters()).detach()


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def learning_rate(step: int, config: NetworkConfig) -> float:
    """One cycle: up from a 25th to the peak in the first 15 % of the batches, then down by a half cosine."""
    warm_up = max(1, round(0.15 * config.batches))
    if step < warm_up:
        return config.learning_rate * (0.04 + 0.96 * step / warm_up)
    progress = min(1.0, (step - warm_up) / max(1, config.batches - warm_up))
    return config.learning_rate * 0.5 * (1 + float(np.cos(np.pi * progress)))


def new_bottom(inputs: int, seed: int, party: str, config: NetworkConfig) -> Part[Bottom]:
    """A party's fresh bottom model; equal arguments give equal weights."""
    with _seeded(seed, "bottom", party):
        return Part(Bottom(inputs, config), config)


def new_top(passive: int, bad_rate: float, seed: int, config: NetworkConfig) -> Part[Top]:
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


def backward(
    bottom: Part[Bottom],
    top: Part[Top],
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
    targets = torch.from_numpy(labels.astype(np.float32))
    loss = nn.functional.binary_cross_entropy_with_logits(logits, targets)
    loss.backward()  # type: ignore[no-untyped-call]
    return [_gradient(cut).numpy() for cut in cuts], loss.item()


def embed(bottom: Part[Bottom], inputs: Floats) -> Floats:
    """A party's embeddings (n, embedding) of its inputs."""
    with torch.no_grad():
        return bottom.module(torch.from_numpy(inputs)).numpy()  # type: ignore[no-any-return]


def backward_embeddings(bottom: Part[Bottom], inputs: Floats, gradient: Floats) -> None:
    """Continue a gradient (n, embedding) from the bank through a passive party's bottom model."""
    bottom.module(torch.from_numpy(inputs)).backward(torch.from_numpy(gradient))


def predict(
    bottom: Part[Bottom], top: Part[Top], inputs: Floats, others: Sequence[Floats], present: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Log odds of default (n,) from the bank's inputs and the passive parties' embeddings."""
    with torch.no_grad():
        embeddings = [torch.from_numpy(embedding) for embedding in others]
        logits = top.module(bottom.module(torch.from_numpy(inputs)), embeddings, torch.from_numpy(present))
        return logits.double().numpy()  # type: ignore[no-any-return]
