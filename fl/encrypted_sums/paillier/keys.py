"""Paillier's keys (Paillier 1999, with generator n + 1), and encryption as fast as the key owner can make it.

A ciphertext of m is (1 + m n) · ρ modulo n², where ρ is a uniform n-th residue. The responder makes ρ as r^n, by the
book. The owner knows n = p q and works modulo p² and q² apart (Paillier 1999, section 7), where the n-th residues
form a cyclic group of order p − 1: ρ is a fixed generator to a uniform exponent below p − 1. Such exponents are half
as long as n, the length of the short exponents of Damgård, Jurik and Nielsen (Int. J. Inf. Security 9, 2010, section
4.2), but here ρ is as uniform as by the book, so nothing is assumed about short exponents. Powers of the fixed
generator are products of stored ones (Brickell, Gordon, McCurley and Wilson, Eurocrypt 1992). GMP's operations take
times that depend on their operands: an owner should not let others time single encryptions.
"""

import secrets
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import gmpy2
from gmpy2 import mpz

from fl.errors import ConfigError

LEAST_BITS: Final = 2048
"""About 112-bit security (NIST SP 800-57 part 1, table 2); 3072 bits give 128."""

MOST_BITS: Final = 8192

# Bits of the exponent per stored power: 1024 powers for each 10 bits, 60 MB in all for a modulus of 2048 bits.
_WINDOW: Final = 10
# p − 1 has no odd prime factor below this, so that a random residue generates the whole group but for one case in
# thousands, and a subgroup that nobody can recognise in that one. Nor has n.
_SMOOTH: Final = 1 << 16


@dataclass(frozen=True)
class PublicKey:
    """The modulus n. Raises ConfigError when it is too short, or cannot be a product of two long primes."""

    n: mpz

    def __post_init__(self) -> None:
        check_length(self.n.bit_length())
        if (
            gmpy2.gcd(self.n, gmpy2.primorial(_SMOOTH)) > 1
            or gmpy2.is_prime(self.n)
            or gmpy2.is_power(self.n)
        ):
            raise ConfigError("A Paillier modulus must be a product of two long primes.")

    @cached_property
    def square(self) -> mpz:
        """n², the modulus of ciphertexts."""
        return self.n * self.n

    @property
    def plain_bytes(self) -> int:
        """Length of a plaintext."""
        return (int(self.n.bit_length()) + 7) // 8

    @property
    def cipher_bytes(self) -> int:
        """Length of a ciphertext."""
        return 2 * self.plain_bytes

    def rerandomise(self, ciphertext: mpz, added: int = 0) -> mpz:
        """A ciphertext of the same plaintext plus `added`, independent of the given one in every other way."""
        residue = gmpy2.powmod(1 + secrets.randbelow(int(self.n) - 1), self.n, self.square)
        return ciphertext * (1 + added % self.n * self.n) % self.square * residue % self.square


class PrivateKey:
    """The primes p and q of n, with what follows from them."""

    def __init__(self, p: int, q: int) -> None:
        self.p, self.q = mpz(p), mpz(q)
        self.public = PublicKey(self.p * self.q)
        self._halves = [_Half(self.p, self.public.n), _Half(self.q, self.public.n)]
        self._p_inverse = gmpy2.invert(self.p, self.q)
        self._square_inverse = gmpy2.invert(self.p**2, self.q**2)

    def encrypt(self, plaintexts: list[int]) -> list[mpz]:
        """A ciphertext for each plaintext, taken modulo n."""
        p_half, q_half = self._halves
        ciphertexts = []
        for plaintext in plaintexts:
            shifted = 1 + plaintext % self.public.n * self.public.n
            low = shifted * p_half.residue() % p_half.square
            high = (shifted * q_half.residue() - low) * self._square_inverse % q_half.square
            ciphertexts.append(low + p_half.square * high)
        return ciphertexts

    def decrypt(self, ciphertext: mpz) -> mpz:
        """The plaintext, 0 … n − 1."""
        low, high = (half.decrypt(ciphertext) for half in self._halves)
        return low + self.p * ((high - low) * self._p_inverse % self.q)


class _Half:
    """What is done modulo the square of one prime."""

    def __init__(self, prime: mpz, n: mpz) -> None:
        self._prime, self._n = prime, n
        self.square = prime * prime
        self._scale = gmpy2.invert(self._logarithm(gmpy2.powmod(1 + n, prime - 1, self.square)), prime)

    def decrypt(self, ciphertext: mpz) -> mpz:
        power = gmpy2.powmod(ciphertext, self._prime - 1, self.square)
        return self._logarithm(power) * self._scale % self._prime

    def residue(self) -> mpz:
        """A uniform n-th residue modulo the prime's square."""
        return self.power(secrets.randbelow(int(self._prime) - 1))

    def power(self, exponent: int) -> mpz:
        """The generator to this power."""
        power = mpz(1)
        for row, digit in zip(self._powers, gmpy2.unpack(mpz(exponent), _WINDOW), strict=False):
            power = power * row[digit] % self.square
        return power

    def _logarithm(self, power: mpz) -> mpz:
        return (power - 1) // self._prime

    @cached_property
    def _powers(self) -> list[list[mpz]]:
        """Row i holds generator^(digit · 2^(window · i)) for every digit."""
        # Minus a square is no square modulo a prime 3 mod 4: it generates the part of even order as well.
        seed = -pow(mpz(1 + secrets.randbelow(int(self._prime) - 1)), 2, self._prime)
        base = gmpy2.powmod(seed, self._n, self.square)
        rows = []
        for _ in range(-(-self._prime.bit_length() // _WINDOW)):
            row = [mpz(1)]
            for _ in range((1 << _WINDOW) - 1):
                row.append(row[-1] * base % self.square)
            rows.append(row)
            base = row[-1] * base % self.square
        return rows


def new_key(bits: int) -> PrivateKey:
    """A fresh key with a modulus of that length. Raises ConfigError when it is too short, too long or odd."""
    check_length(bits)
    while True:
        p, q = _new_prime(bits // 2), _new_prime(bits // 2)
        # FIPS 186-5, appendix A.1.3: primes too close to each other are found by Fermat's method.
        if abs(p - q).bit_length() > bits // 2 - 100:
            return PrivateKey(p, q)


def check_length(bits: int) -> None:
    """Raises ConfigError unless a modulus may have that length."""
    if not LEAST_BITS <= bits <= MOST_BITS or bits % 128:
        raise ConfigError(
            f"A Paillier modulus has {LEAST_BITS} to {MOST_BITS} bits (about 112-bit security at {LEAST_BITS}, "
            f"128-bit at 3072) in steps of 128, not {bits}."
        )


def _new_prime(bits: int) -> int:
    """A random prime, 3 modulo 4, with the two top bits set, and no small odd prime factor in its predecessor."""
    smooth = gmpy2.primorial(_SMOOTH) // 2
    while True:
        candidate = secrets.randbits(bits) | (3 << (bits - 2)) | 3
        if gmpy2.gcd(candidate >> 1, smooth) == 1 and gmpy2.is_prime(candidate, 40):
            return candidate
