import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl.encrypted_sums.packing import Packing, check_offsets, split_columns
from fl.errors import ConfigError, ProtocolError

sides = st.one_of(st.integers(0, 3), st.integers(0, 2**25))
ranges = st.lists(st.tuples(sides.map(lambda low: -low), sides), min_size=1, max_size=4).map(tuple)


@given(st.integers(1, 2**20), ranges, st.integers(0, 2**32))
def test_sums_at_the_limits_and_within_come_back(
    rows: int, ranges: tuple[tuple[int, int], ...], seed: int
) -> None:
    packing = Packing(rows, ranges)
    lows, highs = rows * np.array(ranges, np.int64).T
    sums = np.random.default_rng(seed).integers(lows, highs, (5, len(ranges)), endpoint=True)
    sums = np.concatenate([sums, [lows, highs]])

    packed = Packing.pack(packing, sums)

    assert (packed.min(), packed.max()) == (packing.lowest, packing.lowest + packing.size - 1)
    for modulus in (packing.size, 2 * packing.size + 1):
        np.testing.assert_array_equal(packing.unpack(packed.astype(object) % modulus, modulus), sums)


def test_packing_commutes_with_addition() -> None:
    packing = Packing(100, ((-7, 5), (0, 9), (-1, 0)))
    values = np.random.default_rng(1).integers([-7, 0, -1], [6, 10, 1], (100, 3))

    total = packing.pack(values).sum(keepdims=True)

    np.testing.assert_array_equal(packing.unpack(total, packing.size)[0], values.sum(0))


def test_what_is_no_sum_is_refused() -> None:
    packing = Packing(10, ((-1, 1), (0, 1)))
    with pytest.raises(ProtocolError, match="larger"):
        packing.unpack(np.array([packing.lowest + packing.size]), 2 * packing.size)


def test_planes_are_as_few_as_fit() -> None:
    packing = Packing(1, ((0, 3), (0, 3), (0, 1), (0, 7)))
    assert [plane.ranges for plane in packing.planes(16)] == [((0, 3), (0, 3)), ((0, 1), (0, 7))]
    assert len(packing.planes(packing.size)) == 1
    with pytest.raises(ConfigError, match="fewer fractional bits"):
        packing.planes(7)


@pytest.mark.parametrize(
    ("rows", "ranges"),
    [(0, ((0, 1),)), (1, ()), (1, ((1, 2),)), (1, ((-2, -1),)), (2, ((-(2**62), 0),)), (2, ((0, 2**62),))],
)
def test_impossible_promises_are_refused(rows: int, ranges: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ConfigError):
        Packing(rows, ranges)


def test_packings_cross_a_border() -> None:
    packing = Packing(7, ((-3, 4), (0, 2**40)))
    assert Packing.from_wire(packing.to_wire()) == packing
    with pytest.raises(ProtocolError, match="does not fit any sums"):
        Packing.from_wire(packing.to_wire() | {"rows": np.array([0])})
    with pytest.raises(ProtocolError, match="lack 'ranges'"):
        Packing.from_wire({"rows": np.array([3])})


@pytest.mark.parametrize("offsets", [[], [0, 4], [1, 5], [0, 3, 2, 5]])
def test_offsets_must_cover_the_rows_in_order(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match="rise"):
        check_offsets(np.array(offsets, np.int64), 5)


def test_columns_side_by_side_are_told_apart() -> None:
    sums = np.arange(10).reshape(2, 5)
    assert [one.tolist() for one in split_columns(sums, np.array([2, 3]))] == [
        [[0, 1], [5, 6]],
        [[2, 3, 4], [7, 8, 9]],
    ]
    assert split_columns(np.zeros((2, 0)), np.array([], np.int64)) == []
