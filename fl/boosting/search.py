"""The best split of each node, from sums of gradients and hessians per bin and nothing else.

The gain is that of second-order boosting (Friedman 2001; Chen and Guestrin, "XGBoost", KDD 2016). A candidate sends
to the left the bins up to one of them and, each way, the missing values and the businesses that the party does not
know: both directions are learned. Where a node gives no reason for a direction, the heavier side is taken. The levels
of a category are first put in the order of their smoothed ratios of gradient and hessian (Fisher 1958; Ke et al.,
"LightGBM", NeurIPS 2017), missing being one of them; those that have too few rows in the node to stand alone go to
the right. Sums are integers, so each candidate has exactly one gain, whoever computes it.

A node's sums in one party's columns are int64 (columns, width, 2), the gradient's first, width being the most bins of
any column; candidates have the shape (columns, width, 2, 2): the missing left or not, the unknown left or not. Sums,
counts and candidates stand at the homes of merged bins (`merging`), (columns, width).
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl.binning import UNKNOWN, Shape
from fl.boosting.forest import Splits
from fl.config.boosting import BoostingConfig

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class BestSplit:
    """The best split of a node in one party's columns.

    left      bool (256,): whether a bin goes left; at index UNKNOWN, businesses that the party does not know
    sums      int64 (2, 2): gradient and hessian of the left child, then of the right one
    weights   of the two children, before the learning rate
    """

    gain: float
    column: int
    left: Flags
    sums: Integers
    weights: tuple[float, float]


def weight(sums: Any, low: Any, high: Any, config: BoostingConfig) -> Any:
    """The best leaf weight within bounds, for sums (…, 2) of fixed-point gradients and hessians."""
    scale = float(1 << config.precision)
    return np.clip(-(sums[..., 0] / scale) / (sums[..., 1] / scale + config.l2), low, high)


def allowed(counts: Integers, total: int, homes: Integers, shape: Shape, minimum: int, used: Flags) -> Flags:
    """Candidates whose children both have `minimum` rows: bool (columns, width, 2, 2).

    Of a category a candidate is one level against the rest, since a party does not know the order.
    counts (columns, width) are a node's rows per bin, total all its rows; used (columns,) are the columns in play.
    """
    used = used[:, None] & (homes == np.arange(shape.width))
    left = _left_sums(counts[..., None], np.array([total]), shape, shape.ordered)[..., 0]
    return (left >= minimum) & (total - left >= minimum) & used[:, :, None, None]


def is_candidate(column: int, left: Flags, candidates: Flags, homes: Integers, shape: Shape) -> bool:
    """Whether `search` can choose the split of a column (0 … c − 1) that sends the bins `left`, (256,), to the left.

    candidates are what `allowed` says of the node, homes (columns, width) its merged bins. Of a category any set of
    levels may go left that each have rows enough, but not all of them, since their order is the label holder's.
    """
    in_width, unknown = left[: shape.width], int(left[UNKNOWN])
    if (in_width != in_width[homes[column]]).any() or left[shape.width : UNKNOWN].any():
        return False
    if shape.ordered[column]:
        gap = bool(shape.missing[column])
        values = in_width[: shape.bins[column] - gap]
        missing, count = int(gap and in_width[shape.bins[column] - 1]), int(values.sum())
        return count > 0 and bool(values[:count].all() and candidates[column, count - 1, missing, unknown])
    alone = candidates[column, :, 0, 0]
    levels = np.flatnonzero(in_width & (homes[column] == np.arange(shape.width)))
    if not len(levels) or not alone[levels].all():
        return False
    return len(levels) < alone.sum() or bool(alone.sum() == 1 and candidates[column, levels[0], 0, unknown])


def keeps_groups(left: Flags, homes: Integers, column: int, shape: Shape) -> bool:
    """Whether the bins (256,) that a split sends left are groups of merged bins, for homes (width,) of the column.

    Of an ordered column these are its lowest values, with the missing ones or without.
    """
    bins = left[: shape.bins[column]]
    if (bins != left[homes[: len(bins)]]).any() or left[shape.width : UNKNOWN].any():
        return False
    values = bins[: len(bins) - bool(shape.missing[column])].astype(np.int8)
    return not (shape.ordered[column] and (np.diff(values) > 0).any())


def search(
    sums: Integers,
    total: Integers,
    bounds: tuple[float, float],
    candidates: Flags,
    homes: Integers,
    shape: Shape,
    config: BoostingConfig,
) -> BestSplit | None:
    """The best split of a node in one party's columns, or None where none gains anything.

    total (2,) are the node's sums, bounds those of its weight; candidates as in `allowed`. Ties go to the first
    column and bin. Merged bins go the same way.
    """
    if not candidates.any():
        return None
    orders, sums, candidates = _in_order(sums, candidates, shape, config)
    left = _left_sums(sums, total, shape, np.ones(len(shape), bool))
    right = total - left
    weights = weight(left, *bounds, config), weight(right, *bounds, config)
    gains = _value(left, weights[0], config) + _value(right, weights[1], config)
    gains -= _value(total, weight(total, *bounds, config), config)
    least = config.min_leaf_weight * (1 << config.precision)
    fit = candidates & (left[..., 1] >= least) & (right[..., 1] >= least)
    if config.monotone:
        signs = np.where(shape.ordered, shape.signs, 0)[:, None, None, None]
        fit &= signs * (weights[1] - weights[0]) >= 0
    gains = np.where(fit, gains, -np.inf)
    column, bin_ = divmod(int(np.argmax(gains.max(axis=(2, 3)))), gains.shape[1])
    gain = float(gains[column, bin_].max())
    if not gain > config.min_gain:
        return None
    # Directions on which nothing depends follow the heavier side, of those that are equally good.
    heavier = int(2 * left[column, bin_, 0, 0, 1] >= total[1])
    directions = itertools.product((heavier, 1 - heavier), repeat=2)
    missing, unknown = next(pair for pair in directions if gains[column, bin_, *pair] == gain)
    where = column, bin_, missing, unknown
    return BestSplit(
        gain,
        column,
        _left_bins(shape, homes, column, orders[column][: bin_ + 1], bool(missing), bool(unknown)),
        np.stack([left[where], right[where]]),
        (float(weights[0][where]), float(weights[1][where])),
    )


def splits_of(best: Mapping[int, tuple[int, BestSplit]], owner: int) -> Splits:
    """An owner's splits in the order of the nodes."""
    splits = [split for _, (who, split) in sorted(best.items()) if who == owner]
    return Splits(
        np.array([split.column for split in splits], np.int64),
        np.packbits(np.array([split.left for split in splits], bool).reshape(-1, 256), axis=1),
    )


