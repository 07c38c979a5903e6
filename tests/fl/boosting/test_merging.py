"""Merged bins: few rows of a node are never told apart, and no more is merged than that takes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl.binning import Shape
from fl.boosting.merging import merge, merged, unmerged

PLAIN = Shape(np.array([4]), np.array([0]), np.array([True]), np.zeros(1, np.int8))
GAPS = Shape(np.array([4]), np.array([1]), np.array([True]), np.zeros(1, np.int8))
LEVELS = Shape(np.array([4]), np.array([1]), np.array([False]), np.zeros(1, np.int8))


@pytest.mark.parametrize(
    ("shape", "counts", "homes"),
    [
        (PLAIN, [9, 9, 9, 9], [0, 1, 2, 3]),
        (PLAIN, [2, 3, 9, 9], [1, 1, 2, 3]),
        (PLAIN, [9, 9, 9, 2], [0, 1, 3, 3]),
        (PLAIN, [9, 0, 0, 9], [0, 1, 2, 3]),
        (PLAIN, [1, 1, 1, 1], [3, 3, 3, 3]),
        # The last bin holds missing values: alone, or with the highest ones.
        (GAPS, [9, 9, 9, 9], [0, 1, 2, 3]),
        (GAPS, [9, 9, 9, 2], [0, 1, 2, 2]),
        (GAPS, [9, 2, 2, 9], [2, 2, 2, 3]),
        (LEVELS, [9, 9, 2, 3], [0, 1, 3, 3]),
        (LEVELS, [9, 2, 2, 9], [2, 2, 2, 3]),
    ],
)
def test_known_answers(shape: Shape, counts: list[int], homes: list[int]) -> None:
    found = merge(np.array([[[counts]]]), unmerged(1, shape), shape, 5)
    assert found[0, 0].tolist() == homes


def test_both_children_decide() -> None:
    parts = np.array([[[[9, 9, 9, 9]], [[9, 2, 9, 9]]]])
    assert merge(parts, unmerged(1, PLAIN), PLAIN, 5)[0, 0].tolist() == [0, 2, 2, 3]


@st.composite
def families(draw: st.DrawFn) -> tuple[np.ndarray, Shape, int]:
    """Rows per bin (k, parts, columns, width), the shape of the columns, and a minimum."""
    columns = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    bins = rng.integers(1, 7, columns)
    shape = Shape(
        bins,
        ((rng.random(columns) < 0.5) & (bins > 1)).astype(np.int64),
        rng.random(columns) < 0.5,
        np.zeros(columns, np.int8),
    )
    size = (2, draw(st.sampled_from([1, 2])), columns, shape.width)
    counts = rng.poisson(draw(st.sampled_from([1, 4, 12])), size)
    counts[..., np.arange(shape.width) >= shape.bins[:, None]] = 0
    return counts, shape, draw(st.integers(1, 12))


@given(families())
def test_no_home_holds_few_rows_in_any_part(family: tuple) -> None:
    counts, shape, minimum = family
    homes = merge(counts, unmerged(2, shape), shape, minimum)
    for part in counts.swapaxes(0, 1):
        at_home = merged(part, homes)
        assert (at_home.sum(axis=2) == part.sum(axis=2)).all()
        whole = part.sum(axis=2, keepdims=True)
        assert ((at_home == 0) | (at_home >= np.minimum(minimum, whole))).all()
        # Only a home has rows.
        assert (np.take_along_axis(homes, homes, axis=2) == homes).all()
        assert (homes < shape.bins[:, None]).all()


@given(families(), families())
def test_a_childs_merging_is_coarser_than_its_parents(family: tuple, other: tuple) -> None:
    counts, shape, minimum = family
    parents = merge(counts, unmerged(2, shape), shape, minimum)
    halves = np.stack([counts[:, 0] // 2, counts[:, 0] - counts[:, 0] // 2], axis=1)
    homes = merge(halves, parents, shape, minimum)
    for node, column in np.ndindex(2, len(shape)):
        for bin_ in range(shape.bins[column]):
            assert homes[node, column, bin_] == homes[node, column, parents[node, column, bin_]]


@given(families())
def test_with_a_minimum_of_one_nothing_is_merged(family: tuple) -> None:
    counts, shape, _ = family
    homes = merge(counts, unmerged(2, shape), shape, 1)
    for column, bins in enumerate(shape.bins):
        assert (homes[:, column, :bins] == np.arange(bins)).all()
