"""How well does a score tell bads from goods? AUC and its interval, Gini, KS, and the curves behind them."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from fl.metrics.checks import Booleans, Floats, check_labels, check_pd, check_scores, normal_quantile


class AucInterval(NamedTuple):
    """An AUC, its standard error, and the ends of its confidence interval."""

    auc: float
    standard_error: float
    low: float
    high: float


class RocCurve(NamedTuple):
    """Shares of goods (`fpr`) and bads (`tpr`) refused at each cut-off; (k,), from (0, 0) to (1, 1)."""

    fpr: Floats
    tpr: Floats
    thresholds: Floats


class KsCurve(NamedTuple):
    """Cumulative shares of `bads` and `goods` that score at or below each of `thresholds`; floats (k,)."""

    thresholds: Floats
    bads: Floats
    goods: Floats


class GainCurve(NamedTuple):
    """Share of all `bads` among the riskiest share of `applicants`; floats (k,), from (0, 0) to (1, 1)."""

    applicants: Floats
    bads: Floats


class Placements(NamedTuple):
    """For each bad the share of goods it outranks, for each good the share of bads that outrank it.

    DeLong's structural components: the mean of either is the AUC, and their variances give its variance.
    """

    bads: Floats
    goods: Floats

    def standard_error(self) -> float:
        """DeLong's standard error of the mean; needs two rows of each class."""
        return float(np.sqrt(sum(values.var(ddof=1) / len(values) for values in self)))


def placements(bads: Booleans, scores: Floats) -> Placements:
    """Placements by midranks in O(n log n): Sun and Xu (2014), IEEE Signal Processing Letters 21(11)."""
    overall = midranks(scores)
    outranked_by_bads = overall[bads] - midranks(scores[bads])
    outranked_by_goods = overall[~bads] - midranks(scores[~bads])
    return Placements(outranked_by_bads / (~bads).sum(), 1.0 - outranked_by_goods / bads.sum())


def midranks(values: Floats) -> Floats:
    """Ranks from 1, ties sharing their mean rank."""
    # As SciPy's `rankdata`, whose module takes half a second to import in every process.
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(sizes) - (sizes - 1) / 2)[group], np.float64)


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a bad scores above a good, ties counting one half.

    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    bads = check_labels(labels)
    values = check_scores(scores, len(bads))
    ranks = float(midranks(values)[bads].sum())
    bad, good = int(bads.sum()), int((~bads).sum())
    return (ranks - bad * (bad + 1) / 2) / (bad * good)


def expected_auc(true_pd: ArrayLike, scores: ArrayLike) -> float:
    """The AUC to expect of scores (n,), higher meaning riskier, where each row defaults by its true PD (n,).

    Every ordered pair of rows counts by the chance that its first defaults and its second does not, as if rows
    defaulted independently of each other; ties count one half. It is the ratio of both expectations, and has none of
    the noise of which rows did default. Raises ValueError where no pair can have both outcomes.

    >>> expected_auc([0.0, 0.0, 1.0, 1.0], [0.1, 0.4, 0.35, 0.8])
    0.75
    >>> round(expected_auc([0.2, 0.2, 0.4], [0.1, 0.2, 0.3]), 3)
    0.667
    """
    values = np.asarray(scores, np.float64)
    bads = check_pd(true_pd, len(values))
    _, group = np.unique(check_scores(values, len(bads)), return_inverse=True)
    bad, good = np.bincount(group, bads), np.bincount(group, 1 - bads)
    with_itself = float((bads * (1 - bads)).sum())
    pairs = bad.sum() * good.sum() - with_itself
    if pairs <= 0:
        raise ValueError("no pair of rows can have a default and none")
    return float((bad @ (good.cumsum() - good / 2) - with_itself / 2) / pairs)


def auc_interval(
    labels: ArrayLike, scores: ArrayLike, level: float = 0.95, scale: Literal["logit", "plain"] = "logit"
) -> AucInterval:
    """AUC with its interval by the variance of DeLong, DeLong, Clarke-Pearson (1988), Biometrics 44(3).

    On the `logit` scale the interval stays within (0, 1) and covers better near the ends; `plain` is
    symmetric and cut at 0 and 1. With perfect separation the variance is zero and the interval is the point.
    Needs two of each class.
    """
    bads = check_labels(labels, each_class=2)
    if scale not in ("logit", "plain"):
        raise ValueError(f"scale must be 'logit' or 'plain', not {scale!r}")
    placed = placements(bads, check_scores(scores, len(bads)))
    area, error = auc(bads, scores), placed.standard_error()
    half = normal_quantile(level) * error
    if scale == "plain" or not 0 < area < 1:
        return AucInterval(area, error, max(area - half, 0.0), min(area + half, 1.0))
    middle, half = special.logit(area), half / (area * (1 - area))
    low, high = special.expit(np.array([middle - half, middle + half]))
    return AucInterval(area, error, float(low), float(high))


def gini(labels: ArrayLike, scores: ArrayLike) -> float:
    """Gini coefficient (accuracy ratio, Somers' D): 2 AUC - 1.

    >>> gini([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.5
    """
    return 2 * auc(labels, scores) - 1


def cumulative_counts(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Distinct `scores` in rising order (k,), and the numbers of bads and of all rows at or below each."""
    bads = check_labels(labels)
    distinct, group = np.unique(check_scores(scores, len(bads)), return_inverse=True)
    return distinct, np.bincount(group, bads).cumsum(), np.bincount(group).cumsum().astype(np.float64)


def ks_curve(labels: ArrayLike, scores: ArrayLike) -> KsCurve:
    """Cumulative distributions of the two classes at each distinct score, in rising order."""
    thresholds, bad, rows = cumulative_counts(labels, scores)
    good = rows - bad
    return KsCurve(thresholds, bad / bad[-1], good / good[-1])


def ks(labels: ArrayLike, scores: ArrayLike) -> float:
    """Two-sample Kolmogorov-Smirnov statistic: the largest distance between the classes' distributions."""
    curve = ks_curve(labels, scores)
    return float(np.abs(curve.goods - curve.bads).max())


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> RocCurve:
    """ROC curve with one point for each distinct score, refusing from the riskiest down.

    A threshold refuses the scores at or above it; the first one is infinity and refuses nobody.
    """
    negated, bad, rows = cumulative_counts(labels, -np.asarray(scores, np.float64))
    good = rows - bad
    return RocCurve(
        np.append(0.0, good / good[-1]), np.append(0.0, bad / bad[-1]), np.append(np.inf, -negated)
    )


def gain_curve(labels: ArrayLike, scores: ArrayLike) -> GainCurve:
    """Cumulative gain (cumulative accuracy profile): the bads found among the riskiest applicants.

    >>> gain_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).bads.tolist()  # of 0, 1, 2, 3 and 4 applicants
    [0.0, 0.5, 0.5, 1.0, 1.0]
    """
    _, bad, rows = cumulative_counts(labels, -np.asarray(scores, np.float64))
    return GainCurve(np.append(0.0, rows / rows[-1]), np.append(0.0, bad / bad[-1]))
