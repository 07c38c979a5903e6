"""The search against the plainest one: try every candidate on the rows themselves."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fl.binning import UNKNOWN, Shape
from fl.boosting.merging import merge, merged, unmerged
from fl.boosting.search import allowed, child_bounds, is_candidate, keeps_groups, search, weight
from fl.config.boosting import BoostingConfig
from fl.sums import counts_by_bin, sums_by_bin

FREE = (-np.inf, np.inf)
SHAPE = Shape(
    np.array([5, 4, 3, 2]),
    np.array([1, 0, 1, 0]),
    np.array([True, True, False, False]),
    np.array([1, -1, 0, 0], np.int8),
)
ALONE = unmerged(1, SHAPE)[0]


def rows(seed: int, count: int, unknown: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(0, bins, count) for bins in SHAPE.bins], 1).astype(np.uint8)
    codes[rng.random(count) < unknown] = UNKNOWN
    return codes, np.stack([rng.integers(-1000, 1000, count), rng.integers(1, 256, count)], 1)


def node_of(codes: np.ndarray, values: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and sums by bin, of a node with all these rows."""
    node = np.zeros(len(codes), np.int16)
    return counts_by_bin(codes, node, 1, width)[0], sums_by_bin(codes, values, node, 1, width)[0]


def every_split(codes: np.ndarray, values: np.ndarray, config: BoostingConfig) -> list[tuple[int, set[int]]]:
    """Column and bins that go left, UNKNOWN among them, of every candidate."""
    found = []
    for column, bins in enumerate(SHAPE.bins):
        if not SHAPE.ordered[column]:
            found += [(column, left) for left in level_sets(codes[:, column], values, int(bins), config)]
            continue
        gap = {int(bins) - 1} if SHAPE.missing[column] and SHAPE.ordered[column] else set()
        for bin_ in range(int(bins) - len(gap)):
            base = set(range(bin_ + 1))
            for missing, unknown in itertools.product((set(), gap), (set(), {UNKNOWN})):
                found.append((column, base | missing | unknown))
    return found


def level_sets(codes: np.ndarray, values: np.ndarray, bins: int, config: BoostingConfig) -> list[set[int]]:
    """Sets of levels of a category, in the order of their ratios, of those that can stand alone."""

    def ratio(level: int) -> float:
        gradient, hessian = values[codes == level].sum(axis=0)
        return gradient / (hessian + config.category_smoothing * 2**config.precision)

    rows = {level: (codes == level).sum() for level in range(bins)}
    alone = [level for level, count in rows.items() if config.min_leaf_count <= count]
    alone = [level for level in alone if len(codes) - rows[level] >= config.min_leaf_count]
    alone.sort(key=ratio)
    sizes = range(1, len(alone)) if len(alone) > 1 else range(1, 1 + len(alone))
    return [set(alone[:size]) | unknown for size in sizes for unknown in (set(), {UNKNOWN})]


def gain_of(codes: np.ndarray, values: np.ndarray, column: int, left: set, config: BoostingConfig) -> float:
    """The gain of a split by the textbook, −inf where it is not allowed."""
    side = np.isin(codes[:, column], list(left))
    unit = 2.0**config.precision
    score, weights = 0.0, []
    for part in (side, ~side):
        gradient, hessian = values[part].sum(axis=0) / unit
        if part.sum() < config.min_leaf_count or hessian < config.min_leaf_weight:
            return -np.inf
        score += gradient**2 / (hessian + config.l2)
        weights.append(-gradient / (hessian + config.l2))
    if config.monotone and SHAPE.signs[column] * (weights[1] - weights[0]) < 0:
        return -np.inf
    gradient, hessian = values.sum(axis=0) / unit
    return score - gradient**2 / (hessian + config.l2)


