"""The responder's half of the lattice engine: checks what it is asked, and shares the work out to its cores."""

import itertools
import secrets
from typing import Final

import numpy as np

from fl.encrypted_sums import packing, wire
from fl.encrypted_sums.interface import AnyWire, Bins, Integers, Sums
from fl.encrypted_sums.lattice import form, layout
from fl.encrypted_sums.lattice.products import Asked, Key, adder, guarded_replies
from fl.encrypted_sums.lattice.seal import DEGREE, Coefficients
from fl.encrypted_sums.wire import Wire
from fl.errors import ProtocolError
from fl.processes import count, shared

# Products below which no other process is asked: it would wait longer for the blocks than it would multiply, and for
# the first request of all, longer to start.
_WORTH_A_SHARE: Final = 64
_WORTH_A_START: Final = 5_000


class LatticeResponder:
    """Holds the owner's public key."""

    row_wise = False

    def __init__(self, public_key: AnyWire) -> None:
        self._key = Key.of(public_key)
        self._planes = adder(self._key).planes
        self._answered = False

    def regroup(self, encrypted: AnyWire, offsets: Integers, rows: Integers, new_offsets: Integers) -> Wire:
        """Refused: rows of a block cannot be taken apart."""
        raise ProtocolError(
            "The lattice engine encrypts rows in blocks: ask for those of the new groups anew."
        )

    def sums(self, encrypted: AnyWire, offsets: Integers, bins: Bins, bin_counts: Integers) -> Wire:
        """Guarded histograms, two 60-bit coefficients in 15 bytes."""
        return self._answer(form.SUMS, encrypted, offsets, bins, bin_counts, None)

    def masked_sums(
        self, encrypted: AnyWire, offsets: Integers, bins: Bins, bin_counts: Integers
    ) -> tuple[Wire, Wire]:
        """The same plus a mask, uniform modulo t on every coefficient that carries a sum."""
        length = int(bin_counts.sum()) * (len(offsets) - 1)
        words = np.frombuffer(secrets.token_bytes(8 * length * len(self._planes)), np.uint64)
        # t is a power of two, so the remainder is as uniform as the words.
        mask = words.reshape(len(self._planes), length) % np.uint64(self._planes.lattice.plain_modulus)
        reply = self._answer(form.MASKED, encrypted, offsets, bins, bin_counts, mask)
        kept = {"mask": mask, "offsets": offsets, "bin_counts": bin_counts, "width": encrypted["width"]}
        return reply, wire.with_ticket(wire.take_ticket(encrypted), kept)

    def unmask(self, opened: AnyWire, mask: AnyWire) -> Sums:
        """The sums."""
        wire.check_digest(form.OPENED, opened, self._key.fingerprint, wire.take_ticket(mask))
        masked = wire.take(opened, "opened", np.uint64, mask["mask"].shape)
        # Unsigned subtraction wraps at 2^64, a multiple of t.
        sums = self._planes.unpack((masked - mask["mask"]) % np.uint64(self._planes.lattice.plain_modulus))
        groups, bin_counts = len(mask["offsets"]) - 1, mask["bin_counts"]
        replies = layout.replies_of(groups, bin_counts, int(mask["width"][0]))
        return layout.arrange(sums, groups, bin_counts, replies)

    def _answer(
        self,
        kind: str,
        encrypted: AnyWire,
        offsets: Integers,
        bins: Bins,
        bin_counts: Integers,
        mask: Coefficients | None,
    ) -> Wire:
        fingerprint = self._key.fingerprint
        wire.check_digest(form.NUMBERS, encrypted, fingerprint, offsets)
        packing.check_offsets(offsets, int(offsets[-1]))
        packing.check_bins(bins, bin_counts, int(offsets[-1]))
        width = int(wire.take(encrypted, "width", np.int64, (1,))[0])
        if not 1 <= width <= DEGREE:
            raise ProtocolError(f"Slots must have 1 to {DEGREE} coefficients, not {width}.")
        asked = Asked(encrypted, offsets, bins, bin_counts, width)
        replies, shares = asked.replies, []
        ends = np.cumsum([0, *(reply.used for reply in replies)])
        for first, stop in self._split(asked):
            part = None if mask is None else mask[:, ends[first] : ends[stop]]
            shares.append((self._key, asked, replies[first:stop], part))
        self._answered = True
        pieces = [piece for share in shared(guarded_replies, shares) for piece in share]
        payload = {"replies": np.concatenate([np.zeros(0, np.uint8), *pieces])}
        return wire.with_digest(kind, payload, fingerprint, wire.take_ticket(encrypted), bin_counts)

    def _split(self, asked: Asked) -> list[tuple[int, int]]:
        """The replies of each share, first to stop: as many products for each process."""
        products = [asked.products(reply) for reply in asked.replies]
        least = _WORTH_A_SHARE if self._answered else _WORTH_A_START
        shares = min(count(), sum(products) * len(self._planes) // least, len(products))
        if shares < 2:
            return [(0, len(products))]
        wanted = np.arange(1, shares) * sum(products) / shares
        cuts = np.searchsorted(np.cumsum(products), wanted) + 1
        return list(itertools.pairwise(np.unique([0, *cuts.tolist(), len(products)]).tolist()))
