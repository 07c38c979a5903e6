import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fl.binning import Shape
from fl.boosting.layouts import (
    NOWHERE,
    children,
    level_layout,
    root_layout,
    summed_columns,
    wanted_sums,
)


@st.composite
def trees(draw: st.DrawFn) -> dict:
    """Rows in nodes of one tree or two, some nowhere, and what becomes of the nodes."""
    nodes, trees = draw(st.integers(1, 4)), draw(st.integers(1, 2))
    rows = draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    of_nodes = np.sort(rng.integers(0, trees, nodes))
    there = rng.integers(NOWHERE, nodes, (trees, rows)).astype(np.int16)
    return {
        "nodes": np.where(np.append(of_nodes, -1)[there] == np.arange(trees)[:, None], there, NOWHERE),
        "split": rng.random(nodes) < 0.7,
        "decided": rng.random(nodes) < 0.5,
        "lighter_left": rng.random(nodes) < 0.5,
        "left": rng.random((trees, rows)) < 0.5,
        "sample": rng.random((trees, rows)) < 0.8,
        "trees": of_nodes,
    }


@given(trees())
def test_what_counts_of_a_level_is_the_lighter_children(tree: dict) -> None:
    layout = level_layout(**tree)
    counted = layout.only(layout.counted(tree["left"]))
    after = children(tree["nodes"], tree["split"], tree["left"])
    for group, node in enumerate(np.flatnonzero(tree["split"])):
        child = 2 * group + (0 if tree["lighter_left"][node] else 1)
        expected = np.flatnonzero(((after == child) & tree["sample"])[tree["trees"][node]])
        begin, end = counted.offsets[group : group + 2]
        assert counted.rows[begin:end].tolist() == expected.tolist()


@given(trees(), trees())
def test_a_layout_does_not_tell_what_is_not_yet_known(tree: dict, other: dict) -> None:
    # Rows of undecided nodes may go anywhere: what is listed must not depend on it.
    undecided = np.append(tree["split"] & ~tree["decided"], False)[tree["nodes"]]
    flipped = tree | {"left": tree["left"] ^ undecided}
    one, two = level_layout(**tree), level_layout(**flipped)
    assert one.rows.tolist() == two.rows.tolist()
    assert one.sides.tolist() == two.sides.tolist()


@given(trees())
def test_each_sampled_row_counts_once_at_the_root_of_its_tree(tree: dict) -> None:
    undecided = tree["split"] & ~tree["decided"] & (len(tree["nodes"]) == 1)
    layout = root_layout(tree["nodes"], undecided, tree["sample"])
    counted = layout.only(layout.counted(tree["left"]))
    assert sorted(counted.rows.tolist()) == np.flatnonzero(tree["sample"].any(axis=0)).tolist()
    for number, (sums, sample) in enumerate(zip(counted.sums(), tree["sample"], strict=True)):
        assert sorted(counted.rows[sums == number].tolist()) == np.flatnonzero(sample).tolist()
        assert (sums != number).sum() == (sums == NOWHERE).sum()


def test_a_round_adds_up_the_columns_that_its_trees_may_use_those_of_many_bins_first() -> None:
    used = np.array([[True, False, True, False], [False, True, False, True]])
    columns, told = summed_columns(used, np.array([3, 5, 16, 16]))
    assert columns.tolist() == [[2, 0], [3, 1]]
    assert told.tolist() == [15, 4]


def test_children_are_numbered_in_the_order_of_splits() -> None:
    nodes = np.array([0, 0, 1, 2, 2, NOWHERE], np.int16)
    left = np.array([True, False, True, True, False, True])
    assert children(nodes, np.array([True, False, True]), left).tolist() == [0, 1, -1, 2, 3, -1]


def test_bins_that_are_merged_into_others_and_the_last_one_of_a_column_have_no_sum() -> None:
    shape = Shape(np.array([4, 2]), np.array([0, 0]), np.ones(2, bool), np.zeros(2, np.int8))
    alone, by_pairs = [[0, 1, 2, 3], [0, 1, 2, 3]], [[1, 1, 3, 3], [1, 1, 2, 3]]

    wanted = wanted_sums(np.array([alone, by_pairs]), np.array([[0, 1], [0, 1]]), np.array([3, 1]), shape)

    np.testing.assert_array_equal(wanted, [[1, 1, 1, 1], [0, 1, 0, 0]])
    # The second tree has the narrow column where the first has the wide one.
    swapped = wanted_sums(np.array([alone, by_pairs]), np.array([[0, 1], [1, 0]]), np.array([3, 1]), shape)
    np.testing.assert_array_equal(swapped, [[1, 1, 1, 1], [0, 0, 0, 0]])


def test_flags_of_sums_are_told_group_by_group_and_in_each_sample_by_sample() -> None:
    nodes, samples = np.zeros((2, 4), np.int16), np.ones((2, 4), bool)
    roots = root_layout(nodes, np.zeros(1, bool), samples)
    np.testing.assert_array_equal(
        roots.by_group(np.array([[1, 0, 0], [0, 1, 1]], bool)), [[1, 0, 0, 0, 1, 1]]
    )

    two = np.array([[0, 0, 1, 1]], np.int16)
    everyone = np.ones(2, bool)
    level = level_layout(two, everyone, everyone, everyone, samples[:1], samples[:1], np.zeros(2, np.int64))
    flags = np.array([[1, 0, 0], [0, 1, 1]], bool)
    np.testing.assert_array_equal(level.by_group(flags), flags)
