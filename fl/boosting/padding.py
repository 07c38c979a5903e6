"""Sides of rows, sealed in advance: so that what a split does is known to all who must know it without another message.

Where one passive party splits a node, the others must learn to which side its rows went before they can add up. Asked
for then, that is a round trip per level. Instead each passive party hands the coordinator, once per model, which rows
are in which bin of which column, under a one-time pad that it shares with the bank alone (X25519, RFC 7748; HKDF, RFC
5869; ChaCha20, RFC 8439). Bins of a column are disjoint, so the rows that a split sends left are the exclusive or of
its bins' bits, and the pad of that is the exclusive or of theirs. With a split the bank sends this one pad: it opens
the split's sides and no others.

The coordinator then knows of a party's bins what it would have relayed anyway, and the bank sees no sealed bits. Both
together could open all. The threat model excludes that they collude; who does not want to rely on it sets
`boosting.sealed-sides` to false.

A matrix of bits is uint8 (rows, ⌈n/8⌉): one row per bin, column after column, and last one for the unknown.
"""

import secrets

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from fl.binning import UNKNOWN, Codes

Bits = NDArray[np.uint8]
Integers = NDArray[np.int64]

KEY_BYTES = 32
_PURPOSE = b"siloscore/boosting/sides/1"


def new_secret() -> Bits:
    """A fresh secret key, uint8 (32,)."""
    return np.frombuffer(secrets.token_bytes(KEY_BYTES), np.uint8)


def public_key(secret: Bits) -> Bits:
    """The public key of a secret one, uint8 (32,)."""
    return np.frombuffer(_private(secret).public_key().public_bytes_raw(), np.uint8)


def pad(secret: Bits, peer: Bits, bins: Integers, rows: int) -> Bits:
    """The pad that two parties share, each from its own secret and the other's public key: a matrix of bits.

    bins (c,) are those of each column of the passive one. Raises ValueError for a public key that is no point.
    """
    shared = _private(secret).exchange(X25519PublicKey.from_public_bytes(peer.tobytes()))
    key = HKDF(SHA256(), KEY_BYTES, None, _PURPOSE).derive(shared)
    # A key serves one pad, so the nonce may be anything.
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
    shape = int(bins.sum()) + 1, -(-rows // 8)
    return np.frombuffer(stream.update(bytes(shape[0] * shape[1])), np.uint8).reshape(shape)


def sides(codes: Codes, bins: Integers) -> Bits:
    """Which rows are in which bin, for bins (n, c): a matrix of bits."""
    found = [codes[:, column] == bin_ for column, count in enumerate(bins) for bin_ in range(count)]
    # Columns know the same businesses.
    unknown = codes[:, 0] == UNKNOWN if codes.shape[1] else np.zeros(len(codes), bool)
    return np.packbits(np.array([*found, unknown]), axis=1)


def combined(matrix: Bits, bins: Integers, columns: Integers, left: Bits) -> Bits:
    """For splits of these columns the exclusive or of the bits of all bins that go left: (s, ⌈n/8⌉).

    left (s, 32) packs a flag per bin, at index UNKNOWN that of the unknown (`forest.Splits`).
    """
    starts = np.cumsum(bins) - bins
    found = np.zeros((len(columns), matrix.shape[1]), np.uint8)
    for split, (column, flags) in enumerate(zip(columns, np.unpackbits(left, axis=1), strict=True)):
        of_column = np.flatnonzero(flags[: bins[column]]) + starts[column]
        chosen = np.append(of_column, len(matrix) - 1) if flags[UNKNOWN] else of_column
        found[split] = np.bitwise_xor.reduce(matrix[chosen], axis=0)
    return found


def _private(secret: Bits) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(secret.tobytes())
