"""Matching names rows whose sums can be explained in one way only, and never a wrong bin."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiments.attacks.boosting.matching import match, named
from experiments.attacks.boosting.opened import Measured
from fl.binning import Shape
from fl.boosting.merging import merge, merged, unmerged

HOMES = list(range(8))
"""Every bin for itself."""


def measured(
    bins: list[int], weights: list[tuple[int, int]], groups: list[int] | None = None, homes: list[int] = HOMES
) -> Measured:
    """Sums of a column of these rows, in all groups merged in the same way."""
    of_rows = np.array(groups if groups is not None else [0] * len(bins))
    numbers, width = np.array(weights, np.int64), max(bins) + 1
    shape = int(of_rows.max()) + 1, 1, width
    sums = np.zeros((*shape, 2), np.int64)
    np.add.at(sums, (of_rows, 0, np.array(homes)[bins]), numbers)
    return Measured(
        of_rows, numbers, sums, np.broadcast_to(np.array(homes[:width]), shape), np.ones(shape[:2], bool)
    )


def found(trees: list[Measured]) -> list[int]:
    rows, bins = len(trees[0].groups), trees[0].sums.shape[2]
    return named(match(trees, 0, np.ones((rows, bins), bool))).tolist()


def test_a_bin_of_one_row_with_numbers_of_its_own_names_the_row() -> None:
    # The other four are then in the two bins that are left, and nothing tells them apart.
    weights = [(-700, 100), (300, 90), (300, 90), (300, 90), (300, 90)]
    assert found([measured([0, 1, 1, 2, 2], weights)]) == [0, -1, -1, -1, -1]


def test_a_pair_is_found_among_all_pairs() -> None:
    weights = [(-700, 101), (305, 97), (311, 83), (420, 71), (-612, 64)]
    assert found([measured([0, 0, 1, 1, 1], weights)]) == [0, 0, 1, 1, 1]


def test_rows_with_equal_numbers_cannot_be_told_apart() -> None:
    assert found([measured([0, 1, 1, 1], [(300, 90)] * 4)]) == [-1, -1, -1, -1]


def test_an_empty_bin_of_a_node_is_ruled_out() -> None:
    weights = [(300, 90)] * 8
    tree = measured([0, 0, 0, 0, 1, 1, 1, 1], weights, [0, 0, 0, 0, 1, 1, 1, 1])
    assert found([tree]) == [0, 0, 0, 0, 1, 1, 1, 1]


def test_what_one_tree_names_helps_in_another() -> None:
    equal = [(300, 90)] * 4
    # The first tree names row 0, after which the second one's other row of that node must be in bin 1.
    first = measured([0, 1, 0, 1], [(-700, 80), *equal[1:]], [0, 0, 1, 1])
    second = measured([0, 1, 0, 1], equal, [0, 0, 1, 1])
    third = measured([0, 1, 0, 1], equal, [0, 1, 0, 1])
    assert found([second]) == [-1] * 4
    assert found([first, second])[:2] == [0, 1]
    assert found([first, second, third]) == [0, 1, 0, 1]


def test_a_tree_that_did_not_use_the_column_says_nothing() -> None:
    tree = measured([0, 1, 1], [(300, 90)] * 3)
    assert found([replace(tree, sums=np.zeros_like(tree.sums))]) == [-1] * 3


def test_of_merged_bins_the_sum_rules_out_all_or_none() -> None:
    equal = [(300, 90)] * 4
    # Bins 0 and 1 stand together: the first two rows may be in both, and the others are in neither.
    tree = measured([0, 1, 2, 2], equal, [0, 0, 1, 1], homes=[1, 1, 2])

    allowed = match([tree], 0, np.ones((4, 3), bool))

    np.testing.assert_array_equal(allowed, [[True, True, False]] * 2 + [[False, False, True]] * 2)


def test_what_a_coarser_sum_leaves_a_finer_one_names() -> None:
    coarse = measured([0, 1, 2, 2], [(-700, 100), (300, 90), (290, 80), (290, 80)], homes=[1, 1, 2])
    fine = measured([0, 1, 2, 2], [(-640, 95), *[(300, 90)] * 3])
    assert found([coarse]) == [-1, -1, 2, 2]
    assert found([fine]) == [0, -1, -1, -1]
    assert found([coarse, fine]) == [0, 1, 2, 2]


def test_sums_that_the_children_tell_better_are_left_alone() -> None:
    tree = measured([0, 1], [(-700, 100), (300, 90)])
    assert found([replace(tree, telling=np.zeros((1, 1), bool))]) == [-1, -1]


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(5, 40), st.integers(0, 1), st.integers(1, 4))
def test_no_row_is_named_wrongly(seed: int, width: int, rows: int, lightest: int, minimum: int) -> None:
    rng = np.random.default_rng(seed)
    bins = rng.integers(0, width, rows)
    trees = []
    for _ in range(3):
        weights = np.stack([rng.integers(-4, 5, rows), rng.integers(lightest, 4, rows)], 1)
        groups = rng.integers(-1, 1 + rows // 8, rows)
        there, count = groups >= 0, rows // 8 + 1
        counts, sums = np.zeros((count, 1, width), np.int64), np.zeros((count, 1, width, 2), np.int64)
        np.add.at(counts, (groups[there], 0, bins[there]), 1)
        np.add.at(sums, (groups[there], 0, bins[there]), weights[there])
        homes = merge(counts[:, None], unmerged(count, shape_of(width)), shape_of(width), minimum)
        telling = rng.random((count, 1)) < 0.8
        trees.append(Measured(groups, weights, merged(sums, homes), homes, telling))

    allowed = match(trees, 0, np.ones((rows, width), bool))

    assert allowed[np.arange(rows), bins].all()


def shape_of(bins: int) -> Shape:
    return Shape(np.array([bins]), np.zeros(1, np.int64), np.ones(1, bool), np.zeros(1, np.int8))