@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 60),
    unknown=st.sampled_from([0.0, 0.3, 1.0]),
    least=st.integers(1, 8),
    monotone=st.booleans(),
)
# The best split is that of a category's only level with rows enough.
@example(seed=3869, count=24, unknown=0.3, least=6, monotone=False)
def test_the_best_of_all_candidates_is_found(
    seed: int, count: int, unknown: float, least: int, monotone: bool
) -> None:
    config = BoostingConfig(min_leaf_count=least, min_leaf_weight=0.5, l2=1.0, monotone=monotone)
    codes, values = rows(seed, count, unknown)
    gains = {
        (column, frozenset(left)): gain_of(codes, values, column, left, config)
        for column, left in every_split(codes, values, config)
    }
    best = max(gains.values())

    counts, sums = node_of(codes, values, SHAPE.width)
    fit = allowed(counts, count, ALONE, SHAPE, least, np.ones(4, bool))
    found = search(sums, values.sum(axis=0), FREE, fit, ALONE, SHAPE, config)

    if found is None:
        assert best <= 1e-9
        return
    assert found.gain == pytest.approx(best)
    left = frozenset(np.flatnonzero(found.left).tolist())
    side = np.isin(codes[:, found.column], list(left))
    assert gain_of(codes, values, found.column, set(left), config) == pytest.approx(best)
    np.testing.assert_array_equal(found.sums, [values[side].sum(axis=0), values[~side].sum(axis=0)])


@given(seed=st.integers(0, 10**6), minimum=st.integers(1, 12))
def test_merged_bins_go_the_same_way_and_sums_are_those_of_the_sides(seed: int, minimum: int) -> None:
    config = BoostingConfig(min_leaf_count=2, min_leaf_weight=0.0, monotone=False)
    codes, values = rows(seed, 50, 0.2)
    counts, sums = node_of(codes, values, SHAPE.width)
    homes = merge(counts[None, None], ALONE[None], SHAPE, minimum)
    counts, sums = merged(counts[None], homes)[0], merged(sums[None], homes)[0]
    fit = allowed(counts, 50, homes[0], SHAPE, 2, np.ones(4, bool))
    found = search(sums, values.sum(axis=0), FREE, fit, homes[0], SHAPE, config)
    if found is None:
        return
    side = found.left[codes[:, found.column]]
    np.testing.assert_array_equal(found.sums, [values[side].sum(axis=0), values[~side].sum(axis=0)])
    bins = range(SHAPE.bins[found.column])
    assert all(found.left[bin_] == found.left[homes[0, found.column, bin_]] for bin_ in bins)
    assert is_candidate(found.column, found.left, fit, homes[0], SHAPE)
    for bin_ in np.flatnonzero(homes[0, found.column] != np.arange(SHAPE.width)):
        torn = found.left.copy()
        torn[bin_] = ~torn[bin_]
        assert not is_candidate(found.column, torn, fit, homes[0], SHAPE)


@given(seed=st.integers(0, 10**6), minimum=st.integers(2, 12))
def test_a_split_that_keeps_to_merged_bins_has_rows_enough_on_a_side_or_none(seed: int, minimum: int) -> None:
    codes, values = rows(seed, 40, 0.2)
    counts, _ = node_of(codes, values, SHAPE.width)
    homes = merge(counts[None, None], unmerged(1, SHAPE), SHAPE, minimum)[0]
    kept = 0
    for column in range(4):
        known = codes[:, column] != UNKNOWN
        for flags in itertools.product((False, True), repeat=int(SHAPE.bins[column])):
            left = np.zeros(256, bool)
            left[: len(flags)] = flags
            side = left[codes[known, column]]
            if keeps_groups(left, homes[column], column, SHAPE):
                assert (
                    all(count == 0 or count >= minimum for count in (side.sum(), (~side).sum()))
                    or known.sum() < minimum
                )
                kept += 1
    assert kept >= 8  # none and all of each column, at least


def test_a_split_keeps_to_merged_bins_and_to_the_order_of_values() -> None:
    homes = np.array([1, 1, 2, 3, 4])
    for bins, keeps in (([0, 1], True), ([0, 1, 2, 4], True), ([0], False), ([1], False), ([0, 1, 3], False)):
        assert keeps_groups(np.isin(np.arange(256), bins), homes, 0, SHAPE) == keeps
    assert not keeps_groups(np.arange(256) == 7, homes, 0, SHAPE)


