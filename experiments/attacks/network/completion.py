"""Model completion: a passive party puts a head of its own on its bottom model and fine-tunes both with few labels.

Fu et al., "Label inference attacks against vertical federated learning", USENIX Security 2022. The bottom model was
trained by gradients that come from labels, so its embeddings tell labels apart better than the columns do, and fewer
known labels are enough. The yardstick is the same from a fresh bottom model. No gradient is looked at.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.attacks.labels import Labels, success
from experiments.attacks.network.recording import Recording
from experiments.attacks.report import Attack
from experiments.attacks.tables import KNOWLEDGE
from fl.config.network import NetworkConfig
from fl.network import Floats
from fl.network.models import Bottom, Part, backward, new_bottom, new_top, predict

KNOWN = (10, 50, 250)
"""Labels of either class that the party knows."""
DRAWS = 5
"""How often an attack is repeated, each time with other known labels."""
STEPS = 60
"""Of the fine-tuning."""


def play(recording: Recording, party: str, rng: np.random.Generator) -> pd.DataFrame:
    """The success (AUC) of completing the party's bottom model: `own` from a fresh one, `received` from the trained.

    On the training rows that the party knows.
    """
    config = replace(recording.config.section(NetworkConfig), batches=STEPS)
    rows, embeddings = recording.embeddings(party)
    training = np.isin(rows, recording.training(party))
    inputs, labels = recording.own_inputs(party)[rows[training]], recording.joined.labels[rows[training]]
    weights = bottom_weights(inputs, embeddings[training])
    results = {}
    for count in KNOWN:
        aucs = []
        for draw in range(DRAWS):
            known = np.concatenate([_some(np.flatnonzero(labels == label), count, rng) for label in (0, 1)])
            fresh = new_bottom(inputs.shape[1], draw, party, config)
            trained = Part(Bottom(inputs.shape[1], config), config, replace(fresh.state(), weights=weights))
            aucs.append(
                [
                    success(completed(bottom, inputs, labels, known, draw, config), labels, known)
                    for bottom in (fresh, trained)
                ]
            )
        results[f"knows {2 * count} labels"] = np.mean(aucs, axis=0)
    return pd.DataFrame.from_dict(results, orient="index", columns=["own", "received"])


def bottom_weights(inputs: Floats, embeddings: Floats) -> Floats:
    """The weights (w,) of a bottom model, which the party has, by what it makes of inputs (n, inputs)."""
    with_bias = np.column_stack([inputs, np.ones(len(inputs))]).astype(np.float64)
    matrix = np.linalg.lstsq(with_bias, embeddings.astype(np.float64), rcond=None)[0]
    return np.concatenate([matrix[:-1].T.ravel(), matrix[-1]]).astype(np.float32)


def completed(
    bottom: Part[Bottom],
    inputs: Floats,
    labels: Labels,
    known: NDArray[np.int_],
    seed: int,
    config: NetworkConfig,
) -> NDArray[np.float64]:
    """The PD (n,) of every row by the bottom model and a fresh head, after learning from the known rows."""
    head = new_top(0, float(labels[known].mean()), seed, config)
    nobody = np.empty((len(inputs), 0), bool)
    for _ in range(config.batches):
        backward(bottom, head, inputs[known], [], nobody[known], labels[known])
        bottom.update()
        head.update()
    return predict(bottom, head, inputs, [], nobody)


def _some(rows: NDArray[np.int_], count: int, rng: np.random.Generator) -> NDArray[np.int_]:
    return rng.choice(rows, min(count, len(rows) // 2), replace=False)


COMPLETION = Attack(
    recording=Recording,
    play=play,
    on_labels=True,
    title="What {party} could tell of labels by completing its model (AUC)",
    first="attack",
    caption=f"own: from a fresh bottom model; then from the trained ones under each defence. {KNOWLEDGE}",
)
