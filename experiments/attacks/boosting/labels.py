"""What a passive party, or a coordinator that opens letters, could learn of labels from the nodes that rows are in.

Rows in one leaf behave alike, so whoever knows some labels can guess those of rows that often share a leaf with them.
The attacks are those on gradients (`experiments.attacks.labels`), on a row's leaves in all trees as a vector, each
leaf scaled by its spread so that sharing a small one counts for more; and one that only looks at which of two children
is lighter. Judged on training rows, a passive party on those that it knows.
"""

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from experiments.attacks.boosting.nodes import (
    leaves,
    levels_in_letters,
    levels_of_party,
    lightness,
)
from experiments.attacks.boosting.recording import Recording
from experiments.attacks.labels import either_way, play_on_vectors

COORDINATOR = "the coordinator"
LIGHTER = "lighter children"


def play(recording: Recording, receiver: str, rng: np.random.Generator) -> pd.DataFrame:
    """The success (AUC) of every attack of a passive party, by name, or of the `COORDINATOR` with the letters opened.

    `received` is from the nodes that it sees, and `own` from its own columns alone; the coordinator has none.
    """
    training, positions = recording.training, recording.positions[recording.training]
    rows, own, levels = np.ones(len(positions), bool), None, list(levels_in_letters(recording))
    if receiver != COORDINATOR:
        rows = recording.joined.coverage[receiver][positions]
        own, levels = (
            recording.own_inputs(receiver)[positions[rows]],
            list(levels_of_party(recording, receiver)),
        )
    labels, vectors = recording.joined.labels[positions[rows]], leaves(levels, training)[rows]
    results = {LIGHTER: (float("nan"), either_way(labels, lightness(levels, training)[rows]))}
    results |= play_on_vectors(own, StandardScaler().fit_transform(vectors), labels, rng)
    return pd.DataFrame.from_dict(results, orient="index", columns=["own", "received"])
