"""A bottom model that was trained by labels is completed with few of them, better than a fresh one."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.attacks.labels import success
from experiments.attacks.network.completion import bottom_weights, completed
from fl.config.network import NetworkConfig
from fl.network.models import Bottom, Part, embed, new_bottom

pytestmark = pytest.mark.slow

CONFIG = NetworkConfig(embedding=4, batches=40, weight_decay=0.0)


def test_a_bottom_model_that_knows_the_labels_needs_few_of_them() -> None:
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(800, 40)).astype(np.float32)
    labels = (inputs[:, 0] > 0).astype(np.int8)
    known = np.concatenate([np.flatnonzero(labels == label)[:5] for label in (0, 1)])
    fresh = new_bottom(40, 1, "tax", CONFIG)
    # Its first embedding is the column that decides.
    weights = np.zeros(4 * 40 + 4, np.float32)
    weights[0] = 5
    trained = Part(Bottom(40, CONFIG), CONFIG, replace(fresh.state(), weights=weights))

    aucs = [
        success(completed(bottom, inputs, labels, known, 1, CONFIG), labels, known)
        for bottom in (trained, fresh)
    ]

    assert aucs[0] > 0.9
    assert aucs[1] < 0.8


def test_a_party_has_the_weights_of_its_bottom_model() -> None:
    inputs = np.random.default_rng(2).normal(size=(200, 10)).astype(np.float32)
    bottom = new_bottom(10, 3, "tax", CONFIG)

    weights = bottom_weights(inputs, embed(bottom, inputs))

    np.testing.assert_allclose(weights, bottom.weights(), atol=1e-4)
