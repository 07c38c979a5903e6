"""What all engines of encrypted sums have in common: the key owner's half and the responder's half.

Arrays throughout: `values` int64 (n, k), a row's k numbers; `offsets` int64 (groups + 1,), rows laid out group by
group, group j being rows offsets[j]:offsets[j + 1]; `bins` uint8 (n, columns) of the same rows; `bin_counts` int64
(columns,). A row whose bin is its column's count is in none of them, and counts nowhere in that column. `wanted` bool
(groups, bins of all columns side by side) are the sums to be made, all of them if None. `Sums` is a list with one int64
array (groups, bins of that column, k) per column, zero where a sum is not wanted. Keys, encrypted numbers, replies and
what is kept in between are mappings of arrays (`Wire`), fit for a message or a store.

The classes here check what arrives, name requests, and tie messages together by digests; an engine adds how it
encrypts, adds up, masks and decrypts.
"""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fl.encrypted_sums import wire
from fl.encrypted_sums.packing import Packing, check_bins, check_offsets, check_wanted, split_columns
from fl.encrypted_sums.wire import Array, Wire
from fl.errors import ConfigError, ProtocolError

Integers: TypeAlias = NDArray[np.int64]
Bins: TypeAlias = NDArray[np.uint8]
Flags: TypeAlias = NDArray[np.bool_]
Sums: TypeAlias = list[NDArray[np.int64]]
AnyWire: TypeAlias = Mapping[str, Array]

_SECRET, _NUMBERS, _OPENED = "keys of an owner", "encrypted numbers", "opened masked sums"
_SUMS, _MASKED = "encrypted sums", "masked sums"


@dataclass(frozen=True)
class Request:
    """Which sums are wanted, as either half knows it.

    held  what this half has of the request: the owner its ticket, a responder the encrypted numbers or its mask
    """

    held: AnyWire
    offsets: Integers
    bin_counts: Integers
    wanted: Flags | None = None

    @property
    def groups(self) -> int:
        """How many groups of rows there are."""
        return len(self.offsets) - 1

    @property
    def bins(self) -> int:
        """How many bins all columns have together."""
        return int(self.bin_counts.sum())

    @cached_property
    def flags(self) -> Flags:
        """The sums that are wanted, (groups, bins of all columns). In this order they are numbered, group by group."""
        return np.ones((self.groups, self.bins), bool) if self.wanted is None else self.wanted

    @cached_property
    def ends(self) -> Integers:
        """By group the number of its last sum, plus one, (groups,)."""
        return np.cumsum(self.flags.sum(axis=1))

    @property
    def count(self) -> int:
        """How many sums are wanted."""
        return int(self.flags.sum())

    def places(self, bins: Bins) -> Integers:
        """The number of the sum in which each row (n, columns) is by its bin; `self.count` where in none."""
        numbers = np.full((self.groups, self.bins + 1), self.count)
        numbers[:, :-1][self.flags] = np.arange(self.count)
        starts = np.cumsum(self.bin_counts) - self.bin_counts
        group = np.repeat(np.arange(self.groups), np.diff(self.offsets))
        places: Integers = numbers[group[:, None], np.where(bins < self.bin_counts, bins + starts, self.bins)]
        return places

    def arranged(self, sums: Integers) -> Integers:
        """Sums (count, k) by group and bin, (groups, bins, k), zero where a sum is not wanted."""
        arranged = np.zeros((self.groups, self.bins, sums.shape[1]), np.int64)
        arranged[self.flags] = sums
        return arranged


_IN_BLOCKS = "This engine encrypts rows in blocks: encrypt those of the new groups anew."


class _Half:
    """Has rows and ranges, the fingerprint of these and the public key, and what both halves do alike."""

    row_wise: ClassVar[bool] = True
    """Whether rows are encrypted one by one, so that other groups of them need not be sent again: see `regroup`."""
    adds_up: ClassVar[bool] = True
    """Whether masked sums of several owners can be added: see `Owner.share`."""

    def __init__(
        self, packing: Packing, public_key: AnyWire, sums: Callable[[Array, Request], Integers]
    ) -> None:
        """`sums` makes of decrypted, unmasked replies the sums (count, k), or ProtocolError."""
        self._packing, self._sums = packing, sums
        # Halves that differ in rows or ranges do not understand each other.
        self._fingerprint = wire.fingerprint({**packing.to_wire(), **public_key})

    def _split(self, opened: Array, request: Request) -> Sums:
        return split_columns(request.arranged(self._sums(opened, request)), request.bin_counts)

    def _share(self, numbers: Array) -> Integers:
        """Masked sums or masks as whole numbers below the modulus of their packing, (sums,)."""
        if not self.adds_up:
            raise ConfigError(
                "Masked sums of several owners cannot be added with the engine paillier; choose lattice or plain."
            )
        return np.asarray(numbers.ravel() % numbers.dtype.type(self._packing.modulus), np.int64)

    def _regrouped(self, held: AnyWire, rows: Integers, offsets: Integers) -> Wire:
        """The name of the request for other groups of these rows."""
        if not self.row_wise:
            raise ProtocolError(_IN_BLOCKS)
        check_offsets(offsets, len(rows))
        return {"ticket": wire.as_array(wire.regrouped(wire.take_ticket(held), rows, offsets))}


