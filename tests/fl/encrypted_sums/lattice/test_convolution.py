"""Products in floating point: exactly those of whole numbers, at the worst that a bank may send."""

import numpy as np
import pytest

from fl.encrypted_sums.lattice import convolution
from fl.encrypted_sums.lattice.seal import DEGREE, Lattice

PRIMES = Lattice(40).primes


def polynomials(rng: np.random.Generator, kind: str) -> np.ndarray:
    """A polynomial modulo each prime: random, or such that all limbs are as large as can be."""
    if kind == "random":
        return np.stack([rng.integers(0, prime, DEGREE, np.uint64) for prime in PRIMES])
    return np.full((2, DEGREE), (1 << 60) - 1, np.uint64)


def times(polynomial: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """The products with a sum of powers of X modulo X^N + 1 and the primes."""
    total = np.zeros((2, DEGREE), object)
    for exponent in exponents.tolist():
        moved = np.roll(polynomial.astype(object), exponent, axis=1)
        wrapped = slice(0, exponent) if exponent >= 0 else slice(DEGREE + exponent, DEGREE)
        moved[:, wrapped] *= -1
        total += moved
    return total


@pytest.mark.parametrize(("kind", "powers"), [("random", 60), ("largest", 60), ("random", 0)])
def test_sums_of_products_are_exact(kind: str, powers: int) -> None:
    rng = np.random.default_rng(1)
    blocks = [polynomials(rng, kind) for _ in range(2)]
    masks = [rng.choice(DEGREE, powers, replace=False) - DEGREE * rng.integers(0, 2, powers) for _ in blocks]
    exponents, numbers = np.concatenate(masks), np.repeat([0, 1], powers)

    spectra = convolution.of_residues(np.concatenate(blocks)).reshape(DEGREE // 2, 2, -1)
    of_masks = convolution.of_powers(exponents, numbers, 2)[:, None]
    found = convolution.to_residues((of_masks @ spectra)[:, 0], PRIMES)

    expected = sum(map(times, blocks, masks)) % np.array(PRIMES, object)[:, None]
    np.testing.assert_array_equal(found.astype(object), expected)


def test_the_error_stays_far_from_a_half_where_it_is_largest() -> None:
    """All limbs as large as can be, full masks, and as many products as are added before rounding."""
    block, exponents = polynomials(np.random.default_rng(1), "largest"), np.arange(DEGREE) - DEGREE // 2
    product = convolution.of_powers(exponents, np.zeros(DEGREE, np.int64), 1) * convolution.of_residues(block)
    folded = np.fft.ifft(convolution.MOST_ADDED * product, axis=0)
    values = folded * np.exp(-1j * np.pi / DEGREE * np.arange(DEGREE // 2))[:, None]
    parts = np.stack([values.real, values.imag])
    assert np.abs(parts - np.rint(parts)).max() < 0.1


def test_more_products_than_may_be_added_are_rounded_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "MOST_ADDED", 2)
    block, total = polynomials(np.random.default_rng(1), "random"), convolution.Total(PRIMES)
    exponents = np.array([5])
    product = convolution.of_residues(block) * convolution.of_powers(exponents, np.zeros(1, np.int64), 1)
    for _ in range(5):
        total.add(product, 1)

    expected = 5 * times(block, exponents) % np.array(PRIMES, object)[:, None]
    np.testing.assert_array_equal(total.rounded().astype(object), expected)
