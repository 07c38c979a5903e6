"""Reply control: what makes a reply tell its sums and nothing else, even to the owner of the key.

The owner knows the noise that it encrypted with, so the noise of a product tells it the mask, that is the responder's
bins: of an unguarded reply it recovers all of them. Three things together prevent that:

1. adding a fresh public-key encryption of zero, so that c1 is pseudo-random even to the owner (ring learning with
   errors under the responder's own randomness);
2. flooding: noise uniform in ±2^flood_bits on every coefficient that leaves (Asharov et al. 2012, section 2.2), which
   drowns the noise of the products;
3. sending only the coefficients of c0 that carry sums, at the smallest modulus: the others cannot be decrypted.

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
from tenseal import sealapi

from fl.encrypted_sums.lattice.seal import PRIME_BITS, Coefficients, Lattice

# An eighth of what may be added before a decryption errs: the switch to one prime then rounds within 10 deviations.
_SPARE_BITS: Final = 3


class ReplyControl:
    """Guards the replies of one responder."""

    def __init__(self, lattice: Lattice, public_key: Any) -> None:
        self._lattice = lattice
        self._encryptor = sealapi.Encryptor(lattice.context, public_key)
        self.flood_bits: Final = sum(PRIME_BITS[:-1]) - lattice.plain_modulus.bit_length() - _SPARE_BITS

    def zero(self) -> Any:
        """A fresh public-key encryption of zero."""
        made = sealapi.Ciphertext()
        self._encryptor.encrypt_zero(made)
        return made

    def guard(self, total: Any | None, used: int) -> Any:
        """The sum of products (None: of none), re-randomised, and flooded in its first `used` coefficients."""
        guarded = self.zero()
        if total is not None:
            self._lattice.evaluator.add_inplace(guarded, total)
        self._lattice.evaluator.add_inplace(guarded, self._flood(used))
        return guarded

    def shorten(self, guarded: Any, used: int) -> Coefficients:
        """At the last modulus: the first `used` coefficients of c0, then c1; (used + N,)."""
        self._lattice.evaluator.mod_switch_to_inplace(guarded, self._lattice.last)
        return self._lattice.parts(guarded, used)

    def _flood(self, used: int) -> Any:
        noise = [secrets.randbits(self.flood_bits + 1) - (1 << self.flood_bits) for _ in range(used)]
        c0 = np.array([[one % prime for one in noise] for prime in self._lattice.primes], np.uint64)
        return self._lattice.ciphertext(c0, np.zeros((len(c0), 0), np.uint64))
