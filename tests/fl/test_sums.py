import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fl.binning import UNKNOWN
from fl.sums import counts_by_bin, sums_by_bin


@given(
    rows=st.integers(0, 30),
    columns=st.integers(0, 3),
    groups=st.integers(1, 4),
    width=st.sampled_from([1, 5, 255]),
    seed=st.integers(0, 10**6),
)
def test_sums_are_those_of_a_loop(rows: int, columns: int, groups: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, width, (rows, columns)).astype(np.uint8)
    codes[rng.random(codes.shape) < 0.2] = UNKNOWN
    values = rng.integers(-(2**40), 2**40, (rows, 2))
    of_rows = rng.integers(-1, groups, rows).astype(np.int16)

    expected = np.zeros((groups, columns, width, 2), np.int64)
    counted = np.zeros((groups, columns, width), np.int64)
    for row, group in enumerate(of_rows):
        for column, bin_ in enumerate(codes[row]):
            if group >= 0 and bin_ != UNKNOWN:
                expected[group, column, bin_] += values[row]
                counted[group, column, bin_] += 1

    np.testing.assert_array_equal(sums_by_bin(codes, values, of_rows, groups, width), expected)
    np.testing.assert_array_equal(counts_by_bin(codes, of_rows, groups, width), counted)


def test_sums_are_exact_and_unknown_rows_in_none() -> None:
    codes = np.array([[0], [0], [UNKNOWN], [2]], np.uint8)
    values = np.array([[2**40, 1], [-(2**40) + 1, 2], [7, 7], [5, 3]])
    assert sums_by_bin(codes, values, np.zeros(4, np.int16), 1, 3)[0].tolist() == [[[1, 3], [0, 0], [5, 3]]]
