"""What a passive party could learn about single labels from the gradients that it receives.

Two attacks look at one batch at a time: `norm` (a row's gradient is long where the model errs, which is mostly on
defaults) and `direction` (rows of one class point the same way), both of Li et al., "Label Leakage and Protection in
Two-party Split Learning", ICLR 2022. A defence by noise must also stand up to patience: a row appears in many
batches, the noise is fresh in each, and an average over them tells more (`averaged`).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.attacks.labels import TOGETHER, Labels, cosine, norm, play_on_vectors, success
from experiments.attacks.network.recording import Batch, Recording
from experiments.attacks.report import Attack
from experiments.attacks.tables import KNOWLEDGE


def play(recording: Recording, party: str, rng: np.random.Generator) -> pd.DataFrame:
    """The success of every attack of a party: `received`, from the gradients, and `own`, from its own columns.

    The index names the attack, and the labels that it knows if any; NaN where the own columns give it nothing to do.
    """
    all_labels, batches = recording.joined.labels, recording.gradients(party)
    rows, gradients = averaged(batches)
    inputs, labels = recording.own_inputs(party)[rows], all_labels[rows]
    results = {
        "each batch: norm": (float("nan"), norm_per_batch(batches, all_labels)),
        "each batch: direction, 1 default": (float("nan"), direction_per_batch(batches, all_labels)),
        "average: norm": (norm(inputs, labels), norm(gradients, labels)),
    }
    for name, pair in play_on_vectors(inputs, gradients, labels, rng).items():
        results[name if name == TOGETHER else f"average: {name}"] = pair
    return pd.DataFrame.from_dict(results, orient="index", columns=["own", "received"])


LABELS = Attack(
    recording=Recording,
    play=play,
    on_labels=True,
    title="What {party} could tell of labels (AUC)",
    first="attack",
    caption=f"own: from its own columns alone; then from the gradients under each defence. {KNOWLEDGE}",
)


def norm_per_batch(batches: Sequence[Batch], labels: Labels) -> float:
    """Mean over batches of the AUC of the row norms; knows nothing."""
    judged = [batch for batch in batches if len(np.unique(labels[batch.rows])) == 2]
    return float(np.mean([norm(batch.gradient, labels[batch.rows]) for batch in judged]))


def direction_per_batch(batches: Sequence[Batch], labels: Labels) -> float:
    """Mean over batches of the AUC of the cosine with one default's gradient; knows one default in every batch."""
    successes = []
    for batch in batches:
        of_rows = labels[batch.rows]
        known = np.flatnonzero(of_rows)[:1]
        if len(np.unique(np.delete(of_rows, known))) == 2:
            successes.append(success(cosine(batch.gradient, known), of_rows, known))
    return float(np.mean(successes))


def averaged(batches: Sequence[Batch]) -> tuple[NDArray[np.int_], NDArray[np.float64]]:
    """Each row's gradient summed over all batches that had it, (k, embedding), and which rows those are (k,).

    A batch counts by its root mean square, since its noise grows with it.
    """
    scales = [np.sqrt(np.mean(np.square(batch.gradient, dtype=np.float64))) for batch in batches]
    scaled = [batch.gradient / max(scale, 1e-30) for batch, scale in zip(batches, scales, strict=True)]
    totals = (
        pd.DataFrame(np.concatenate(scaled)).groupby(np.concatenate([batch.rows for batch in batches])).sum()
    )
    return totals.index.to_numpy(), totals.to_numpy()
