"""Attacks on labels by a vector for each row, such as its gradient, or the leaves that it falls into.

Success is the AUC of an attack's scores on the labels: 0.5 is a guess. What the party's own columns tell under the same
knowledge is the yardstick, since a party may always look at its own data: only what goes beyond has leaked.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import StandardScaler

Vectors = NDArray[np.floating]
Labels = NDArray[np.int8]

REGRESSION = "regression, 1,000 labels"
TOGETHER = "the same beside own columns"

DRAWS = 20
"""How often an attack that knows some labels is repeated, each time with others."""


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
    results = {
        name: (float("nan") if inputs is None else attack(inputs, labels), attack(received, labels))
        for name, attack in attacks.items()
    }
    if inputs is not None:
        together = np.concatenate([StandardScaler().fit_transform(received), inputs], axis=1)
        results[TOGETHER] = results[REGRESSION][0], learned(together, labels, rng, known=1_000)
    return results


def norm(vectors: Vectors, labels: Labels) -> float:
    """Success of the rows' norms, shorter or longer; knows nothing."""
    return either_way(labels, np.linalg.norm(vectors, axis=1))


def principal_component(vectors: Vectors, labels: Labels) -> float:
    """Success of the direction in which the rows differ most, either way round; knows nothing."""
    return either_way(labels, PCA(1, svd_solver="covariance_eigh").fit_transform(vectors)[:, 0])


def direction(vectors: Vectors, labels: Labels, rng: np.random.Generator, known: int) -> float:
    """Mean success of the cosine with the mean of some known defaults."""
    defaults = np.flatnonzero(labels)
    draws = [rng.choice(defaults, min(known, len(defaults) // 2), replace=False) for _ in range(DRAWS)]
    return float(np.mean([success(cosine(vectors, chosen), labels, chosen) for chosen in draws]))


def learned(vectors: Vectors, labels: Labels, rng: np.random.Generator, known: int) -> float:
    """Mean success of a logistic regression that was fitted on rows whose labels are known, good and bad."""
    scaled = StandardScaler().fit_transform(vectors)
    successes = []
    for _ in range(DRAWS // 4):
        chosen = rng.choice(len(labels), min(known, len(labels) // 2), replace=False)
        model = LogisticRegression(C=0.01, max_iter=500).fit(scaled[chosen], labels[chosen])
        successes.append(success(model.decision_function(scaled), labels, chosen))
    return float(np.mean(successes))


def cosine(vectors: Vectors, known: NDArray[np.int_]) -> NDArray[np.float64]:
    """The cosine of each row with the mean of the known rows; 0 for a row of zeros."""
    pattern = vectors[known].mean(axis=0, dtype=np.float64, keepdims=True)
    cosines: NDArray[np.float64] = cosine_similarity(vectors, pattern)[:, 0]
    return cosines


def success(scores: NDArray[np.floating], labels: Labels, known: NDArray[np.int_]) -> float:
    """AUC on the rows whose label the attacker does not know already."""
    return float(roc_auc_score(np.delete(labels, known), np.delete(scores, known)))


def either_way(labels: Labels, scores: NDArray[np.floating]) -> float:
    """AUC of scores whose sign means nothing yet: whoever knows a few labels will turn them the right way."""
    area = float(roc_auc_score(labels, scores))
    return max(area, 1 - area)
