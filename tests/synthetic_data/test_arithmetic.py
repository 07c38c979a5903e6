"""Arithmetic with the same bits on every machine."""

import hashlib

import numpy as np
import pytest
from scipy import sparse

from synthetic_data.arithmetic import exp, weighted_sum

f32 = np.float32


def test_the_exponential_is_right_within_three_units_in_the_last_place() -> None:
    x = np.linspace(-87, 88, 200_001, dtype=f32)
    true = np.exp(x.astype(np.float64))
    assert np.max(np.abs(exp(x) - true) / np.spacing(true.astype(f32))) < 3
    assert exp(np.zeros((2, 3))).shape == (2, 3)
    assert exp(f32(0)) == 1


def test_the_exponential_has_the_same_bits_everywhere() -> None:
    bits = exp(np.arange(-(2**16), 2**16, dtype=f32) / f32(1024)).astype("<f4").tobytes()
    assert hashlib.sha256(bits).hexdigest()[:16] == "9ce8b37537c02bb8"


@pytest.mark.parametrize("shape", [(40,), (40, 3)])
def test_a_weighted_sum_rounds_each_product_and_adds_in_the_order_of_the_columns(
    shape: tuple[int, ...],
) -> None:
    rng = np.random.default_rng(1)
    weights = sparse.random(30, 40, 0.2, format="csr", dtype=f32, random_state=rng)
    values = rng.random(shape, dtype=f32)
    expected = np.zeros((30, *shape[1:]), f32)
    for row, column in zip(*weights.nonzero(), strict=True):
        expected[row] += weights[row, column] * values[column]
    np.testing.assert_array_equal(weighted_sum(weights, values), expected)
