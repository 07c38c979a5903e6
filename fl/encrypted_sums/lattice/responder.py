"""The responder's half of the lattice engine: multiplies encrypted blocks with masks of its bins, and adds up.

Everything is added in NTT form, where a product is N multiplications, and transformed back once per reply. Making a
mask costs more than using it: those of the largest request so far, normally the root of a tree with all rows, are
kept for the next one with the same bins.
"""

import itertools
import secrets
from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tenseal import sealapi

from fl.encrypted_sums import packing, wire
from fl.encrypted_sums.interface import AnyWire, Bins, Integers, Sums
from fl.encrypted_sums.lattice import form, layout
from fl.encrypted_sums.lattice.control import ReplyControl
from fl.encrypted_sums.lattice.form import Planes
from fl.encrypted_sums.lattice.layout import Reply
from fl.encrypted_sums.lattice.seal import DEGREE, PRIME_BITS, Coefficients
from fl.encrypted_sums.packing import Packing
from fl.encrypted_sums.wire import Wire
from fl.errors import ConfigError, ProtocolError

CACHE_BYTES: Final = 256 * 2**20
"""Most memory that masks are kept in."""

_MASKS_KEPT: Final = CACHE_BYTES // (8 * DEGREE * (len(PRIME_BITS) - 1))


