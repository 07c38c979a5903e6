"""Evaluating a model where the labels are: the metrics, curves and tables of an `Evaluation`."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fl import metrics
from fl.evaluation import APPROVAL, MAXIMUM_POINTS, MINIMUM_GROUP, Columns, Evaluation, Fit
from fl.metrics.checks import Booleans, Floats, check_labels, check_pd

_SIZE_CLASSES = (0, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)


def evaluate(
    labels: ArrayLike,
    pd: ArrayLike,
    segments: Mapping[str, ArrayLike] | None = None,
) -> Evaluation:
    """Evaluate the PDs of one contender.

    `labels` (n,) 0 or 1; `pd` (n,) in [0, 1]; `segments` maps a column's name to the level of each row, str
    (n,). Raises ValueError as the functions of `fl.metrics` do; both classes need two rows.

    >>> sectors = ["retail"] * 70 + ["transport"] * 10
    >>> told = evaluate([0, 1] * 40, np.linspace(0.1, 0.9, 80), {"sector": sectors})
    >>> told.tables["segments"]["withheld"].tolist()
    ['would reveal a smaller segment', 'fewer than 10 goods or bads']
    """
    bads = check_labels(labels, each_class=2)
    values = check_pd(pd, len(bads))
    tables: dict[str, Columns] = {
        **_curves(bads, values),
        "calibration": metrics.calibration_curve(bads, values, 10, MINIMUM_GROUP)._asdict(),
        "distribution": _distribution(bads, values),
        "deciles": _deciles(bads, values),
        "segments": _segments(bads, values, segments or {}),
    }
    return Evaluation(_metrics(bads, values), tables)


def fit_of(scores: Floats, labels: NDArray[np.int8], training: Booleans) -> Fit:
    """How log odds (n,) fit the labels (n,) of the rows that train, and of all others, which validate."""
    validation = ~training
    return Fit(
        train_loss=log_loss(scores[training], labels[training]),
        validation_auc=metrics.auc(labels[validation], scores[validation]),
        validation_loss=log_loss(scores[validation], labels[validation]),
    )


def log_loss(scores: Floats, labels: NDArray[np.int8]) -> float:
    """Mean log loss of scores (n,) in log odds."""
    return float(np.mean(np.logaddexp(0, scores) - labels * scores))


def _metrics(bads: Booleans, pd: Floats) -> dict[str, float]:
    area, _, low, high = metrics.auc_interval(bads, pd)
    return {
        "auc": area,
        "auc_low": low,
        "auc_high": high,
        "gini": 2 * area - 1,
        "ks": metrics.ks(bads, pd),
        "brier": metrics.brier(bads, pd),
        "calibration_error": metrics.expected_calibration_error(bads, pd),
        "bad_rate": float(bads.mean()),
        "mean_pd": float(pd.mean()),
        "bad_rate_at_60": metrics.bad_rate_at_approval(bads, pd, APPROVAL),
    }


def _curves(bads: Booleans, pd: Floats) -> dict[str, Columns]:
    """ROC, KS and gain curve, read off at the same evenly spaced shares of applicants, riskiest first.

    Within a group of equal PDs the exact curves run straight, so that reading them between two points is
    exact.
    """
    steps = max(1, min(MAXIMUM_POINTS - 1, len(bads) // MINIMUM_GROUP))
    shares = np.linspace(0, 1, steps + 1)
    gain, roc = metrics.gain_curve(bads, pd), metrics.roc_curve(bads, pd)
    tpr = np.interp(shares, gain.applicants, gain.bads)
    fpr = np.interp(shares, gain.applicants, roc.fpr)
    # The least and the greatest PD are somebody's; 0 and 1 say as much about the curve.
    cut_offs = np.concatenate([[0.0], np.quantile(pd, shares[1:-1]), [1.0]])
    return {
        "roc": {"fpr": fpr, "tpr": tpr},
        "ks": {"pd": cut_offs, "bads": 1 - tpr[::-1], "goods": 1 - fpr[::-1]},
        "gain": {"applicants": shares, "bads": tpr},
    }


def _distribution(bads: Booleans, pd: Floats) -> Columns:
    """Shares of each class in up to 20 bins, which meet midway between the PDs that they part.

    The outermost ends have the mean PD of their bin in the middle, as the least and greatest PD are
    somebody's.
    """
    group = metrics.quantile_bins(pd, 20, MINIMUM_GROUP)
    count = int(group.max()) + 1
    inside = [pd[group == number] for number in range(count)]
    parted = [(below.max() + above.min()) / 2 for below, above in pairwise(inside)]
    lowest = max(0.0, 2 * inside[0].mean() - parted[0]) if parted else 0.0
    highest = min(1.0, 2 * inside[-1].mean() - parted[-1]) if parted else 1.0
    ends = np.array([lowest, *parted, highest])
    return {
        "low": ends[:-1],
        "high": ends[1:],
        "bads": np.bincount(group[bads], minlength=count) / bads.sum(),
        "goods": np.bincount(group[~bads], minlength=count) / (~bads).sum(),
    }


def _deciles(bads: Booleans, pd: Floats) -> Columns:
    """Bads by tenths of the applicants (fewer where PDs tie or rows are few), 1 = riskiest."""
    group = metrics.quantile_bins(-pd, 10, MINIMUM_GROUP)
    rows, bad = np.bincount(group), np.bincount(group[bads], minlength=int(group.max()) + 1)
    return {
        "decile": np.arange(1, len(rows) + 1),
        "applicants": rows,
        "bads": bad,
        "bad_rate": bad / rows,
        "mean_pd": np.bincount(group, weights=pd) / rows,
        "bads_captured": bad.cumsum() / bads.sum(),
        "lift": bad / rows / bads.mean(),
    }


_SEGMENT_NAMES = ("segment", "level", "size", "withheld")
_SEGMENT_MEASURES = ("bad_rate", "mean_pd", "auc", "auc_low", "auc_high", "gini", "ks")


def _segments(bads: Booleans, pd: Floats, segments: Mapping[str, ArrayLike]) -> Columns:
    """The measures of each level of each segment column, or why they are withheld."""
    names: list[tuple[str, str, str, str]] = []
    rows: list[tuple[float, ...]] = []
    for segment, column in segments.items():
        of_row = np.asarray(column).astype(str)
        if of_row.shape != bads.shape:
            raise ValueError(f"segment {segment!r} has shape {of_row.shape}; there are {len(bads)} labels")
        levels, group = np.unique(of_row, return_inverse=True)
        sizes = np.bincount(group)
        withheld = _withheld(np.bincount(group[bads], minlength=len(levels)), sizes)
        for number, level in enumerate(levels):
            inside = group == number
            names.append((segment, str(level), _size_class(int(sizes[number])), withheld[number]))
            if withheld[number]:
                rows.append((float("nan"),) * len(_SEGMENT_MEASURES))
            else:
                of_level = _metrics(bads[inside], pd[inside])
                rows.append(tuple(of_level[name] for name in _SEGMENT_MEASURES))
    text = np.array(names, dtype=str).reshape(len(names), len(_SEGMENT_NAMES))
    measures = np.array(rows, dtype=np.float64).reshape(len(rows), len(_SEGMENT_MEASURES))
    return dict(zip(_SEGMENT_NAMES, text.T, strict=True)) | dict(
        zip(_SEGMENT_MEASURES, measures.T, strict=True)
    )


def _withheld(bad: NDArray[np.int64], sizes: NDArray[np.int64]) -> list[str]:
    """For each level of a segment why it is withheld, or an empty text.

    Withholding one small level alone would be in vain, as it is the total less all others. So the smallest
    reported levels follow until the withheld ones together hold the minimum of both classes.
    """
    good = sizes - bad
    small = (bad < MINIMUM_GROUP) | (good < MINIMUM_GROUP)
    reason = np.where(small, f"fewer than {MINIMUM_GROUP} goods or bads", "").tolist()
    for number in np.argsort(sizes, kind="stable"):
        hidden = np.array([bool(text) for text in reason])
        if not hidden.any() or min(bad[hidden].sum(), good[hidden].sum()) >= MINIMUM_GROUP:
            break
        if not hidden[number]:
            reason[number] = "would reveal a smaller segment"
    return [str(text) for text in reason]


def _size_class(rows: int) -> str:
    """The number of rows as a class such as "50–99", for the exact number would let totals be subtracted."""
    above = [bound for bound in _SIZE_CLASSES if bound > rows]
    below = [bound for bound in _SIZE_CLASSES if bound <= rows][-1]
    if not above:
        return f"{below:,} or more"
    return f"{below:,}–{above[0] - 1:,}" if below else f"under {above[0]}"
