"""Exact products of polynomials modulo X^N + 1 in floating point, many of them added up.

A responder multiplies encrypted blocks, whose coefficients have 60 bits, with masks, whose coefficients are −1, 0 or 1.
In SEAL the number-theoretic transform of a mask costs more than all else together. Here coefficients are cut into three
limbs of 20 bits, and limbs and masks are transformed by the fast Fourier transform, in an eighth of the time. Products
are added up as transforms; what comes back is rounded to whole numbers, which is exact:

- A real polynomial modulo X^N + 1 is a complex one modulo X^K − i, K = N / 2, with coefficient j + K as the imaginary
  part of j. With θ = exp(πi / N), and thus θ^K = i, putting θ X for X makes it one modulo X^K − 1, where products of
  transforms are transforms of products (Nussbaumer 1980 calls this the right-angle convolution).
- The error of a product is at most 2^-45 times the lengths of both factors (Brent, Percival and Zimmermann 2007,
  theorem 5.1, with K = 2^12 and the multiplications by powers of θ): of a limb at most 2^26.5, of a mask 2^6.5. That is
  2^-12 for a block, and 2^-3 for as many blocks as are added before rounding (`MOST_ADDED`), where 1/2 would be wrong.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from fl.encrypted_sums.halves import Integers
from fl.encrypted_sums.lattice.seal import DEGREE, Coefficients

Spectra: TypeAlias = NDArray[np.complex128]

MOST_ADDED: Final = 512
"""Products that may be added before they are rounded."""

LIMBS: Final = 3
_LIMB_BITS: Final = 20
_HALF: Final = DEGREE // 2
# Powers of θ.
_ROOTS: Final = np.exp(1j * np.pi / DEGREE * np.arange(2 * DEGREE))


class Total:
    """Products, added up: m polynomials, each modulo its prime."""

    def __init__(self, primes: list[int]) -> None:
        self._primes, self._added = primes, 0
        self._spectra: Spectra | None = None
        self._rounded: Coefficients | None = None

    def add(self, spectra: Spectra, products: int) -> None:
        """Add the sum of so many products, (K, m · LIMBS)."""
        if self._added + products > MOST_ADDED:
            self._rounded, self._spectra, self._added = self.rounded(), None, 0
        if self._spectra is None:
            self._spectra = spectra.copy()
        else:
            self._spectra += spectra
        self._added += products

    def rounded(self) -> Coefficients:
        """The sum, (m, N)."""
        if self._spectra is None:
            return np.zeros((len(self._primes), DEGREE), np.uint64)
        rounded = to_residues(self._spectra, self._primes)
        return rounded if self._rounded is None else reduced(rounded + self._rounded, self._primes)


def reduced(sums: Coefficients, primes: Sequence[int]) -> Coefficients:
    """Sums of two numbers (…, m, N) below a prime each, modulo that; faster than a division."""
    modulus = np.array(primes, np.uint64)[:, None]
    return np.where(sums < modulus, sums, sums - modulus)


def of_residues(residues: Coefficients) -> Spectra:
    """Of polynomials (m, N) of at most 60 bits a coefficient, the transforms of their limbs: (K, m · LIMBS)."""
    folded = np.empty((len(residues), LIMBS, _HALF), np.complex128)
    for limb in range(LIMBS):
        digits = residues >> np.uint64(limb * _LIMB_BITS) & np.uint64((1 << _LIMB_BITS) - 1)
        folded.real[:, limb], folded.imag[:, limb] = digits[:, :_HALF], digits[:, _HALF:]
    folded *= _ROOTS[:_HALF]
    spectra = fft.fft(folded, axis=-1, overwrite_x=True)
    return np.ascontiguousarray(spectra.reshape(-1, _HALF).T)


def of_powers(exponents: Integers, masks: Integers, count: int) -> Spectra:
    """The transforms of masks (K, count): mask j is the sum of the powers X^e of the exponents e with number j.

    Exponents (e,) are −N … N − 1, and different modulo N in each mask.
    """
    folded = np.zeros((_HALF, count), np.complex128)
    flat, at, powers = folded.reshape(-1), exponents % _HALF * count + masks, _ROOTS[exponents]
    # A place may have a real and an imaginary part.
    is_low = exponents % DEGREE < _HALF
    flat[at[is_low]] = powers[is_low]
    flat[at[~is_low]] += powers[~is_low]
    return np.asarray(fft.fft(folded, axis=0, overwrite_x=True))


def to_residues(spectra: Spectra, primes: Sequence[int]) -> Coefficients:
    """The inverse of `of_residues`, for sums of at most `MOST_ADDED` products."""
    folded = fft.ifft(np.ascontiguousarray(spectra.T), axis=-1, overwrite_x=True)
    folded *= _ROOTS[:_HALF].conj()
    limbs = np.rint(np.concatenate([folded.real, folded.imag], axis=1)).astype(np.int64)
    low, middle, high = limbs.reshape(-1, LIMBS, DEGREE).swapaxes(0, 1)
    modulus = np.array(primes, np.int64)[:, None]
    # The primes are just below 2^60, so that 2^60 leaves a small remainder.
    top, rest = high >> _LIMB_BITS, high & ((1 << _LIMB_BITS) - 1)
    whole = top * ((1 << 3 * _LIMB_BITS) % modulus) + (rest << 2 * _LIMB_BITS)
    return np.asarray((whole + (middle << _LIMB_BITS) + low) % modulus).astype(np.uint64)