class LatticeResponder:
    """Holds the owner's public key, a control of its replies, and the masks of the largest request so far."""

    row_wise = False

    def __init__(self, public_key: AnyWire) -> None:
        try:
            self._planes = Planes(Packing.from_wire(public_key))
        except ConfigError as error:
            raise ProtocolError(f"The public key does not fit the lattice engine: {error}") from None
        self._lattice = self._planes.lattice
        key = wire.take(public_key, "public_key", np.uint8, (None,)).tobytes()
        self._control = ReplyControl(self._lattice, self._lattice.load(sealapi.PublicKey(), key))
        self._fingerprint = wire.fingerprint(public_key)
        # By first group and block: the masks of all replies of those groups.
        self._kept: dict[tuple[int, int], list[Any]] = {}
        self._kept_masks = 0
        self._kept_key = b""
        self._kept_rows = 1

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
        mask = words.reshape(len(self._planes), length) % np.uint64(self._lattice.plain_modulus)
        reply = self._answer(form.MASKED, encrypted, offsets, bins, bin_counts, mask)
        kept = {"mask": mask, "offsets": offsets, "bin_counts": bin_counts, "width": encrypted["width"]}
        return reply, wire.with_ticket(wire.take_ticket(encrypted), kept)

    def unmask(self, opened: AnyWire, mask: AnyWire) -> Sums:
        """The sums."""
        wire.check_seal(form.OPENED, opened, self._fingerprint, wire.take_ticket(mask))
        masked = wire.take(opened, "opened", np.uint64, mask["mask"].shape)
        # Unsigned subtraction wraps at 2^64, a multiple of t.
        sums = self._planes.unpack((masked - mask["mask"]) % np.uint64(self._lattice.plain_modulus))
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
        wire.check_seal(form.NUMBERS, encrypted, self._fingerprint, offsets)
        packing.check_offsets(offsets, int(offsets[-1]))
        packing.check_bins(bins, bin_counts, int(offsets[-1]))
        width = int(wire.take(encrypted, "width", np.int64, (1,))[0])
        if not 1 <= width <= DEGREE:
            raise ProtocolError(f"Slots must have 1 to {DEGREE} coefficients, not {width}.")
        replies = layout.replies_of(len(offsets) - 1, bin_counts, width)
        pieces, at = [], 0
        for reply, totals in self._totals(encrypted, replies, offsets, bins, bin_counts, width):
            for plane, total in enumerate(totals):
                guarded = self._control.guard(total, reply.used)
                if mask is not None:
                    part = mask[plane, at : at + reply.used]
                    added = self._lattice.plaintext(np.arange(reply.used), part)
                    self._lattice.evaluator.add_plain_inplace(guarded, added)
                pieces.append(form.to_bytes(self._control.shorten(guarded, reply.used)))
            at += reply.used
        payload = {"replies": np.concatenate([np.zeros(0, np.uint8), *pieces])}
        return wire.sealed(kind, payload, self._fingerprint, wire.take_ticket(encrypted), bin_counts)

    def _totals(
        self,
        encrypted: AnyWire,
        replies: list[Reply],
        offsets: Integers,
        bins: Bins,
        bin_counts: Integers,
        width: int,
    ) -> Iterator[tuple[Reply, list[Any]]]:
        """Each reply with its sum of products, one per plane (None when its groups have no rows).

        Replies over the same rows are summed side by side, so that a block is loaded once and only its own replies
        are held; neighbours share at most one block.
        """
        planes = len(self._planes)
        pieces = form.cut(encrypted, layout.blocks_of(int(offsets[-1]), width) * planes)
        kept = self._masks_for(bins, offsets, bin_counts, width)
        loaded: tuple[int, list[Any]] = (-1, [])
        for _, family in itertools.groupby(replies, key=lambda reply: reply.first):
            together = list(family)
            totals: dict[Reply, list[Any]] = {reply: [None] * planes for reply in together}
            for block in layout.blocks_with(together[0], offsets, width):
                if loaded[0] != block:
                    loaded = (block, self._load(pieces[block * planes : (block + 1) * planes]))
                masks: Iterable[Any] | None = kept.get((together[0].first, block))
                if masks is None:
                    masks = map(self._mask, layout.masks(together, block, bins, offsets, bin_counts, width))
                    if kept is self._kept and self._kept_masks + len(together) <= _MASKS_KEPT:
                        masks = kept[together[0].first, block] = list(masks)
                        self._kept_masks += len(together)
                for reply, mask in zip(together, masks, strict=True):
                    if mask is not None:
                        self._add_products(totals[reply], loaded[1], mask)
            for reply, sums in totals.items():
                for total in sums if sums[0] is not None else ():
                    self._lattice.evaluator.transform_from_ntt_inplace(total)
                yield reply, sums

    def _load(self, pieces: list[memoryview]) -> list[Any]:
        """Encrypted blocks in NTT form."""
        loaded = [self._lattice.load(sealapi.Ciphertext(), piece) for piece in pieces]
        for ciphertext in loaded:
            if (
                ciphertext.size() != 2
                or ciphertext.is_ntt_form()
                or ciphertext.parms_id() != self._lattice.first
            ):
                raise ProtocolError("An encrypted block is no fresh ciphertext.")
            self._lattice.evaluator.transform_to_ntt_inplace(ciphertext)
        return loaded

    def _mask(self, powers: tuple[Integers, NDArray[np.bool_]]) -> Any | None:
        """The sum of these powers in NTT form; None of no powers."""
        exponents, negative = powers
        if not len(exponents):
            return None
        minus_one = np.uint64(self._lattice.plain_modulus - 1)
        return self._lattice.mask(exponents, np.where(negative, minus_one, np.uint64(1)))

    def _add_products(self, totals: list[Any], ciphertexts: list[Any], mask: Any) -> None:
        evaluator = self._lattice.evaluator
        for plane, ciphertext in enumerate(ciphertexts):
            product = sealapi.Ciphertext()
            evaluator.multiply_plain(ciphertext, mask, product)
            if totals[plane] is None:
                totals[plane] = product
            else:
                evaluator.add_inplace(totals[plane], product)

    def _masks_for(
        self, bins: Bins, offsets: Integers, bin_counts: Integers, width: int
    ) -> dict[tuple[int, int], list[Any]]:
        """The masks kept of such a request, to be completed; none when a larger request's are kept.

        They are kept from the second time on: many a request never comes again.
        """
        if len(bins) < self._kept_rows:
            return {}
        key = wire.digest(bins, offsets, bin_counts, width.to_bytes(8, "little"))
        if key != self._kept_key:
            self._kept_key, self._kept_rows, self._kept, self._kept_masks = key, len(bins), {}, 0
            return {}
        return self._kept
