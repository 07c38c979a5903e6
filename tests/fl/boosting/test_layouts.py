import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fl.boosting.layouts import NOWHERE, children, level_layout, tree_layout


@st.composite
def trees(draw: st.DrawFn) -> dict:
    """Rows in nodes, some nowhere, and what becomes of the nodes."""
    nodes = draw(st.integers(1, 4))
    rows = draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    return {
        "nodes": rng.integers(NOWHERE, nodes, rows).astype(np.int16),
        "split": rng.random(nodes) < 0.7,
        "decided": rng.random(nodes) < 0.5,
        "lighter_left": rng.random(nodes) < 0.5,
        "left": rng.random(rows) < 0.5,
        "sample": rng.random(rows) < 0.8,
    }


@given(trees())
def test_what_counts_of_a_level_is_the_lighter_children(tree: dict) -> None:
    layout = level_layout(**tree)
    counted = layout.only(layout.counted(tree["left"]))
    after = children(tree["nodes"], tree["split"], tree["left"])
    for group, node in enumerate(np.flatnonzero(tree["split"])):
        child = 2 * group + (0 if tree["lighter_left"][node] else 1)
        expected = np.flatnonzero((after == child) & tree["sample"])
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
def test_each_sampled_row_counts_once_at_the_root(tree: dict) -> None:
    layout = tree_layout(tree["nodes"], tree["split"] & ~tree["decided"], tree["sample"])
    counted = layout.only(layout.counted(tree["left"]))
    assert sorted(counted.rows.tolist()) == np.flatnonzero(tree["sample"]).tolist()
    assert counted.offsets.tolist() == [0, tree["sample"].sum()]


def test_children_are_numbered_in_the_order_of_splits() -> None:
    nodes = np.array([0, 0, 1, 2, 2, NOWHERE], np.int16)
    left = np.array([True, False, True, True, False, True])
    assert children(nodes, np.array([True, False, True]), left).tolist() == [0, 1, -1, 2, 3, -1]
