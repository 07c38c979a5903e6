"""What a passive party could learn of labels from the nodes that rows are in.

Rows in one leaf behave alike, so whoever knows some labels can guess those of rows that often share a leaf with them.
The attacks are those on gradients (`experiments.attacks.labels`), on a row's leaves in all trees as a vector, each
leaf scaled by its spread so that sharing a small one counts for more; and one that only looks at which of two children
is lighter. Judged on training rows that the party knows.
"""

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from experiments.attacks.boosting.nodes import leaves, levels_of_party, lightness
from experiments.attacks.boosting.recording import Recording
from experiments.attacks.labels import either_way, play_on_vectors
from experiments.attacks.report import Attack
from experiments.attacks.tables import KNOWLEDGE

LIGHTER = "lighter children"


def play(recording: Recording, party: str, rng: np.random.Generator) -> pd.DataFrame:
    """The success (AUC) of every attack of a passive party.

    `received` is from the nodes that it sees, and `own` from its own columns alone.
    """
    training, positions = recording.training, recording.positions[recording.training]
    rows, levels = recording.joined.coverage[party][positions], list(levels_of_party(recording, party))
    own, labels = recording.own_inputs(party)[positions[rows]], recording.joined.labels[positions[rows]]
    vectors = StandardScaler().fit_transform(leaves(levels, training)[rows])
    results = {LIGHTER: (float("nan"), either_way(labels, lightness(levels, training)[rows]))}
    results |= play_on_vectors(own, vectors, labels, rng)
    return pd.DataFrame.from_dict(results, orient="index", columns=["own", "received"])


LABELS = Attack(
    recording=Recording,
    play=play,
    on_labels=True,
    title="What {party} could tell of labels (AUC)",
    first="attack",
    caption=(
        "own: from its own columns alone; then from the nodes that it sees rows in. bank-first: "
        f"first-tree-bank-only; leaves: min-leaf-count. {KNOWLEDGE}"
    ),
)
