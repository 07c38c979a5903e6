"""What a passive party, and a coordinator that opens letters, could learn of single labels from the nodes that rows fall into.

Rows in one leaf behave alike, so whoever knows some labels can guess those of rows that often share a leaf with them.
The attacks are those on gradients (`experiments.attacks.labels`), on a row's leaves in all trees as a vector, each
leaf scaled by its spread so that sharing a small one counts for more; and one that only looks at which of two children
is lighter. Judged on training rows, a passive party on those that it knows.
"""

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from experiments.attacks.boosting.nodes import (
    Level,
    leaves,
    levels_in_letters,
    levels_of_party,
    lightness,
)
from experiments.attacks.boosting.recording import Recording
from experiments.attacks.inputs import own_inputs
from experiments.attacks.labels import either_way, play_on_vectors

LIGHTER = "lighter children"


def play(recording: Recording, party: str, bins: int, rng: np.random.Generator) -> pd.DataFrame:
    """The success (AUC) of every attack of a party: `nodes` from what it received, `own` from its own columns alone."""
    positions = recording.positions[recording.training]
    known = recording.joined.coverage[party][positions]
    own = own_inputs(recording.joined, recording.roles, party, bins)[positions[known]]
    return _play(recording, list(levels_of_party(recording, party)), known, own, rng)


def play_coordinator(recording: Recording, rng: np.random.Generator) -> pd.DataFrame:
    """The same of a coordinator that opens the letters it carries; it has no columns."""
    every = np.ones(int(recording.training.sum()), bool)
    return _play(recording, list(levels_in_letters(recording)), every, None, rng)


def _play(
    recording: Recording,
    levels: list[Level],
    rows: np.ndarray,
    own: np.ndarray | None,
    rng: np.random.Generator,
) -> pd.DataFrame:
    labels = recording.joined.labels[recording.positions[recording.training]][rows]
    light = lightness(levels, recording.training)[rows]
    vectors = StandardScaler().fit_transform(leaves(levels, recording.training)[rows])
    results = {LIGHTER: (float("nan"), either_way(labels, light))}
    results |= play_on_vectors(own, vectors, labels, rng)
    return pd.DataFrame.from_dict(results, orient="index", columns=["own", "nodes"])
