"""The owner's public key (b, a), b = −(a s + e), whose uniform half `a` is the hash of a seed.

SEAL draws `a` itself, so whoever makes a key could plant one that fits a trapdoor, or is zero. Here both ends work it
out from a seed by SHAKE-256 (FIPS 202): the owner has no say in it, and half of the key need not be sent. Everything
else is SEAL's: its key generator makes (b', a') with its own noise, and b' + (a' − a) s is the same key at our `a`.

All polynomials of a key are in NTT form, modulo the two primes that ciphertexts have: (2, N).
"""

import hashlib
import secrets
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tenseal import sealapi

from fl.encrypted_sums import wire
from fl.encrypted_sums.halves import AnyWire
from fl.encrypted_sums.lattice import form
from fl.encrypted_sums.lattice.seal import DEGREE, PRIME_BITS, Coefficients, Lattice
from fl.encrypted_sums.wire import Wire
from fl.errors import ProtocolError

SEED_BYTES: Final = 32
_DOMAIN: Final = b"siloscore/lattice/public-key/1"

# An honest key is refused less often than once in 10^7.
_DEVIATIONS: Final = 6


def new_keys(lattice: Lattice) -> tuple[Any, Wire]:
    """A fresh secret key of SEAL, and the public key: `seed`, uint8 (32,), and `b`, 60 bits a coefficient."""
    generator, made = sealapi.KeyGenerator(lattice.context), sealapi.PublicKey()
    generator.create_public_key(made)
    secret_key, seed = generator.secret_key(), secrets.token_bytes(SEED_BYTES)
    primes, key_primes = lattice.primes, len(PRIME_BITS)
    words = lattice.words(made, 2 * key_primes * DEGREE).reshape(2, key_primes, DEGREE)
    b, a = words[:, : len(primes)].astype(object)
    s = (
        lattice.words(secret_key, key_primes * DEGREE)
        .reshape(key_primes, DEGREE)[: len(primes)]
        .astype(object)
    )
    moved = (b + (a - _expanded(seed, primes)) * s) % np.array(primes, object)[:, None]
    return secret_key, {"seed": wire.as_array(seed), "b": form.to_bytes(moved.astype(np.uint64).ravel())}


def load(lattice: Lattice, key: AnyWire) -> Any:
    """(b, a) as a ciphertext in NTT form.

    Raises ProtocolError when `key` is damaged, or no honest owner can have made it.
    Tests of `b` are cheap, and find what is degenerate: a key of zeros, of few or small coefficients. No cheap test is
    complete: to others than its owner, a key that leaks looks like any other (threat model).
    """
    seed, primes = wire.take(key, "seed", np.uint8, (SEED_BYTES,)).tobytes(), lattice.primes
    shape = len(primes), DEGREE
    data = wire.take(key, "b", np.uint8, (form.byte_length(len(primes) * DEGREE),))
    b, opened = form.from_bytes(data, len(primes) * DEGREE).reshape(shape), sealapi.Ciphertext()
    made = lattice.in_ntt_form(b, _expanded(seed, primes))
    lattice.evaluator.transform_from_ntt(made, opened)
    coefficients = lattice.words(opened, 2 * len(primes) * DEGREE).reshape(2, *shape)[0]
    for part, prime in zip([*b, *coefficients], primes * 2, strict=True):
        if not _looks_uniform(part, prime):
            raise ProtocolError(
                "The public key is degenerate: an honest key cannot be told from random numbers."
            )
    return made


def _looks_uniform(numbers: Coefficients, prime: int) -> bool:
    """Whether N numbers below a prime of 60 bits are all different, and half of them below its half."""
    low = int((numbers < prime // 2).sum())
    return len(np.unique(numbers)) == DEGREE and abs(low - DEGREE / 2) <= _DEVIATIONS * DEGREE**0.5 / 2


def _expanded(seed: bytes, primes: list[int]) -> NDArray[np.uint64]:
    """The uniform half that a seed stands for: for each prime the first N words of its stream that are below it."""
    return np.stack(
        [_below(prime, hashlib.shake_256(_DOMAIN + seed + bytes([i]))) for i, prime in enumerate(primes)]
    )


def _below(prime: int, stream: Any) -> NDArray[np.uint64]:
    # Words are cut to the prime's length, so that less than one in two is too large: three times N is always enough.
    words = np.frombuffer(stream.digest(3 * 8 * DEGREE), "<u8") & np.uint64((1 << prime.bit_length()) - 1)
    return words[words < prime][:DEGREE].astype(np.uint64)