class Owner(_Half, ABC):
    """The key owner: encrypts numbers, decrypts sums. It can be restored from `secret()` at any time."""

    def __init__(self, packing: Packing, sums: Callable[[Array, Request], Integers]) -> None:
        super().__init__(packing, self.public_key(), sums)

    @classmethod
    def restore(cls, secret: AnyWire) -> Self:
        """The owner whose `secret()` that was. Raises ProtocolError when it is damaged."""
        wire.check_digest(_SECRET, secret)
        return cls._restored(Packing.from_wire(secret), secret)

    def secret(self) -> Wire:
        """The owner's state, for its own store. Whoever reads it can read every number sent."""
        return wire.with_digest(_SECRET, {**self._packing.to_wire(), **self._keys()})

    @abstractmethod
    def public_key(self) -> Wire:
        """What responders need; the same for all of them."""

    @classmethod
    @abstractmethod
    def _restored(cls, packing: Packing, keys: AnyWire) -> Self:
        """The owner with these `_keys()`."""

    @abstractmethod
    def _keys(self) -> Wire:
        """What the owner needs to be restored, beside rows and ranges."""

    def encrypt(
        self, values: Integers, offsets: Integers, bin_counts: Sequence[Integers]
    ) -> tuple[Wire, Wire]:
        """The encrypted numbers, for the responders, and the ticket of this request, for the owner to keep.

        bin_counts has one entry per responder that will receive the numbers: an engine may choose its layout by them.
        Raises ValueError when values leave the ranges or rows that the key was made for.
        """
        self._packing.check(values, offsets)
        ticket = {"ticket": wire.as_array(secrets.token_bytes(32))}
        numbers = {**ticket, **self._encrypt(values, offsets, bin_counts)}
        message = wire.with_digest(_NUMBERS, numbers, self._fingerprint, offsets)
        return message, {**_shared(numbers), "offsets": offsets.astype(np.int64)}

    @abstractmethod
    def _encrypt(self, values: Integers, offsets: Integers, bin_counts: Sequence[Integers]) -> Wire:
        """The encrypted numbers."""

    def regroup(self, ticket: AnyWire, rows: Integers, offsets: Integers) -> Wire:
        """The ticket for sums over other groups of rows encrypted before; `rows` are positions among those.

        Only where `row_wise`; other engines raise ProtocolError, and the rows must be encrypted again.
        """
        return {**self._regrouped(ticket, rows, offsets), "offsets": offsets.astype(np.int64)}

    def decrypt(
        self, reply: AnyWire, ticket: AnyWire, bin_counts: Integers, wanted: Flags | None = None
    ) -> Sums:
        """The sums in a responder's reply (`Responder.sums`) to the request of this ticket.

        Raises ProtocolError when the reply is damaged, for another request, under another key, for other columns or
        other sums.
        """
        return self._split(*self._open(_SUMS, reply, ticket, bin_counts, wanted))

    def open_masked(self, reply: AnyWire, ticket: AnyWire, bin_counts: Integers) -> Wire:
        """Opens a reply of `Responder.masked_sums`: uniformly random to the owner, for the responder to unmask.

        Raises ProtocolError as `decrypt` does.
        """
        opened, _ = self._open(_MASKED, reply, ticket, bin_counts)
        return wire.with_digest(_OPENED, {"opened": opened}, self._fingerprint, wire.take_ticket(ticket))

    def share(self, reply: AnyWire, ticket: AnyWire, bin_counts: Integers) -> Integers:
        """Opens such a reply as whole numbers (sums,), for several owners to add; `sums_of_shares` has the rest.

        Their keys must be for the same rows and ranges, one number a row. Raises ProtocolError as `decrypt` does, and
        ConfigError if the engine's masks are not for that (`adds_up`).
        """
        return self._share(self._open(_MASKED, reply, ticket, bin_counts)[0])

    def _open(
        self,
        kind: str,
        reply: AnyWire,
        ticket: AnyWire,
        bin_counts: Integers,
        wanted: Flags | None = None,
    ) -> tuple[Array, Request]:
        request = Request(ticket, wire.take(ticket, "offsets", np.int64, (None,)), bin_counts, wanted)
        wire.check_digest(kind, reply, self._fingerprint, wire.take_ticket(ticket), bin_counts, request.flags)
        return self._decrypt(reply, request), request

    @abstractmethod
    def _decrypt(self, reply: AnyWire, request: Request) -> Array:
        """What the array `replies` holds of the wanted sums, decrypted."""


