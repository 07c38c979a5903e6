"""What a tree learns from: fixed-point gradients and hessians of the log loss, and samples of rows and columns.

Gradients are whole numbers of units of 2^−precision, so that sums are exact in any order and under any encryption.
Where bads are rare they are a few units, and rounding to the nearest would take the same from nearly every row. Then
they are rounded up in some rows and down in others, so that errors cancel out in sums (stochastic rounding: Shi et al.,
"Quantized Training of Gradient Boosting Decision Trees", NeurIPS 2022; here by an even sequence instead of chance).

Samples of rows and columns are drawn from the run's seed, which everybody knows, since labels have no part in them.
GOSS (Ke et al., "LightGBM", NeurIPS 2017; for SecureBoost+: Chen et al. 2021) keeps the rows with the largest
gradients: whoever saw which rows are kept would know defaulters (in the first tree two thirds of them). So here all
rows are encrypted, those left out as zeros. That keeps the statistics of GOSS and its effect on the model, and saves
no time.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fl.config.boosting import BoostingConfig
from fl.errors import ConfigError
from fl.seeds import generator

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
MOST_WEIGHT = 4.0
"""The greatest weight of a row by reweighing."""
_FINE = 16
"""Units of a hessian at the share of bads from which on rounding to the nearest is good enough."""
_GOLDEN = (5**0.5 - 1) / 2
"""Its multiples modulo 1 spread evenly."""


def base_score(labels: NDArray[np.int8]) -> float:
    """Where scores start: the log odds of the training rows."""
    return log_odds_of(float(labels.mean()))


def log_odds_of(share: float) -> float:
    """The log odds of a share of bads."""
    return float(np.log(share / (1 - share)))


def gradients(
    scores: Floats,
    labels: NDArray[np.int8],
    precision: int,
    weights: Floats | None = None,
    *,
    by_row: bool = False,
) -> Integers:
    """Gradient and hessian of the log loss at scores (n,), in units of 2^−precision: int64 (n, 2).

    weights (n,) are how much each row counts; without them each counts once. The product is rounded, not the weight.
    Where bads are rare a row is rounded by its place among these rows, which must be the same in every call. With
    `by_row` the numbers of a row depend on nothing but the row, as differential privacy needs it.

    >>> labels = np.array([0, 1], np.int8)
    >>> gradients(np.zeros(2), labels, precision=10).tolist()  # at a PD of one half
    [[512, 256], [-512, 256]]
    >>> gradients(np.zeros(2), labels, precision=10, weights=np.array([1.0, 1.5])).tolist()
    [[512, 256], [-768, 384]]
    """
    pd = expit(scores)
    of_rows = np.stack([pd - labels, pd * (1 - pd)], -1)
    if weights is not None:
        of_rows *= weights[:, None]
    units, share = of_rows * (1 << precision), float(labels.mean())
    if by_row or share * (1 - share) * (1 << precision) >= _FINE:
        return np.asarray(np.rint(units), np.int64)
    spread = np.arange(1, len(units) + 1) * _GOLDEN % 1
    return np.asarray(np.floor(units + spread[:, None]), np.int64)


def reweighing(
    segment: str,
    segments: Mapping[str, NDArray[np.str_]],
    labels: NDArray[np.int8],
    training: NDArray[np.bool_],
) -> Floats | None:
    """A weight for each of n rows under which group and label are independent in training; None if no segment is named.

    The weight of a group g and label y is P(g) · P(y) / P(g, y), by shares of the training rows (Kamiran and Calders,
    "Data preprocessing techniques for classification without discrimination", 2012), but `MOST_WEIGHT` at most, since
    the range of encrypted numbers must not depend on the data. segments are the levels (n,) of each row by name. Raises
    ConfigError for a segment that there is not.

    >>> groups, labels = np.array(["a", "a", "a", "b", "b", "b"]), np.array([0, 0, 1, 0, 1, 1], np.int8)
    >>> reweighing("size", {"size": groups}, labels, training=np.ones(6, bool)).tolist()
    [0.75, 0.75, 1.5, 1.5, 0.75, 0.75]
    """
    if not segment:
        return None
    if segment not in segments:
        raise ConfigError(
            f"Setting 'boosting.reweigh' must be one of the bank's segments ({', '.join(segments)}), not {segment!r}."
        )
    groups = np.unique(segments[segment], return_inverse=True)[1]
    rows = np.zeros((groups.max() + 1, 2))
    np.add.at(rows, (groups[training], labels[training]), 1)
    expected = rows.sum(axis=1, keepdims=True) * rows.sum(axis=0) / rows.sum()
    weights = np.minimum(np.divide(expected, rows, out=np.ones_like(rows), where=rows > 0), MOST_WEIGHT)
    return np.asarray(weights[groups, labels])


def ranges(config: BoostingConfig) -> tuple[tuple[int, int], ...]:
    """Least and greatest gradient and hessian that can be encrypted."""
    unit, factor = 1 << config.precision, goss_factor(config) * (MOST_WEIGHT if config.reweigh else 1)
    return (-int(np.ceil(unit * factor)), int(np.ceil(unit * factor))), (0, int(np.ceil(unit / 4 * factor)))


def most_entries(training: NDArray[np.bool_], config: BoostingConfig) -> int:
    """The most numbers of one group in an encryption: sent ahead of a tree, a row may stand there twice (`layouts`)."""
    return int(training.sum()) * (2 if roots_ahead(config) else 1)


def roots_ahead(config: BoostingConfig) -> bool:
    """Whether gradients for the next root are sent with a tree's last splits: not where several trees decide."""
    return config.ahead == "tree" and config.parallel == 1


def sampled_rows(
    training: NDArray[np.bool_], seed: int, trees: Sequence[int], share: float
) -> NDArray[np.bool_]:
    """The training rows that each of p trees learns from, (p, n) bool."""
    samples, rows = np.tile(training, (len(trees), 1)), np.flatnonzero(training)
    if share < 1:
        for sample, tree in zip(samples, trees, strict=True):
            order = generator(seed, "rows", str(tree)).permutation(rows)
            sample[order[max(1, round(share * len(rows))) :]] = False
    return samples


def sampled_columns(
    columns: int, party: str, seed: int, trees: Sequence[int], share: float
) -> NDArray[np.bool_]:
    """The columns of a party that each of p trees may use, (p, c) bool: equally many, at least one if it has any."""
    orders = [generator(seed, "columns", party, str(tree)).permutation(columns) for tree in trees]
    return np.stack(
        [np.isin(np.arange(columns), order[: max(1, round(share * columns))]) for order in orders]
    )


def goss_factor(config: BoostingConfig) -> float:
    """By how much GOSS multiplies the rows that it draws among those of small gradient."""
    return (1 - config.goss_top) / config.goss_other if config.goss_top else 1.0


def goss_weights(
    magnitudes: Integers, rows: NDArray[np.bool_], config: BoostingConfig, rng: np.random.Generator
) -> Floats:
    """A weight for each of n rows: 1 for the largest magnitudes among `rows`, the factor for a few others, else 0.

    magnitudes (n,) are gradients of the round before, without their signs: with the next one's the encryption would
    have to wait for its own result. rng must be the bank's secret.
    """
    members = np.flatnonzero(rows)
    order = members[np.argsort(-magnitudes[members], kind="stable")]
    top, other = round(config.goss_top * len(order)), round(config.goss_other * len(order))
    weights = np.zeros(len(rows))
    weights[order[:top]] = 1
    weights[rng.permutation(order[top:])[:other]] = goss_factor(config)
    return weights
