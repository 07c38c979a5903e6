"""Sums without encryption: for tests, for the pooled twin, and to measure what encryption costs.

The owner's numbers cross as they are. Masked sums are masked for real, modulo 2^64, so that a protocol on this engine
exchanges the same messages as on the others.
"""

import secrets
from collections.abc import Sequence
from typing import Self

import numpy as np

from fl.encrypted_sums import halves, wire
from fl.encrypted_sums.halves import AnyWire, Bins, Integers, Request
from fl.encrypted_sums.packing import Packing
from fl.encrypted_sums.wire import Array, Wire
from fl.errors import ProtocolError


class PlainOwner(halves.Owner):
    """Holds no key. Rows and ranges are checked as if there were one."""

    def __init__(self, packing: Packing) -> None:
        super().__init__(packing, _as_opened)

    def public_key(self) -> Wire:
        """Nothing: there is no key."""
        return {}

    @classmethod
    def _restored(cls, packing: Packing, keys: AnyWire) -> Self:
        return cls(packing)

    def _keys(self) -> Wire:
        return {}

    def _encrypt(self, values: Integers, offsets: Integers, bin_counts: Sequence[Integers]) -> Wire:
        return {"rows": values}

    def _decrypt(self, reply: AnyWire, request: Request) -> Array:
        return wire.take(reply, "replies", np.int64, (request.count, len(self._packing.ranges)))


class PlainResponder(halves.Responder):
    """Adds up numbers that it can read. Raises ProtocolError for a key: the owner has another engine."""

    def __init__(self, packing: Packing, public_key: AnyWire) -> None:
        if public_key:
            raise ProtocolError("The engine plain has no key; the owner uses another engine.")
        super().__init__(packing, public_key, _as_opened)

    def _rows(self, encrypted: AnyWire, offsets: Integers) -> Array:
        return wire.take(encrypted, "rows", np.int64, (int(offsets[-1]), len(self._packing.ranges)))

    def _new_mask(self, request: Request) -> Array:
        shape = request.count, len(self._packing.ranges)
        return np.frombuffer(secrets.token_bytes(8 * int(np.prod(shape))), np.int64).reshape(shape)

    def _add_up(self, request: Request, bins: Bins, mask: Array | None) -> Array:
        """int64 (wanted sums, k)."""
        values = self._rows(request.held, request.offsets)
        sums = np.zeros((request.count + 1, values.shape[1]), np.int64)
        # Integers throughout: weights of np.bincount would be floating point.
        np.add.at(sums, request.places(bins), values[:, None])
        return sums[:-1] if mask is None else sums[:-1] + mask

    def _subtract(self, masked: Array, mask: Array) -> Array:
        return np.asarray(masked - mask, np.int64)


def _as_opened(opened: Array, request: Request) -> Integers:
    return opened