class Responder(_Half, ABC):
    """Holds the bins; made from the owner's public key, and from rows and ranges that it knows by itself.

    So no owner can have it add up more numbers per row, or larger ones, than the settings of the run say.
    """

    def regroup(self, encrypted: AnyWire, offsets: Integers, rows: Integers, new_offsets: Integers) -> Wire:
        """The encrypted numbers of `rows`, as groups by `new_offsets`; `offsets` are those they came with.

        Only where `row_wise`; ProtocolError elsewhere, and as in `sums`.
        """
        ticket = self._regrouped(encrypted, rows, new_offsets)
        wire.check_digest(_NUMBERS, encrypted, self._fingerprint, offsets)
        numbers = {**ticket, "rows": self._rows(encrypted, offsets)[rows]}
        return wire.with_digest(_NUMBERS, numbers, self._fingerprint, new_offsets)

    def sums(
        self,
        encrypted: AnyWire,
        offsets: Integers,
        bins: Bins,
        bin_counts: Integers,
        wanted: Flags | None = None,
    ) -> Wire:
        """Reveal to the owner: the sums per group, column and bin, such that the owner learns nothing else.

        What is not wanted costs little: the reply is as long as it would be with all sums, so that nobody on the way
        sees how many are wanted. Raises ProtocolError when the encrypted numbers are damaged, for other groups, or
        under another key, and ValueError when bins do not fit bin_counts or offsets, or `wanted` not these.
        """
        request = self._checked(encrypted, offsets, bins, bin_counts, wanted)
        return self._reply(_SUMS, request, self._add_up(request, bins, None))

    def masked_sums(
        self, encrypted: AnyWire, offsets: Integers, bins: Bins, bin_counts: Integers
    ) -> tuple[Wire, Wire]:
        """Reveal to the responder: the reply, under a fresh uniform mask, and the mask, for the responder to keep.

        Raises as `sums` does.
        """
        request = self._checked(encrypted, offsets, bins, bin_counts)
        mask = self._new_mask(request)
        kept = {**_shared(encrypted), "mask": mask, "offsets": offsets, "bin_counts": bin_counts}
        return self._reply(_MASKED, request, self._add_up(request, bins, mask)), kept

    def unmask(self, opened: AnyWire, mask: AnyWire) -> Sums:
        """The sums, from what `Owner.open_masked` sent back. A mask serves once.

        Raises ProtocolError when it is damaged or belongs to another mask.
        """
        wire.check_digest(_OPENED, opened, self._fingerprint, wire.take_ticket(mask))
        masked = wire.take(opened, "opened", mask["mask"].dtype, mask["mask"].shape)
        request = Request(mask, mask["offsets"], mask["bin_counts"])
        return self._split(self._subtract(masked, mask["mask"]), request)

    def mask_of(self, mask: AnyWire) -> Integers:
        """What hides the sums in the share of its owner, (sums,). Raises ConfigError as `Owner.share` does."""
        return self._share(mask["mask"])

    def _checked(
        self,
        encrypted: AnyWire,
        offsets: Integers,
        bins: Bins,
        bin_counts: Integers,
        wanted: Flags | None = None,
    ) -> Request:
        wire.check_digest(_NUMBERS, encrypted, self._fingerprint, offsets)
        check_offsets(offsets, int(offsets[-1]))
        check_bins(bins, bin_counts, int(offsets[-1]))
        request = Request(encrypted, offsets, bin_counts, wanted)
        check_wanted(request.flags, request.groups, request.bins)
        return request

    def _reply(self, kind: str, request: Request, replies: Array) -> Wire:
        ticket = wire.take_ticket(request.held)
        context = self._fingerprint, ticket, request.bin_counts, request.flags
        return wire.with_digest(kind, {"replies": replies}, *context)

    def _rows(self, encrypted: AnyWire, offsets: Integers) -> Array:
        """The encrypted numbers row by row; ProtocolError where the engine is not `row_wise`."""
        raise ProtocolError(_IN_BLOCKS)

    @abstractmethod
    def _new_mask(self, request: Request) -> Array:
        """A uniform mask, of the form of the decrypted replies."""

    @abstractmethod
    def _add_up(self, request: Request, bins: Bins, mask: Array | None) -> Array:
        """The replies: the wanted sums encrypted, with the mask added."""

    @abstractmethod
    def _subtract(self, masked: Array, mask: Array) -> Array:
        """Decrypted replies without their mask."""


def _shared(held: AnyWire) -> Wire:
    """What both ends keep of a request: its name and, on a lattice, the width of its slots."""
    return {name: held[name] for name in ("ticket", "width") if name in held}