@given(seed=st.integers(0, 10**6), minimum=st.integers(1, 12))
def test_candidates_are_what_leaves_both_sides_rows_enough_and_nothing_else(seed: int, minimum: int) -> None:
    codes, values = rows(seed, 50, 0.2)
    counts, _ = node_of(codes, values, SHAPE.width)
    fit = allowed(counts, 50, ALONE, SHAPE, minimum, np.ones(4, bool))
    ordered = [(column, left) for column, left in every_split(codes, values, BoostingConfig()) if column < 2]
    for column in range(4):
        levels, alone = [*range(SHAPE.bins[column]), UNKNOWN], fit[column, :, 0, 0].sum()
        for flags in itertools.product((False, True), repeat=len(levels)):
            left = np.zeros(256, bool)
            left[levels] = flags
            chosen = set(np.flatnonzero(left).tolist())
            side = left[codes[:, column]]
            enough = min(side.sum(), (~side).sum()) >= minimum
            if SHAPE.ordered[column]:
                expected = (column, chosen) in ordered and enough
            else:
                sets = chosen - {UNKNOWN}
                expected = len(sets) > 0 and all(fit[column, level, 0, 0] for level in sets)
                expected = expected and (len(sets) < alone or (alone == 1 and enough))
            assert is_candidate(column, left, fit, ALONE, SHAPE) == expected


def test_only_columns_in_play_are_split() -> None:
    codes, values = rows(1, 50, 0.0)
    counts, sums = node_of(codes, values, SHAPE.width)
    for column in range(4):
        used = np.arange(4) == column
        fit = allowed(counts, 50, ALONE, SHAPE, 1, used)
        found = search(
            sums,
            values.sum(axis=0),
            FREE,
            fit,
            ALONE,
            SHAPE,
            BoostingConfig(monotone=False, min_leaf_weight=0.0),
        )
        assert found is None or found.column == column


def test_where_nothing_speaks_for_a_direction_the_heavier_side_is_taken() -> None:
    shape = Shape(np.array([3]), np.array([0]), np.array([True]), np.zeros(1, np.int8))
    for heavy, left in ((0, True), (2, False)):
        codes = np.array([[0]] * 5 + [[2]] * 5 + [[heavy]] * 20, np.uint8)
        values = np.stack([np.where(codes[:, 0] == 0, -500, 500), np.full(30, 200)], 1)
        counts, sums = node_of(codes, values, 3)
        fit = allowed(counts, 30, unmerged(1, shape)[0], shape, 1, np.ones(1, bool))
        config = BoostingConfig(min_leaf_weight=0.0)
        found = search(sums, values.sum(axis=0), FREE, fit, unmerged(1, shape)[0], shape, config)
        assert found is not None
        assert found.left[UNKNOWN] == left


def test_weights_keep_within_their_bounds() -> None:
    sums = np.array([[-(1 << 10), 1 << 8], [1 << 10, 1 << 8]])
    np.testing.assert_allclose(weight(sums, *FREE, BoostingConfig(l2=1.0)), [0.8, -0.8])
    np.testing.assert_allclose(weight(sums, -0.1, 0.5, BoostingConfig(l2=1.0)), [0.5, -0.1])


def test_a_monotone_split_parts_the_bounds_of_its_children() -> None:
    codes, values = rows(3, 60, 0.0)
    values[:, 0] = codes[:, 0].astype(int) * -300 + 500
    counts, sums = node_of(codes, values, SHAPE.width)
    used = np.arange(4) == 0
    config = BoostingConfig(min_leaf_weight=0.0)
    fit = allowed(counts, 60, ALONE, SHAPE, 1, used)
    found = search(sums, values.sum(axis=0), FREE, fit, ALONE, SHAPE, config)
    assert found is not None
    (low, middle), (again, high) = child_bounds(found, SHAPE, FREE, config)
    assert (low, high) == FREE
    assert middle == again == pytest.approx(np.mean(found.weights))
    assert child_bounds(found, SHAPE, FREE, BoostingConfig(monotone=False)) == (FREE, FREE)
