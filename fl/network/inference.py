"""The trained split network at work: what it says of a row depends on that row alone.

A matrix product adds up in an order that changes with the number of rows, so the last bits of a row's result would
depend on which rows happen to be scored beside it. Here every sum runs over the columns one after the other, row by
row, and a business has the same PD bit for bit among a thousand others or alone.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fl.network import Floats
from fl.network.models import Bottom, Top


def embed(bottom: Bottom, inputs: Floats) -> Floats:
    """A party's embeddings float32 (n, embedding) of its inputs (n, inputs)."""
    return linear(bottom.linear, inputs)


def log_odds(
    bottom: Bottom, top: Top, inputs: Floats, others: Sequence[Floats], present: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Log odds of default (n,) from the bank's inputs and the passive parties' embeddings.

    others (n, embedding) per passive party may hold anything where present (n, passive) is false.
    """
    unknown = top.unknown.detach().numpy()
    filled = [np.where(present[:, k, None], embedding, unknown[k]) for k, embedding in enumerate(others)]
    joined = np.concatenate([embed(bottom, inputs), *filled], axis=1)
    first, last = cast(nn.Linear, top.hidden[0]), cast(nn.Linear, top.hidden[2])
    hidden = linear(last, np.maximum(linear(first, joined), 0))
    return (linear(top.linear, joined) + hidden)[:, 0].astype(np.float64)


def linear(layer: nn.Linear, inputs: Floats) -> Floats:
    """The layer's outputs float32 (n, outputs) of inputs (n, inputs)."""
    outputs = np.zeros((len(inputs), layer.out_features), np.float32)
    if layer.bias is not None:
        outputs += layer.bias.detach().numpy()
    for column, weights in zip(inputs.T, layer.weight.detach().numpy().T, strict=True):
        outputs += column[:, None] * weights
    return outputs
