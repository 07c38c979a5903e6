"""What the label holder tells the coordinator about a model: a few metrics and points of curves, never rows.

`evaluate` runs where the labels are. What it returns crosses the organisation's border, so every bin and
every step of a curve holds ten applicants or more (`MINIMUM_GROUP`) and a curve has at most 101 points; a
segment with fewer than ten goods or ten bads is withheld, as are more when what was withheld could be had by
subtraction. An `Evaluation` travels as named arrays, see `to_arrays`.

A table is a mapping from column name to a one-dimensional array; `pandas.DataFrame(table)` makes it a frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fl import metrics
from fl.metrics.checks import Booleans, Floats, check_labels, check_pd

MAXIMUM_POINTS = 101
MINIMUM_GROUP = 10
APPROVAL = 0.6
"""The approval rate at which decisions are compared: metric `bad_rate_at_60`."""

METRICS = (
    "auc",
    "auc_low",
    "auc_high",
    "gini",
    "ks",
    "brier",
    "calibration_error",
    "bad_rate",
    "mean_pd",
    "bad_rate_at_60",
)
"""The final metrics, the same for every contender and in this order. All are shares; `auc_low` and `auc_high`
bound the 95 % interval, `bad_rate_at_60` is the bad rate among the 60 % of applicants with the lowest PD."""

Table = Mapping[str, NDArray[Any]]

_SIZE_CLASSES = (0, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)


@dataclass(frozen=True)
class Evaluation:
    """Metrics and tables of one contender on one set of rows.

    `metrics` has the keys `METRICS`. `tables`, by name, with their columns (floats unless said otherwise):

    - `roc`: fpr, tpr, riskiest applicants first;
    - `ks`: pd, bads, goods (shares of each class at or below that PD);
    - `gain`: applicants, bads (shares, riskiest first);
    - `calibration`: predicted, observed, low, high, applicants (int64), by rising PD;
    - `distribution`: low, high (the bin's ends), bads, goods (shares of each class in the bin);
    - `deciles`: decile, applicants, bads (int64, 1 = riskiest), bad_rate, mean_pd, bads_captured, lift;
    - `segments`: segment, level, size, withheld (all str; the last says why or is empty), bad_rate, mean_pd,
      auc, auc_low, auc_high, gini, ks (NaN where withheld); no rows when no segments were given;
    - `importance`, of boosting only: party (str), column (its number), splits (both int64), gain, best first;
    - of the scorecard only, with a row per column that has points: `scorecard`: party, code (both str), column (its
      number), groups, least, most, sign (int64), obeys (bool), information, stability; `groups`, with a row per
      group: party, code, values (str, empty where a party keeps them), applicants (share), points, alone (int64: of a
      business that no passive party knows); `reasons`: code, text, text_zh (str); and with one row `scale`: pdo,
      base_score, base_odds, base, alone_base, score_stability, and bank (str, the party whose alone counts).
    """

    metrics: dict[str, float]
    tables: dict[str, Table]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Flatten to arrays named `metrics/<name>`, shape (1,), and `<table>/<column>`; no pickles."""
        arrays: dict[str, NDArray[Any]] = {
            f"metrics/{name}": np.array([value]) for name, value in self.metrics.items()
        }
        for name, table in self.tables.items():
            arrays |= {f"{name}/{column}": values for column, values in table.items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Evaluation":
        """Inverse of `to_arrays`; ValueError for names without a slash, missing metrics, or ragged tables."""
        tables: dict[str, dict[str, NDArray[Any]]] = {}
        for name, values in arrays.items():
            table, slash, column = name.partition("/")
            if not slash or values.ndim != 1:
                raise ValueError(f"array {name!r} of shape {values.shape} is not a column of an evaluation")
            tables.setdefault(table, {})[column] = values
        for name, columns in tables.items():
            lengths = {column: len(values) for column, values in columns.items()}
            if len(set(lengths.values())) > 1:
                raise ValueError(f"the columns of table {name!r} differ in length: {lengths}")
        final = {name: float(values[0]) for name, values in tables.pop("metrics", {}).items()}
        if missing := [name for name in METRICS if name not in final]:
            raise ValueError(f"the evaluation lacks the metrics {', '.join(missing)}")
        return cls(final, dict(tables))


def evaluate(
    labels: ArrayLike,
    pd: ArrayLike,
    segments: Mapping[str, ArrayLike] | None = None,
) -> Evaluation:
    """Evaluate the PDs of one contender.

    `labels` (n,) 0 or 1; `pd` (n,) in [0, 1]; `segments` maps a column's name to the level of each row, str
    (n,). Raises ValueError as the functions of `fl.metrics` do; both classes need two rows.
    """
    bads = check_labels(labels, each_class=2)
    values = check_pd(pd, len(bads))
    tables: dict[str, Table] = {
        **_curves(bads, values),
        "calibration": metrics.calibration_curve(bads, values, 10, MINIMUM_GROUP)._asdict(),
        "distribution": _distribution(bads, values),
        "deciles": _deciles(bads, values),
        "segments": _segments(bads, values, segments or {}),
    }
    return Evaluation(_metrics(bads, values), tables)


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


def _curves(bads: Booleans, pd: Floats) -> dict[str, Table]:
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


def _distribution(bads: Booleans, pd: Floats) -> Table:
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


def _deciles(bads: Booleans, pd: Floats) -> Table:
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
_NOT_REPORTED = (float("nan"),) * len(_SEGMENT_MEASURES)


def _segments(bads: Booleans, pd: Floats, segments: Mapping[str, ArrayLike]) -> Table:
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
            rows.append(_NOT_REPORTED if withheld[number] else _segment_measures(bads[inside], pd[inside]))
    text = np.array(names, dtype=str).reshape(len(names), len(_SEGMENT_NAMES))
    measures = np.array(rows, dtype=np.float64).reshape(len(rows), len(_SEGMENT_MEASURES))
    return dict(zip(_SEGMENT_NAMES, text.T, strict=True)) | dict(
        zip(_SEGMENT_MEASURES, measures.T, strict=True)
    )


def _segment_measures(bads: Booleans, pd: Floats) -> tuple[float, ...]:
    """Values in the order of `_SEGMENT_MEASURES`."""
    area, _, low, high = metrics.auc_interval(bads, pd)
    return float(bads.mean()), float(pd.mean()), area, low, high, 2 * area - 1, metrics.ks(bads, pd)


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
