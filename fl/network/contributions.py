"""What each party, and each column of the bank, adds to the log odds that the split network gives a row.

The parties' shares are exact Shapley values: a passive party that is left out is replaced by the learned embedding of
an unknown business, and the bank by the average training row. The bank's share is exactly divided among its columns by
Aumann and Shapley ("Values of Non-Atomic Games", 1974): all of them move together from the average to the row, and each
has what its own movement adds on the way. (Integrated gradients, Sundararajan et al., ICML 2017, are the same; with
dozens of columns their coalitions are too many to count.) The bank's bottom model is linear and the top one has one
hidden layer, so the integral has a closed form: a hidden unit is active on one part of the way.
"""

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fl.network import Floats
from fl.network.models import Bottom, Top
from fl.shapley import shapley_matrix

Doubles = NDArray[np.float64]


def contributions(
    bottom: Bottom,
    top: Top,
    inputs: Floats,
    mean: Doubles,
    others: Sequence[Floats],
    present: NDArray[np.bool_],
) -> tuple[Doubles, Doubles]:
    """What each passive party adds (n, passive), and what each of the bank's inputs adds (n, inputs).

    mean (inputs,) is the average training row; inputs, others and present are those of `inference.log_odds`.
    """
    weights, size = _weights(bottom.linear), bottom.linear.out_features
    first, last, direct = _weights(top.hidden[0]), _weights(top.hidden[2])[0], _weights(top.linear)[0]
    moved = inputs - mean
    embedding = bottom.linear.bias.detach().double().numpy() + weights @ mean
    unknown = top.unknown.detach().double().numpy()
    # Of each party, the bank first: the hidden units and the log odds that it moves when it joins.
    blocks = [slice(number * size, (number + 1) * size) for number in range(1 + len(others))]
    joins = [moved @ weights.T]
    for number, other in enumerate(others):
        joins.append(np.where(present[:, number, None], other - unknown[number], 0.0))
    hidden = [change @ first[:, block].T for change, block in zip(joins, blocks, strict=True)]
    start = np.concatenate([embedding, *unknown]) @ first.T
    start = start + cast(nn.Linear, top.hidden[0]).bias.detach().double().numpy()
    coalitions = np.arange(1 << len(joins))
    members = (coalitions[:, None] >> np.arange(len(joins))) & 1
    reached = [
        start + sum(units for units, is_in in zip(hidden, row, strict=True) if is_in) for row in members
    ]
    values = np.stack(
        [np.broadcast_to(np.maximum(units, 0) @ last, len(inputs)) for units in reached], axis=1
    )
    matrix = shapley_matrix(len(joins))
    shares = values @ matrix
    for number, (change, block) in enumerate(zip(joins, blocks, strict=True)):
        shares[:, number] += change @ direct[block]
    # How far each hidden unit follows the bank's columns, in the mean over coalitions of the others.
    follows = np.zeros_like(hidden[0])
    for coalition in coalitions[members[:, 0] == 0]:
        before, change = np.maximum(reached[coalition], 0), hidden[0]
        after = np.maximum(reached[coalition] + change, 0)
        active = np.where(reached[coalition] > 0, 1.0, 0.0) + np.zeros_like(change)
        part = np.divide(after - before, change, out=active, where=np.abs(change) > 1e-12)
        follows += matrix[coalition + 1, 0] * np.clip(part, 0, 1)
    slopes = (follows * last) @ (first[:, blocks[0]] @ weights) + direct[blocks[0]] @ weights
    return shares[:, 1:], slopes * moved


def _weights(layer: nn.Module) -> Doubles:
    return np.asarray(cast(nn.Linear, layer).weight.detach().double().numpy(), np.float64)
