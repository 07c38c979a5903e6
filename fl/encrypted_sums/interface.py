"""What an engine of encrypted sums does: the key owner's half and the responder's half.

Arrays throughout: `values` int64 (n, k), a row's k numbers; `offsets` int64 (groups + 1,), rows laid out group by
group, group j being rows offsets[j]:offsets[j + 1]; `bins` uint8 (n, columns) of the same rows; `bin_counts` int64
(columns,). A row whose bin is its column's count is in none of them, and counts nowhere in that column. `Sums` is a
list with one int64 array (groups, bins of that column, k) per column. Keys, encrypted numbers, replies and what is
kept in between are mappings of arrays (`Wire`), fit for a message or a store.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fl.encrypted_sums.wire import Array, Wire

Integers: TypeAlias = NDArray[np.int64]
Bins: TypeAlias = NDArray[np.uint8]
Sums: TypeAlias = list[NDArray[np.int64]]
AnyWire: TypeAlias = Mapping[str, Array]


class Owner(Protocol):
    """The key owner: encrypts numbers, decrypts sums. It can be restored from `secret()` at any time."""

    row_wise: bool
    """Whether rows are encrypted one by one, so that other groups of them need not be sent again: see `regroup`."""

    def public_key(self) -> Wire:
        """What responders need; the same for all of them."""
        ...

    def secret(self) -> Wire:
        """The owner's state, to be kept in its own store and sent to nobody."""
        ...

    def encrypt(
        self, values: Integers, offsets: Integers, bin_counts: Sequence[Integers]
    ) -> tuple[Wire, Wire]:
        """The encrypted numbers, for the responders, and the ticket of this request, for the owner to keep.

        bin_counts has one entry per responder that will receive the numbers: an engine may choose its layout by them.
        Raises ValueError when values leave the ranges or rows that the key was made for.
        """
        ...

    def regroup(self, ticket: AnyWire, rows: Integers, offsets: Integers) -> Wire:
        """The ticket for sums over other groups of rows encrypted before; `rows` are positions among those.

        Only where `row_wise`; other engines raise ProtocolError, and the rows must be encrypted again.
        """
        ...

    def decrypt(self, reply: AnyWire, ticket: AnyWire, bin_counts: Integers) -> Sums:
        """The sums in a responder's reply (`Responder.sums`) to the request of this ticket.

        Raises ProtocolError when the reply is damaged, for another request, under another key, or for other columns.
        """
        ...

    def open_masked(self, reply: AnyWire, ticket: AnyWire, bin_counts: Integers) -> Wire:
        """Opens a reply of `Responder.masked_sums`: uniformly random to the owner, for the responder to unmask.

        Raises ProtocolError as `decrypt` does.
        """
        ...


class Responder(Protocol):
    """Holds the bins; made from the owner's public key."""

    row_wise: bool
    """As `Owner.row_wise`."""

    def regroup(self, encrypted: AnyWire, offsets: Integers, rows: Integers, new_offsets: Integers) -> Wire:
        """The encrypted numbers of `rows`, as groups by `new_offsets`; `offsets` are those they came with.

        Only where `row_wise`; ProtocolError elsewhere, and as in `sums`.
        """
        ...

    def sums(self, encrypted: AnyWire, offsets: Integers, bins: Bins, bin_counts: Integers) -> Wire:
        """Reveal to the owner: the sums per group, column and bin, such that the owner learns nothing else.

        Raises ProtocolError when the encrypted numbers are damaged, for other groups, or under another key, and
        ValueError when bins do not fit bin_counts or offsets.
        """
        ...

    def masked_sums(
        self, encrypted: AnyWire, offsets: Integers, bins: Bins, bin_counts: Integers
    ) -> tuple[Wire, Wire]:
        """Reveal to the responder: the reply, under a fresh uniform mask, and the mask, for the responder to keep.

        Raises as `sums` does.
        """
        ...

    def unmask(self, opened: AnyWire, mask: AnyWire) -> Sums:
        """The sums, from what `Owner.open_masked` sent back. A mask serves once.

        Raises ProtocolError when it is damaged or belongs to another mask.
        """
        ...
