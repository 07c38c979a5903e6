"""Is a predicted PD of 4 % followed by 4 % of defaults? Reliability curve, Brier score, calibration error."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fl.metrics.checks import Floats, check_labels, check_pd, check_scores, normal_quantile


class CalibrationCurve(NamedTuple):
    """Mean PD and observed bad rate with its 95 % Wilson interval, in bins of rising PD; all (k,)."""

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    applicants: NDArray[np.int64]


def quantile_bins(values: ArrayLike, bins: int, minimum: int = 1) -> NDArray[np.int64]:
    """Number the rows (n,) by `bins` bins of near-equal size in rising order; equal values share a bin.

    Numbers run from 0 without gaps. There are fewer than `bins` where ties or few rows leave some with less
    than `minimum` rows, which are then joined with the next bin, the last with the one before.

    >>> quantile_bins([1, 2, 3, 4, 5], bins=5, minimum=2).tolist()
    [0, 0, 1, 1, 1]
    """
    numbers = check_scores(values)
    if bins < 1 or not len(numbers):
        raise ValueError(f"cannot sort {len(numbers)} rows into {bins} bins")
    group = np.searchsorted(np.quantile(numbers, np.linspace(0, 1, bins + 1)[1:-1]), numbers, side="left")
    joined, number, held, left = np.zeros(bins, dtype=np.int64), 0, 0, len(numbers)
    for bin_, rows in enumerate(np.bincount(group, minlength=bins)):
        joined[bin_] = number
        held, left = held + rows, left - rows
        if held >= minimum and left >= minimum:
            number, held = number + 1, 0
    return joined[group]


def wilson_interval(bads: ArrayLike, rows: ArrayLike, level: float = 0.95) -> tuple[Floats, Floats]:
    """Interval of the bad rate `bads / rows`, elementwise; Wilson (1927), JASA 22; sound at 0 and 1.

    >>> low, high = wilson_interval(bads=0, rows=50)  # no default among 50 is no proof that there are none
    >>> round(float(high), 3)
    0.071
    """
    bad, total = np.asarray(bads, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    z2 = normal_quantile(level) ** 2
    rate = bad / total
    middle = (rate + z2 / (2 * total)) / (1 + z2 / total)
    half = np.sqrt(z2 * (rate * (1 - rate) + z2 / (4 * total)) / total) / (1 + z2 / total)
    return np.clip(middle - half, 0.0, rate), np.clip(middle + half, rate, 1.0)


def calibration_curve(labels: ArrayLike, pd: ArrayLike, bins: int = 10, minimum: int = 1) -> CalibrationCurve:
    """Reliability curve in bins of near-equal size and at least `minimum` rows (see `quantile_bins`)."""
    bads = check_labels(labels)
    values = check_pd(pd, len(bads))
    group = quantile_bins(values, bins, minimum)
    rows = np.bincount(group)
    bad = np.bincount(group, weights=bads)
    low, high = wilson_interval(bad, rows)
    return CalibrationCurve(np.bincount(group, weights=values) / rows, bad / rows, low, high, rows)


def brier(labels: ArrayLike, pd: ArrayLike) -> float:
    """Brier score: mean squared distance of the PD from the outcome; Brier (1950). Lower is better."""
    bads = check_labels(labels)
    return float(np.mean((check_pd(pd, len(bads)) - bads) ** 2))


def expected_calibration_error(labels: ArrayLike, pd: ArrayLike, bins: int = 10) -> float:
    """Mean distance of the predicted from the observed bad rate over bins of near-equal size.

    Naeini, Cooper and Hauskrecht (2015), AAAI, with quantile bins, weighted by their size: bins of equal
    width would put nearly all applicants of a portfolio with few defaults into one.

    >>> expected_calibration_error([0, 0, 0, 1], [0.1, 0.1, 0.1, 0.1], bins=1)  # 10 % predicted, 25 % observed
    0.15
    """
    curve = calibration_curve(labels, pd, bins)
    return float(np.average(np.abs(curve.predicted - curve.observed), weights=curve.applicants))
