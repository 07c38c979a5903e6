"""Sums without encryption: for tests, for the pooled twin, and to measure what encryption costs.

The owner's numbers cross as they are. Masked sums are masked for real, modulo 2^64, so that a protocol on this engine
exchanges the same messages as on the others.
"""

import secrets
from collections.abc import Sequence

import numpy as np

from fl.encrypted_sums import packing, wire
from fl.encrypted_sums.interface import AnyWire, Bins, Integers, Sums
from fl.encrypted_sums.packing import Packing
from fl.encrypted_sums.wire import Array, Wire
from fl.errors import ProtocolError

_NUMBERS, _SUMS, _MASKED, _OPENED = "numbers", "sums", "masked sums", "opened masked sums"


class PlainOwner:
    """Holds no key. Rows and ranges are checked as if there were one."""

    row_wise = True

    def __init__(self, packing: Packing) -> None:
        self._packing = packing

    @classmethod
    def restore(cls, secret: AnyWire) -> "PlainOwner":
        """The owner that `secret()` describes."""
        return cls(Packing.from_wire(secret))

    def public_key(self) -> Wire:
        """Nothing: there is no key."""
        return {}

    def secret(self) -> Wire:
        """Rows and ranges."""
        return self._packing.to_wire()

    def encrypt(
        self, values: Integers, offsets: Integers, bin_counts: Sequence[Integers]
    ) -> tuple[Wire, Wire]:
        """The numbers themselves, and a ticket."""
        self._packing.check(values, offsets)
        name = wire.new_ticket()
        message = wire.with_digest(_NUMBERS, wire.with_ticket(name, {"values": values}), offsets)
        return message, wire.ticket_for(name, offsets)

    def regroup(self, ticket: AnyWire, rows: Integers, offsets: Integers) -> Wire:
        """The ticket for other groups of the same numbers."""
        packing.check_offsets(offsets, len(rows))
        return wire.ticket_for(wire.regrouped(wire.take_ticket(ticket), rows, offsets), offsets)

    def decrypt(self, reply: AnyWire, ticket: AnyWire, bin_counts: Integers) -> Sums:
        """The sums of a reply."""
        return packing.split_columns(self._sums(reply, ticket, bin_counts, _SUMS), bin_counts)

    def open_masked(self, reply: AnyWire, ticket: AnyWire, bin_counts: Integers) -> Wire:
        """The masked sums, unchanged."""
        opened = {"sums": self._sums(reply, ticket, bin_counts, _MASKED)}
        return wire.with_digest(_OPENED, opened, wire.take_ticket(ticket))

    def _sums(self, reply: AnyWire, ticket: AnyWire, bin_counts: Integers, kind: str) -> Array:
        wire.check_digest(kind, reply, wire.take_ticket(ticket), bin_counts)
        groups = len(wire.take(ticket, "offsets", np.int64, (None,))) - 1
        return wire.take(reply, "sums", np.int64, (groups, int(bin_counts.sum()), len(self._packing.ranges)))


class PlainResponder:
    """Adds up numbers that it can read. Raises ProtocolError for a key: the owner has another engine."""

    row_wise = True

    def __init__(self, public_key: AnyWire) -> None:
        if public_key:
            raise ProtocolError("The engine plain has no key; the owner uses another engine.")

    def regroup(self, encrypted: AnyWire, offsets: Integers, rows: Integers, new_offsets: Integers) -> Wire:
        """The numbers of those rows."""
        values = self._values(encrypted, offsets)
        packing.check_offsets(new_offsets, len(rows))
        name = wire.regrouped(wire.take_ticket(encrypted), rows, new_offsets)
        return wire.with_digest(_NUMBERS, wire.with_ticket(name, {"values": values[rows]}), new_offsets)

    def sums(self, encrypted: AnyWire, offsets: Integers, bins: Bins, bin_counts: Integers) -> Wire:
        """The sums, columns side by side: int64 (groups, all bins, k)."""
        sums = self._sums(encrypted, offsets, bins, bin_counts)
        return wire.with_digest(_SUMS, {"sums": sums}, wire.take_ticket(encrypted), bin_counts)

    def masked_sums(
        self, encrypted: AnyWire, offsets: Integers, bins: Bins, bin_counts: Integers
    ) -> tuple[Wire, Wire]:
        """The sums plus a uniform mask modulo 2^64, and the mask."""
        sums, name = self._sums(encrypted, offsets, bins, bin_counts), wire.take_ticket(encrypted)
        mask = np.frombuffer(secrets.token_bytes(sums.nbytes), np.int64).reshape(sums.shape)
        reply = wire.with_digest(_MASKED, {"sums": sums + mask}, name, bin_counts)
        return reply, wire.with_ticket(name, {"mask": mask, "bin_counts": bin_counts})

    def unmask(self, opened: AnyWire, mask: AnyWire) -> Sums:
        """The sums."""
        wire.check_digest(_OPENED, opened, wire.take_ticket(mask))
        sums = wire.take(opened, "sums", np.int64, mask["mask"].shape) - mask["mask"]
        return packing.split_columns(sums, mask["bin_counts"])

    def _values(self, encrypted: AnyWire, offsets: Integers) -> Array:
        wire.check_digest(_NUMBERS, encrypted, offsets)
        return wire.take(encrypted, "values", np.int64, (int(offsets[-1]), None))

    def _sums(self, encrypted: AnyWire, offsets: Integers, bins: Bins, bin_counts: Integers) -> Array:
        values = self._values(encrypted, offsets)
        packing.check_offsets(offsets, len(values))
        packing.check_bins(bins, bin_counts, len(values))
        groups, width = len(offsets) - 1, int(bin_counts.sum())
        sums = np.zeros((groups * width, values.shape[1]), np.int64)
        group = np.repeat(np.arange(groups), np.diff(offsets)) * width
        starts = np.cumsum(bin_counts) - bin_counts
        for start, count, column in zip(starts, bin_counts, bins.T, strict=True):
            counts = column < count
            # Integers throughout: weights of np.bincount would be floating point.
            np.add.at(sums, group[counts] + start + column[counts], values[counts])
        return sums.reshape(groups, width, values.shape[1])
