"""What owner and responder of the lattice engine must agree on: planes, key, and the bytes of a reply."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fl.encrypted_sums.halves import Integers, Request
from fl.encrypted_sums.lattice.layout import Reply
from fl.encrypted_sums.lattice.seal import DEGREE, MAX_PLAIN_BITS, Coefficients, Lattice
from fl.encrypted_sums.packing import Packing
from fl.encrypted_sums.wire import Array, Wire, stretches, take
from fl.errors import ProtocolError

# Coefficients of a reply are below a prime of 60 bits: two of them fit into 15 bytes.
_WORD, _PAIR = np.uint64(60), 15


class Planes:
    """How the k numbers of a row share encryptions: as few planes as can be, each with its own plaintexts.

    All planes use the plaintext modulus of the largest, a power of two no larger than the rows demand: the smaller it
    is, the more noise drowns what must not be seen.
    """

    def __init__(self, packing: Packing) -> None:
        self.packing = packing
        self.packings = packing.planes(1 << MAX_PLAIN_BITS)
        self.lattice = Lattice(max(plane.modulus.bit_length() - 1 for plane in self.packings))

    def __len__(self) -> int:
        return len(self.packings)

    def pack(self, values: NDArray[np.int64]) -> list[Coefficients]:
        """Values (n, k) to coefficients modulo t, (n,) for each plane."""
        parts = stretches(values.T, [len(plane.ranges) for plane in self.packings])
        return [
            (plane.pack(part.T) % self.lattice.plain_modulus).astype(np.uint64)
            for plane, part in zip(self.packings, parts, strict=True)
        ]

    def sums(self, coefficients: Array, request: Request) -> Integers:
        """Coefficients modulo t (planes, count) to sums (count, k); ProtocolError when one is out of range."""
        modulus = self.lattice.plain_modulus
        parts = [
            plane.unpack(part.astype(np.int64), modulus)
            for plane, part in zip(self.packings, coefficients, strict=True)
        ]
        return np.concatenate(parts, axis=1)


def to_bytes(words: Coefficients) -> NDArray[np.uint8]:
    """60-bit words, 15 bytes for each two of them."""
    even, odd = np.append(words, np.zeros(len(words) % 2, np.uint64)).reshape(-1, 2).T
    pairs = np.stack([even | (odd << _WORD), odd >> np.uint64(4)], 1)
    return np.ascontiguousarray(pairs).view(np.uint8).reshape(-1, 16)[:, :_PAIR].ravel()


def from_bytes(data: NDArray[np.uint8], words: int) -> Coefficients:
    """The inverse of `to_bytes`."""
    pairs = np.zeros((len(data) // _PAIR, 16), np.uint8)
    pairs[:, :_PAIR] = data.reshape(-1, _PAIR)
    low, high = pairs.view(np.uint64).T
    even = low & np.uint64((1 << 60) - 1)
    return np.stack([even, (high << np.uint64(4)) | (low >> _WORD)], 1).ravel()[:words]


def byte_length(words: int) -> int:
    """How many bytes `to_bytes` makes of so many words."""
    return _PAIR * ((words + 1) // 2)


def reply_bytes(replies: Sequence[Reply], planes: int) -> int:
    """How many bytes replies take, in every plane."""
    return planes * sum(byte_length(reply.used + DEGREE) for reply in replies)


def join(pieces: list[bytes]) -> Wire:
    """Serialised objects one after the other, and their lengths."""
    return {
        "lengths": np.array([len(piece) for piece in pieces], np.int64),
        "blocks": np.frombuffer(b"".join(pieces), np.uint8),
    }


def cut(wire: Mapping[str, Array], count: int) -> list[memoryview]:
    """The inverse of `join`, without a copy; ProtocolError when there are not `count` objects."""
    lengths = take(wire, "lengths", np.int64, (count,))
    blocks = np.ascontiguousarray(take(wire, "blocks", np.uint8, (None,)))
    if (lengths < 0).any() or lengths.sum() != len(blocks):
        raise ProtocolError("Encrypted numbers are not as long as they say.")
    return [piece.data for piece in stretches(blocks, lengths.tolist())]
