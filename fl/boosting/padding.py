"""Sides of rows under a pad, handed over in advance: what a split does is known in time without another message.

Where one passive party splits a node, the others must learn to which side its rows went before they can add up. Asked
for then, that is a round trip per level. Instead each passive party hands the coordinator, once per model, which rows
are in which bin of which column (and the same again if it asks), under a one-time pad that it shares with the bank
alone (X25519, RFC 7748; HKDF, RFC 5869; ChaCha20, RFC 8439). Bins of a column are disjoint, so the rows that a split
sends left are the exclusive or of its bins' bits, and the pad of that is the exclusive or of theirs.

With each split the bank tells the coordinator which rows of the party's padded matrix to combine. The coordinator
passes the result to the other passive parties without being able to read it. The bank gives those parties the
combined pad in the rows of the split's node and nowhere else: they read the split's sides there, and outside of the
node every bit stays padded. Since a bin has one pad, two splits that send the same bins left would look the same, and
what was told of a row by one would hold for the other: so each split has a mask of its own besides, from a seed that
the bank gives to the coordinator.

The bank sees no padded bits. The bank and the coordinator together could read all; the threat model excludes that they
collude, and who does not want to rely on it sets `boosting.sealed-sides` to false.

A matrix of bits is uint8 (m, ⌈n/8⌉): one row per bin, column after column, and the last one for the unknown.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from fl.arrays import check_bytes
from fl.binning import UNKNOWN, Codes
from fl.boosting.forest import Splits
from fl.errors import ProtocolError
from fl.records import encode

Bits = NDArray[np.uint8]
Integers = NDArray[np.int64]

KEY_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class PadUse:
    """What one pad is for: a model of a study, and between whom, with the public key (32,) of each by name."""

    study: str
    model: str
    keys: Mapping[str, Bits]


@dataclass(frozen=True)
class PadSecret:
    """A party's secret key of the pads that it shares with others, uint8 (32,)."""

    key: Bits

    @classmethod
    def new(cls) -> Self:
        """A fresh one."""
        return cls(np.frombuffer(secrets.token_bytes(KEY_BYTES), np.uint8))

    @property
    def public_key(self) -> Bits:
        """What the other party needs, uint8 (32,)."""
        return np.frombuffer(self._private.public_key().public_bytes_raw(), np.uint8)

    def pad(self, use: PadUse, peer: str, bins: Integers, rows: int) -> Bits:
        """The pad that is shared with a peer, which has the same for the same use: a matrix of bits.

        bins (c,) are those of each column of the passive party. Raises ProtocolError for a public key that is none, or
        with which everybody would know the pad (RFC 7748, section 6.1).
        """
        check_bytes("the public key of the pads", use.keys[peer], (KEY_BYTES,))
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(use.keys[peer].tobytes()))
        except ValueError:
            raise ProtocolError(f"the public key of {peer}'s pads is of low order") from None
        about = encode(replace(use, keys=dict(sorted(use.keys.items()))))
        key = HKDF(SHA256(), KEY_BYTES, None, b"siloscore/boosting/sides/2" + about).derive(shared)
        # A key serves one pad, so the nonce may be anything.
        stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
        shape = int(bins.sum()) + 1, -(-rows // 8)
        return np.frombuffer(stream.update(bytes(shape[0] * shape[1])), np.uint8).reshape(shape)

    @property
    def _private(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self.key.tobytes())


def mask(seed: Bits, rows: int) -> Bits:
    """The mask of one split, uint8 (⌈rows/8⌉,), from its own seed, uint8 (32,). A seed serves one split."""
    stream = Cipher(algorithms.ChaCha20(seed.tobytes(), bytes(16)), mode=None).encryptor()
    return np.frombuffer(stream.update(bytes(-(-rows // 8))), np.uint8)


def new_seed() -> Bits:
    """The seed of a mask, uint8 (32,)."""
    return np.frombuffer(secrets.token_bytes(KEY_BYTES), np.uint8)


def sides(codes: Codes, bins: Integers) -> Bits:
    """Which rows are in which bin, for codes (n, c) below bins (c,): a matrix of bits."""
    in_bins = [codes[:, column] == bin_ for column, count in enumerate(bins) for bin_ in range(count)]
    # Columns know the same businesses.
    unknown = codes[:, 0] == UNKNOWN if codes.shape[1] else np.zeros(len(codes), bool)
    return np.packbits(np.array([*in_bins, unknown]), axis=1)


def choices(bins: Integers, splits: Splits) -> Bits:
    """Which rows of the matrix make up the left side of each split: packed bits (s, ⌈m/8⌉); bins (c,) as in `sides`."""
    starts = np.cumsum(bins) - bins
    chosen = np.zeros((len(splits), int(bins.sum()) + 1), bool)
    for flags, column, left in zip(chosen, splits.columns, np.unpackbits(splits.left, axis=1), strict=True):
        flags[starts[column] : starts[column] + bins[column]] = left[: bins[column]]
        flags[-1] = left[UNKNOWN]
    return np.packbits(chosen, axis=1)


def masked(padded: Bits, chosen: Bits, seed: Bits) -> Bits:
    """What the coordinator passes on of one split: its side under pad and mask, (1, ⌈n/8⌉); chosen (⌈m/8⌉,)."""
    return combined(padded, chosen[None]) ^ mask(seed, 8 * padded.shape[1])


def combined(matrix: Bits, chosen: Bits) -> Bits:
    """The exclusive or of the rows of a matrix that each of s `choices` names: (s, ⌈n/8⌉)."""
    flags = np.unpackbits(chosen, axis=1, count=len(matrix)).astype(bool)
    rows = [np.bitwise_xor.reduce(matrix[of_split], axis=0) for of_split in flags]
    return np.array(rows, np.uint8).reshape(len(chosen), matrix.shape[1])


def within(bits: Bits, nodes: NDArray[np.int16], split: NDArray[np.int_]) -> Bits:
    """The bits of each split in the rows of its node, all in one and zero elsewhere: (…, ⌈n/8⌉).

    bits (s, ⌈n/8⌉) are those of the splits of the nodes `split` (s,); nodes (…, n) is the node of each row, tree by
    tree. Of padded sides and of their pads, the exclusive or of the two says which rows go left.
    """
    there = np.zeros((*nodes.shape[:-1], bits.shape[1]), np.uint8)
    for of_split, node in zip(bits, split, strict=True):
        there |= of_split & np.packbits(nodes == node, axis=-1)
    return there
