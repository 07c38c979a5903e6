"""What a passive party could learn about single labels from the gradients that it receives.

Two attacks look at one batch at a time: `norm` (a row's gradient is long where the model errs, which is mostly on
defaults) and `direction` (rows of one class point the same way), both of Li et al., "Label Leakage and Protection in
Two-party Split Learning", ICLR 2022. A defence by noise must also stand up to patience: a row appears in many
batches, the noise is fresh in each, and an average over them tells more (`averaged`). Success is the AUC of an
attack's scores on the labels: 0.5 is a guess. What the party's own columns tell under the same knowledge is the
yardstick, since a party may always look at its own data: only what goes beyond has leaked.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from experiments.attacks.inputs import own_inputs
from experiments.attacks.recording import Batch, Recording

Vectors = NDArray[np.floating]
Labels = NDArray[np.int8]

REGRESSION = "regression, 1,000 labels"
TOGETHER = "the same beside own columns"

DRAWS = 20
"""How often an attack that knows some labels is repeated, each time with others."""


def play(recording: Recording, party: str, bins: int, rng: np.random.Generator) -> pd.DataFrame:
    """The success of every attack of a party: `gradients`, from what it received, and `own`, from its own columns.

    The index names the attack, and the labels that it knows if any; NaN where the own columns give it nothing to do.
    """
    all_labels, batches = recording.joined.labels, recording.gradients(party)
    rows, gradients = averaged(batches, len(all_labels))
    inputs, labels = own_inputs(recording.joined, recording.roles, party, bins)[rows], all_labels[rows]
    results = {
        "each batch: norm": (float("nan"), norm_per_batch(batches, all_labels)),
        "each batch: direction, 1 default": (float("nan"), direction_per_batch(batches, all_labels)),
    }
    results["average: norm"] = norm(inputs, labels), norm(gradients, labels)
    on_average = play_on_vectors(inputs, gradients, labels, rng)
    results |= {name if name == TOGETHER else f"average: {name}": pair for name, pair in on_average.items()}
    return pd.DataFrame.from_dict(results, orient="index", columns=["own", "gradients"])


def play_on_vectors(
    inputs: Vectors | None, received: Vectors, labels: Labels, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Success of attacks on a vector per row: by the party's own inputs (NaN without any), and by what it received."""
    attacks: dict[str, Callable[..., float]] = {
        "principal component": principal_component,
        "direction, 1 default": partial(direction, rng=rng, known=1),
        "direction, 20 defaults": partial(direction, rng=rng, known=20),
        REGRESSION: partial(learned, rng=rng, known=1_000),
    }
    results = {}
    for name, attack in attacks.items():
        alone = float("nan") if inputs is None else attack(inputs, labels)
        results[name] = alone, attack(received, labels)
    if inputs is not None:
        together = np.concatenate([StandardScaler().fit_transform(received), inputs], axis=1)
        alone, _ = results[REGRESSION]
        results[TOGETHER] = alone, learned(together, labels, rng, known=1_000)
    return results


def norm_per_batch(batches: Sequence[Batch], labels: Labels) -> float:
    """Mean over batches of the AUC of the row norms; knows nothing."""
    return float(
        np.mean([norm(batch.gradient, labels[batch.rows]) for batch in batches if _both(labels[batch.rows])])
    )


def direction_per_batch(batches: Sequence[Batch], labels: Labels) -> float:
    """Mean over batches of the AUC of the cosine with one default's gradient; knows one default in every batch."""
    successes = []
    for batch in batches:
        of_rows = labels[batch.rows]
        known = np.flatnonzero(of_rows)[:1]
        if _both(np.delete(of_rows, known)):
            successes.append(_success(cosine(batch.gradient, known), of_rows, known))
    return float(np.mean(successes))


def averaged(batches: Sequence[Batch], rows: int) -> tuple[NDArray[np.int_], NDArray[np.float64]]:
    """Each row's gradient summed over all batches that had it, (k, embedding), and which rows those are (k,).

    A batch counts by its root mean square, since its noise grows with it.
    """
    width = batches[0].gradient.shape[1]
    total, seen = np.zeros((rows, width)), np.zeros(rows, bool)
    for batch in batches:
        scale = np.sqrt(np.mean(np.square(batch.gradient, dtype=np.float64)))
        np.add.at(total, batch.rows, batch.gradient / max(scale, 1e-30))
        seen[batch.rows] = True
    return np.flatnonzero(seen), total[seen]


def norm(vectors: Vectors, labels: Labels) -> float:
    """Success of the rows' norms, shorter or longer; knows nothing."""
    return either_way(labels, np.linalg.norm(vectors, axis=1))


def principal_component(vectors: Vectors, labels: Labels) -> float:
    """Success of the direction in which the rows differ most, either way round; knows nothing."""
    centred = vectors - vectors.mean(axis=0)
    values = centred @ np.linalg.svd(centred.T @ centred)[2][0]
    return either_way(labels, values)


def direction(vectors: Vectors, labels: Labels, rng: np.random.Generator, known: int) -> float:
    """Mean success of the cosine with the mean of some known defaults."""
    defaults = np.flatnonzero(labels)
    draws = [rng.choice(defaults, min(known, len(defaults) // 2), replace=False) for _ in range(DRAWS)]
    return float(np.mean([_success(cosine(vectors, chosen), labels, chosen) for chosen in draws]))


def learned(vectors: Vectors, labels: Labels, rng: np.random.Generator, known: int) -> float:
    """Mean success of a logistic regression that was fitted on rows whose labels are known, good and bad."""
    scaled = StandardScaler().fit_transform(vectors)
    successes = []
    for _ in range(DRAWS // 4):
        chosen = rng.choice(len(labels), min(known, len(labels) // 2), replace=False)
        model = LogisticRegression(C=0.01, max_iter=500).fit(scaled[chosen], labels[chosen])
        successes.append(_success(model.decision_function(scaled), labels, chosen))
    return float(np.mean(successes))


def cosine(vectors: Vectors, known: NDArray[np.int_]) -> NDArray[np.float64]:
    """The cosine of each row with the mean of the known rows; 0 for a row of zeros."""
    pattern = vectors[known].mean(axis=0, dtype=np.float64)
    length = np.linalg.norm(vectors, axis=1) * np.linalg.norm(pattern)
    cosines: NDArray[np.float64] = vectors @ pattern / np.maximum(length, 1e-30)
    return cosines


def _success(scores: NDArray[np.floating], labels: Labels, known: NDArray[np.int_]) -> float:
    """AUC on the rows whose label the attacker does not know already."""
    unknown = np.ones(len(labels), bool)
    unknown[known] = False
    return float(roc_auc_score(labels[unknown], scores[unknown]))


def either_way(labels: Labels, scores: NDArray[np.floating]) -> float:
    """AUC of scores whose sign means nothing yet: whoever knows a few labels will turn them the right way."""
    area = float(roc_auc_score(labels, scores))
    return max(area, 1 - area)


def _both(labels: Labels) -> bool:
    return bool(0 < labels.sum() < len(labels))
