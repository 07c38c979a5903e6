"""Matching names rows whose sums can be explained in one way only, and never a wrong bin."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiments.attacks.boosting.matching import match, named
from experiments.attacks.boosting.opened import Measured


def measured(bins: list[int], weights: list[tuple[int, int]], groups: list[int] | None = None) -> Measured:
    of_rows = np.array(groups if groups is not None else [0] * len(bins))
    numbers = np.array(weights, np.int64)
    sums = np.zeros((of_rows.max() + 1, 1, max(bins) + 1, 2), np.int64)
    np.add.at(sums, (of_rows, 0, bins), numbers)
    return Measured(of_rows, numbers, sums)


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
    assert found([Measured(tree.groups, tree.weights, np.zeros_like(tree.sums))]) == [-1] * 3


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(5, 40), st.integers(0, 1))
def test_no_row_is_named_wrongly(seed: int, width: int, rows: int, lightest: int) -> None:
    rng = np.random.default_rng(seed)
    bins = rng.integers(0, width, rows)
    trees = []
    for _ in range(3):
        weights = np.stack([rng.integers(-4, 5, rows), rng.integers(lightest, 4, rows)], 1)
        groups = rng.integers(0, 1 + rows // 8, rows)
        sums = np.zeros((groups.max() + 1, 1, width, 2), np.int64)
        np.add.at(sums, (groups, 0, bins), weights)
        trees.append(Measured(groups, weights, sums))

    allowed = match(trees, 0, np.ones((rows, width), bool))

    assert allowed[np.arange(rows), bins].all()