def child_bounds(
    split: BestSplit, shape: Shape, bounds: tuple[float, float], config: BoostingConfig
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Bounds of the children's weights, so that what a monotone split orders no later split can turn round."""
    sign = int(shape.signs[split.column]) if config.monotone and shape.ordered[split.column] else 0
    middle = (split.weights[0] + split.weights[1]) / 2
    lower, upper = (bounds[0], middle), (middle, bounds[1])
    return (bounds, bounds) if not sign else (lower, upper) if sign > 0 else (upper, lower)


def _in_order(
    sums: Integers, candidates: Flags, shape: Shape, config: BoostingConfig
) -> tuple[Integers, Integers, Flags]:
    """Bins in the order in which they go left: that order (c, width), and sums and candidates in it."""
    orders = np.tile(np.arange(sums.shape[1]), (len(shape), 1))
    sums, candidates = sums.copy(), candidates.copy()
    for column in np.flatnonzero(~shape.ordered):
        alone = candidates[column, :, 0, 0]
        smoothed = sums[column, :, 1] + config.category_smoothing * (1 << config.precision)
        ratios = sums[column, :, 0] / np.maximum(smoothed, 1)
        order = np.argsort(np.where(alone, ratios, np.inf), kind="stable")
        orders[column], sums[column] = order, sums[column][order]
        # While a level that can stand alone stays on the right, both sides have rows enough.
        several = np.arange(len(order)) < alone.sum() - 1
        first = candidates[column, order[0]].copy() if alone.sum() == 1 else False
        candidates[column] = several[:, None, None]
        candidates[column, 0] |= first
    return orders, sums, candidates


def _left_sums(sums: Integers, total: Integers, shape: Shape, upwards: Flags) -> Integers:
    """What each candidate sends left: sums (c, width, k) to (c, width, 2, 2, k); nothing beyond a column's last cut.

    upwards (c,): all bins up to one go left, else that one alone.
    """
    gap = shape.missing & shape.ordered
    # Of an ordered column the bin of missing values is no candidate: its sums go left by direction only.
    last = sums[np.arange(len(shape)), shape.bins - 1]
    missing = np.where(gap[:, None], last, 0)
    unknown = total - sums.sum(axis=1)
    base = np.where(upwards[:, None, None], sums.cumsum(axis=1), sums)
    left = np.zeros((*base.shape[:2], 2, 2, base.shape[2]), np.int64) + base[:, :, None, None]
    left[:, :, 1] += missing[:, None, None]
    left[:, :, :, 1] += unknown[:, None, None]
    left[np.arange(sums.shape[1]) >= (shape.bins - gap)[:, None]] = 0
    return left


def _value(sums: Any, weights: Any, config: BoostingConfig) -> Any:
    scale = float(1 << config.precision)
    gradient, hessian = sums[..., 0] / scale, sums[..., 1] / scale
    return -(2 * gradient * weights + (hessian + config.l2) * weights * weights)


def _left_bins(
    shape: Shape, homes: Integers, column: int, bins: Integers, missing: bool, unknown: bool
) -> Flags:
    left = np.zeros(256, bool)
    left[bins] = True
    if shape.ordered[column] and shape.missing[column]:
        left[shape.bins[column] - 1] = missing
    left[: shape.width] = left[homes[column]]
    left[UNKNOWN] = unknown
    return left
