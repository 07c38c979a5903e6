"""Is one model better than another, or only luckier? A paired test, and the shift of a distribution."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from fl.metrics.checks import check_labels, check_scores, normal_quantile
from fl.metrics.discrimination import Placements, placements


class Comparison(NamedTuple):
    """The difference of two models on the same rows, first minus second, with its interval and p-value."""

    difference: float
    standard_error: float
    low: float
    high: float
    p_value: float


def delong_test(labels: ArrayLike, a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Comparison:
    """AUC of `a` minus AUC of `b` on the same rows, by DeLong's paired two-sided test (1988).

    Scores that rank the rows alike have difference 0 and p-value 1. Needs two of each class.

    >>> delong_test([0, 1, 0, 1], [0.1, 0.9, 0.2, 0.8], [1, 9, 2, 8]).p_value
    1.0
    """
    bads = check_labels(labels, each_class=2)
    first = placements(bads, check_scores(a, len(bads)))
    second = placements(bads, check_scores(b, len(bads)))
    # The variance of the difference, taken from the differences, is exactly zero for equal rankings, where
    # the usual var(a) + var(b) - 2 cov(a, b) leaves rounding noise.
    paired = Placements(first.bads - second.bads, first.goods - second.goods)
    difference, error = float(paired.bads.mean()), paired.standard_error()
    half = normal_quantile(level) * error
    p_value = float(2 * special.ndtr(-abs(difference) / error)) if error > 0 else float(difference == 0)
    return Comparison(difference, error, difference - half, difference + half, p_value)


def population_stability_index(expected: ArrayLike, actual: ArrayLike, bins: int = 10) -> float:
    """How far the distribution of `actual` (m,) has moved from that of `expected` (n,); 0 = not at all.

    The sum over bins of (q - p) ln(q / p), p and q being the bins' shares; bins are the quantiles of
    `expected`. An empty bin counts as half a row, which keeps the index finite. Custom: below 0.1 stable,
    above 0.25 shifted (Siddiqi, Credit Risk Scorecards, 2006).

    >>> population_stability_index([1, 2, 3, 4], [1, 2, 3, 4], bins=2)
    0.0
    >>> round(population_stability_index([1, 2, 3, 4], [3, 3, 4, 1], bins=2), 3)
    0.275
    """
    before, after = check_scores(expected), check_scores(actual)
    if bins < 1 or not len(before) or not len(after):
        raise ValueError(f"cannot compare {len(before)} with {len(after)} rows in {bins} bins")
    inner = np.unique(np.quantile(before, np.linspace(0, 1, bins + 1)[1:-1]))
    groups = (np.searchsorted(inner, values, side="left") for values in (before, after))
    return stability_index(*(np.bincount(group, minlength=len(inner) + 1) for group in groups))


def stability_index(before: NDArray[np.int64], after: NDArray[np.int64]) -> float:
    """Population stability index between the rows of each group (m,) then and now; an empty one counts half a row."""
    then, now = (np.maximum(rows, 0.5) / max(1, rows.sum()) for rows in (before, after))
    return float(np.sum((now - then) * np.log(now / then)))
