"""The form in which keys, encrypted numbers and replies cross a border, and the digest that ties them together.

Everything is a mapping of NumPy arrays, so that any transport can carry it. With it goes a SHA-256 digest (FIPS 180-4)
of all arrays and of what both ends know already: the public key, the rows of each group, the request that is being
answered. What was damaged or cut short, made under another key, or belongs to another request does not match its
digest, and is refused before anything is computed with it. A digest has no secret in it: it finds accidents and
mix-ups, which is what the threat model of semi-honest parties needs. Against forgers on the way stands the transport
(TLS).
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fl.errors import ProtocolError

Array: TypeAlias = np.ndarray[Any, Any]
Wire: TypeAlias = dict[str, Array]

_DIGEST = "digest"


def digest(*parts: str | bytes | Array) -> bytes:
    """32 bytes that differ whenever a part, the dtype or shape of an array, or where one part ends does."""
    # Processors have instructions for SHA-256, so it takes less than half of the time of BLAKE2b.
    state = hashlib.sha256(b"siloscore-sums/2")
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        array = content if isinstance(content, np.ndarray) else np.frombuffer(content, np.uint8)
        head = f"{array.dtype.str}{array.shape}".encode()
        state.update(len(head).to_bytes(8, "little") + head)
        state.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return state.digest()


def fingerprint(public_key: Mapping[str, Array]) -> bytes:
    """What tells one public key from another: 32 bytes."""
    return digest("public key", *_flat(public_key))


def with_digest(kind: str, arrays: Mapping[str, Array], *context: bytes | Array) -> Wire:
    """The arrays with their digest; `kind` says what they are, in the plural, `context` what the receiver knows too."""
    return {**arrays, _DIGEST: as_array(_digest_of(kind, arrays, context))}


def check_digest(kind: str, wire: Mapping[str, Array], *context: bytes | Array) -> None:
    """Raises ProtocolError unless the wire form is whole and belongs to this kind and context."""
    arrays = {name: array for name, array in wire.items() if name != _DIGEST}
    if take(wire, _DIGEST, np.uint8, (32,)).tobytes() != _digest_of(kind, arrays, context):
        raise ProtocolError(
            f"The {kind} do not match their digest: they are damaged, or were made under another key, for other rows "
            "or columns, or for another request. Repeat the request."
        )


def regrouped(ticket: bytes, rows: Array, offsets: Array) -> bytes:
    """The name of the request that asks for other rows and groups of what was sent under `ticket`."""
    return digest("regroup", ticket, rows.astype(np.int64), offsets.astype(np.int64))


def as_array(data: bytes) -> NDArray[np.uint8]:
    """Bytes as a writable array (n,) of uint8."""
    return np.frombuffer(bytearray(data), np.uint8)


def take(wire: Mapping[str, Array], name: str, dtype: Any, shape: tuple[int | None, ...]) -> Array:
    """One array of a wire form; None in `shape` stands for any length.

    Raises ProtocolError when it is absent or of another dtype or shape.
    """
    array = wire.get(name)
    if (
        array is None
        or array.dtype != np.dtype(dtype)
        or array.ndim != len(shape)
        or any(want not in (None, have) for want, have in zip(shape, array.shape, strict=True))
    ):
        raise ProtocolError(
            f"The encrypted sums lack {name!r}, or it is not {np.dtype(dtype)} of shape {shape}."
        )
    return array


def stretches(array: Array, lengths: Sequence[int]) -> list[Array]:
    """An array cut along its first axis into pieces of these lengths, without a copy."""
    return np.split(array, np.cumsum(lengths))[:-1]


def take_ticket(wire: Mapping[str, Array]) -> bytes:
    """The request's name in a wire form; ProtocolError when there is none."""
    return take(wire, "ticket", np.uint8, (32,)).tobytes()


def _digest_of(kind: str, arrays: Mapping[str, Array], context: tuple[bytes | Array, ...]) -> bytes:
    # Both ends mean the same offsets and counts, whatever integers they keep them in.
    shared = (part if isinstance(part, bytes) else part.astype(np.int64) for part in context)
    return digest("message", kind, *shared, *_flat(arrays))


def _flat(arrays: Mapping[str, Array]) -> list[str | bytes | Array]:
    return [part for name in sorted(arrays) for part in (name, np.asarray(arrays[name]))]
