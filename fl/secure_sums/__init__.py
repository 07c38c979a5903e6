"""Sums over banks of which nobody sees a bank's part: not the other banks, and not the coordinator who adds.

Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning" (CCS 2017), without its recovery
of parties that drop out. Each pair of banks shares a one-time pad; of the two, the one that comes first by name adds it
to its numbers and the other subtracts it, so that the pads vanish from the sum over all banks and from no other sum. A
further pad, from a key that all banks share and the coordinator does not know, hides the total from the coordinator:
the first bank adds it, and every bank takes it off the total.

Numbers are whole and are added modulo 2^64, so that a sum is exact and a masked number is uniform. A pad is drawn by
ChaCha20 (RFC 8439) under a key that HKDF-SHA256 (RFC 5869) derives from the pair's X25519 secret (RFC 7748) and from
everything that the pad is for (`Use`). So a pad serves one step of one model among one set of banks.

Every bank appends a check number to what it adds: the sum of its numbers, each times an odd factor that follows from
the group key (after Carter and Wegman, "Universal classes of hash functions", 1979). Checks add up as numbers do, so
the last number of an unmasked total says whether the others are the sums of what exactly these banks have shown. A
change of one number is always noticed; a coordinator, which does not know the factors, has a chance of 1 in 2^(63 − k)
to change a sum by a multiple of 2^k and the check with it.

Flower's SecAgg+ does the same for parties that come and go. It is not used, since its workflow needs Flower's legacy
ServerApp and ClientApp interfaces and state in Flower's process, rounds floating-point numbers at random to a fixed
range, and takes two more round trips for shares of keys (Shamir 1979) by which the coordinator unmasks what parties
that are lost have left behind. Here a lost bank stops the step and the run resumes with it, so nobody needs such
shares, and nobody can use them to unmask a bank that is still there.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from fl.errors import ProtocolError
from fl.records import encode

KEY = 32
"""Bytes of each key."""

Masked = NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a pad is for: the step of a model in a study, and the banks by name with their public keys.

    history is a digest of all totals that the banks have seen since the model's first step. Banks that were told
    different totals have different pads from then on, and notice it by the next total.
    """

    study: str
    model: str
    step: int
    banks: Mapping[str, bytes]
    history: bytes = b""

    def after(self, total: Masked) -> Self:
        """The use of the next step, once the masked total of this one is known."""
        history = hashlib.sha256(self.history + np.ascontiguousarray(total, "<u8").tobytes()).digest()
        return replace(self, step=self.step + 1, history=history)


@dataclass(frozen=True)
class _Purpose:
    """What HKDF is told: the use, and the two banks that share the pad, or all of them; none: it is for the check."""

    use: Use
    sharing: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What one bank hides its numbers by: a private key (X25519) of its own, and the banks' common group key."""

    bank: str
    private: bytes = field(repr=False)
    group: bytes = field(repr=False)

    @classmethod
    def public_of(cls, private: bytes) -> bytes:
        """The public key that belongs to a private one."""
        return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()

    def mask(self, values: NDArray[np.int64], use: Use) -> Masked:
        """What the bank shows of its numbers (k,): (k + 1,) numbers, each uniform to whoever lacks one of the keys.

        Raises ProtocolError for a number that is so large that a sum over the banks could wrap, and for fewer than two
        banks, or other keys than this bank's.
        """
        numbers = _in_range(values, len(use.banks)).astype(np.uint64)
        masked = np.append(numbers, self._check(numbers, use))
        for pad, adds in self._pads(use, len(masked)):
            np.add(masked, pad, out=masked) if adds else np.subtract(masked, pad, out=masked)
        return masked

    def unmask(self, total: Masked, use: Use) -> NDArray[np.int64]:
        """The sums (k,), from the total (k + 1,) of what all banks have shown.

        Raises ProtocolError unless it is the total of the numbers of exactly these banks in this step.
        """
        sums = total - _pad(self.group, use, tuple(sorted(use.banks)), len(total))
        if not len(sums) or sums[-1] != self._check(sums[:-1], use):
            raise ProtocolError(
                f"the total of step {use.step} is not that of what {', '.join(sorted(use.banks))} have added; "
                "begin a new study"
            )
        return sums[:-1].view(np.int64)

    def _check(self, numbers: Masked, use: Use) -> np.uint64:
        """The check number of some numbers (k,), in this step."""
        factors = _pad(self.group, use, (), len(numbers)) | np.uint64(1)
        return np.sum(factors * numbers, dtype=np.uint64)

    def _pads(self, use: Use, count: int) -> Iterable[tuple[Masked, bool]]:
        """The pads of this bank in a step, each with whether the bank adds it."""
        if use.banks.get(self.bank) != self.public_of(self.private) or len(use.banks) < 2:
            raise ProtocolError("a secure sum needs this bank with its own key, and others beside it")
        private, first = X25519PrivateKey.from_private_bytes(self.private), min(use.banks)
        for other, public in use.banks.items():
            if other != self.bank:
                pair = tuple(sorted((self.bank, other)))
                yield _pad(_secret(private, other, public), use, pair, count), self.bank == pair[0]
        if self.bank == first:
            yield _pad(self.group, use, tuple(sorted(use.banks)), count), True


def added(shown: Iterable[Masked]) -> Masked:
    """The total (k,) modulo 2^64 of what the banks show, (k,) each. Raises ProtocolError if the lengths differ."""
    first, *others = shown
    total = first.copy()
    for masked in others:
        if masked.shape != total.shape:
            raise ProtocolError(
                f"the banks have added vectors of different lengths: {len(total):,} and {len(masked):,} numbers; "
                "their schemas or versions differ"
            )
        np.add(total, masked, out=total)
    return total


def _in_range(values: NDArray[np.int64], banks: int) -> NDArray[np.int64]:
    if values.dtype != np.int64 or values.ndim != 1:
        raise ProtocolError(f"a secure sum is of whole numbers (k,), int64, not of {values.dtype}")
    most = (2**63 - 1) // max(banks, 1)
    if len(values) and (values.max() > most or values.min() < -most):
        raise ProtocolError(
            f"a number to be added is too large: with {banks} banks it may be ±{most:,} at most, or the sum could "
            "wrap; lower the precision of the algorithm"
        )
    return values


def _secret(private: X25519PrivateKey, bank: str, public: bytes) -> bytes:
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise ProtocolError(f"{bank} has told no valid public key for the secure sums") from None


def _pad(secret: bytes, use: Use, sharing: tuple[str, ...], count: int) -> Masked:
    """A pad (count,) of uniform numbers, the same for all that share the secret and mean the same use of it."""
    ordered = replace(use, banks=dict(sorted(use.banks.items())))
    key = HKDF(SHA256(), KEY, None, encode(_Purpose(ordered, sharing))).derive(secret)
    # The key serves this pad alone, so that one nonce, with the block counter, serves for all.
    stream = Cipher(ChaCha20(key, bytes(16)), None).encryptor()
    return np.frombuffer(stream.update(bytes(8 * count)), "<u8").astype(np.uint64, copy=False)
