"""Inputs are found from the first embeddings: exactly where these are enough, and nearly by what columns look like."""

import numpy as np
import pytest

from experiments.attacks.network.initial import invert, prior
from fl.config.network import NetworkConfig
from fl.network.models import embed, new_bottom
from fl.network.preprocessing import Encoder
from fl.tables import Table


def encoded(rows: int) -> tuple[Encoder, np.ndarray]:
    """Five columns: three of many values, one of few, one with gaps."""
    rng = np.random.default_rng(1)
    numeric = rng.normal(size=(rows, 5))
    numeric[:, 1] = np.exp(numeric[:, 1])
    numeric[:, 3] = rng.integers(0, 3, rows)
    numeric[rng.random(rows) < 0.2, 4] = np.nan
    kinds = rng.integers(0, 3, (rows, 1)).astype(np.int32)
    table = Table(numeric, tuple("abcde"), kinds, ("kind",), (("x", "y", "z"),), np.ones(rows, bool))
    encoder = Encoder.fit(table, np.arange(rows), bins=8)
    return encoder, encoder.transform(table, np.arange(rows))


@pytest.mark.parametrize(("embedding", "least"), [(16, 0.75), (64, 0.999)])
def test_initial_weights_turn_embeddings_back_into_inputs(embedding: int, least: float) -> None:
    encoder, inputs = encoded(1_000)
    bottom = new_bottom(encoder.width, 1, "tax", NetworkConfig(embedding=embedding))
    linear = bottom.module.linear
    weights, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()

    moments = prior(encoder, 8, np.random.default_rng(2))
    estimated = invert(embed(bottom, inputs), weights, bias, *moments)

    places = np.cumsum([0, *(column.width for column in encoder.numeric)])[:-1]
    assert all(np.corrcoef(estimated[:, at], inputs[:, at])[0, 1] ** 2 > least for at in places)
