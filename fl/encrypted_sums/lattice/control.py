"""Reply control: what makes a reply tell its sums and nothing else, even to the owner of the key.

The owner knows the noise that it encrypted with, so the noise of a product tells it the mask, that is the responder's
bins: of an unguarded reply it recovers all of them. Three things together prevent that:

1. adding a fresh public-key encryption of zero (b u + e1, a u + e2), so that c1 is pseudo-random even to the owner
   (ring learning with errors under the responder's own randomness);
2. flooding: noise uniform in ±2^flood_bits on every coefficient that leaves (Asharov et al. 2012, section 2.2), which
   drowns the noise of the products;
3. sending only the coefficients of c0 that carry sums, at the smallest modulus: the others cannot be decrypted.

The encryption of zero is put together here, as one more product of a sum; u and e2 are distributed as SEAL draws them.
There is no e1: all coefficients of c0 that leave are flooded, by far more. Of a modulus of 120 bits at N = 8192 the
Homomorphic Encryption Standard (Albrecht et al. 2018) expects more than 192 bits of classical security.

The statistical distance that flooding leaves is, per coefficient, the noise over 2^(flood_bits + 1). Let n be the
powers of X that a reply multiplied with, that is rows times columns in it. Their noise is about 3.2 √n and at most
21 n, and rounding equal plaintexts adds up to n / 2: at t = 2^51 and n = 2^14 that is a distance of 2^-57, at most
2^-47; it shrinks with t. This is against an owner that keeps to the protocol (honest key, honest noise) and is
curious. The argument has not been reviewed by others.

An owner that lies makes its own key (b, a), though not `a` (`public_key`), and its own pairs as ciphertexts. If b
hides a structure, c0 tells it part of the small u by which a reply is re-randomised, and no cheap test finds such a
b: to all others it looks random. So c0 is short (`layout.MOST_WIDTH`). What it tells, at most 55 bits a coefficient,
leaves u 5,900 of its 12,900 bits, and c1 is as good as random if ring learning with errors holds with such a hint,
which is assumed. Then a lie in the key tells hardly more than one in the numbers, whose sums have up to 51 bits a
coefficient.
"""

import secrets
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from numpy.typing import NDArray
from tenseal import sealapi

from fl.encrypted_sums.lattice import convolution
from fl.encrypted_sums.lattice.convolution import Spectra, Total
from fl.encrypted_sums.lattice.seal import DEGREE, PRIME_BITS, Coefficients, Lattice

# An eighth of what may be added before a decryption errs: the switch to one prime then rounds within 10 deviations.
_SPARE_BITS: Final = 3

# SEAL's error: of each coefficient the difference of two numbers of ones among so many random bits.
_ERROR_BITS: Final = 21


class ReplyControl:
    """Guards the replies of one responder."""

    def __init__(self, lattice: Lattice, public_key: Any) -> None:
        """public_key is (b, a), a ciphertext in NTT form."""
        self._lattice, opened = lattice, sealapi.Ciphertext()
        lattice.evaluator.transform_from_ntt(public_key, opened)
        words = lattice.words(opened, 2 * len(lattice.primes) * DEGREE)
        self._public_key = convolution.of_residues(words.reshape(-1, DEGREE))
        self.flood_bits: Final = sum(PRIME_BITS[:-1]) - lattice.plain_modulus.bit_length() - _SPARE_BITS

    def zero(self) -> Spectra:
        """A fresh encryption of zero, save its errors: (b u, a u)."""
        u = _ternary()
        exponents = np.flatnonzero(u)
        exponents[u[exponents] < 0] -= DEGREE
        return self._public_key * convolution.of_powers(exponents, np.zeros_like(exponents), 1)

    def guard(self, total: Total, used: int) -> Any:
        """A sum of products, re-randomised, and flooded in its first `used` coefficients."""
        total.add(self.zero(), 1)
        noise, primes = self._noise(used), self._lattice.primes
        return self._lattice.ciphertext(
            *convolution.reduced(total.rounded().reshape(noise.shape) + noise, primes)
        )

    def shorten(self, guarded: Any, used: int) -> Coefficients:
        """At the last modulus: the first `used` coefficients of c0, then c1; (used + N,)."""
        self._lattice.evaluator.mod_switch_to_inplace(guarded, self._lattice.last)
        return self._lattice.parts(guarded, used)

    def _noise(self, used: int) -> Coefficients:
        """The flood of `used` coefficients of c0, and the error of c1: (2, primes, N)."""
        primes = np.array(self._lattice.primes)[:, None]
        flood = [secrets.randbits(self.flood_bits + 1) - (1 << self.flood_bits) for _ in range(used)]
        noise = np.zeros((2, len(primes), DEGREE), np.uint64)
        noise[0, :, :used] = [[one % prime for one in flood] for prime in self._lattice.primes]
        noise[1] = _residues(_error(), primes)
        return noise


def random_bytes(count: int) -> bytes:
    """Bytes as good as the operating system's: of the stream of ChaCha20 (RFC 8439) under a fresh key of these.

    Many at a time take a quarter of the time.
    """
    stream = Cipher(algorithms.ChaCha20(secrets.token_bytes(32), bytes(16)), mode=None).encryptor()
    return stream.update(bytes(count))


def _residues(numbers: NDArray[np.int64], modulus: NDArray[np.int64]) -> Coefficients:
    """Numbers of smaller size than the modulus, of either sign; faster than a division."""
    return np.where(numbers < 0, numbers + modulus, numbers).astype(np.uint64)


def _ternary() -> NDArray[np.int64]:
    """Uniform in −1, 0 and 1, (N,)."""
    # 255 values of a byte are a multiple of three. One in 256 is left out, and there are 16 times as many to spare.
    numbers = np.frombuffer(random_bytes(DEGREE + DEGREE // 16), np.uint8)
    return (numbers[numbers < 255][:DEGREE] % 3).astype(np.int64) - 1


def _error() -> NDArray[np.int64]:
    """Centred binomial, of variance 10.5, (N,)."""
    words, low = np.frombuffer(random_bytes(8 * DEGREE), np.uint64), np.uint64((1 << _ERROR_BITS) - 1)
    plus, minus = (np.bitwise_count(bits & low) for bits in (words, words >> np.uint64(_ERROR_BITS)))
    return np.asarray(np.subtract(plus, minus, dtype=np.int64), np.int64)
