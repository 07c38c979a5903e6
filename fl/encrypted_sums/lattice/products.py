"""Products of encrypted blocks with masks of bins, added up and guarded: a responder's work, in shares.

Everything is added in NTT form, where a product is N multiplications, and transformed back once per reply. Making a
mask costs more than using it: those of the largest request so far, normally the root of a tree with all rows, are
kept for the next one with the same bins. A share is some of the replies of a request; each process that makes one
keeps its own masks.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tenseal import sealapi

from fl.encrypted_sums import wire
from fl.encrypted_sums.halves import AnyWire, Bins, Integers, Request
from fl.encrypted_sums.lattice import form, layout, public_key
from fl.encrypted_sums.lattice.control import ReplyControl
from fl.encrypted_sums.lattice.form import Planes
from fl.encrypted_sums.lattice.layout import Reply
from fl.encrypted_sums.lattice.seal import DEGREE, PRIME_BITS, Coefficients
from fl.encrypted_sums.packing import Packing
from fl.encrypted_sums.wire import Array
from fl.errors import ProtocolError

CACHE_BYTES: Final = 256 * 2**20
"""Most memory that masks are kept in, by each process."""

_MASKS_KEPT: Final = CACHE_BYTES // (8 * DEGREE * (len(PRIME_BITS) - 1))


@dataclass(frozen=True)
class Key:
    """An owner's public key, and what it is used for; equal where the fingerprints are, and the packing."""

    packing: Packing
    wire: AnyWire = field(compare=False, repr=False)
    fingerprint: bytes


@lru_cache(maxsize=2)
def adder(key: Key) -> "Adder":
    """This process's adder under a key. Raises ProtocolError when the key is damaged or degenerate."""
    return Adder(key.packing, key.wire)


def guarded_replies(
    key: Key, request: Request, bins: Bins, replies: Sequence[Reply], mask: Coefficients | None
) -> list[Array]:
    """A share: these replies of a request, plane by plane, uint8 each; mask (planes, their coefficients) is added."""
    return adder(key).guarded(request, bins, replies, mask)


class Adder:
    """Adds up under one public key, with a control of its replies, and the masks of the largest request so far."""

    def __init__(self, packing: Packing, key: AnyWire) -> None:
        self.planes = Planes(packing)
        self._lattice = self.planes.lattice
        self.control = ReplyControl(self._lattice, public_key.load(self._lattice, key))
        # By first and last of a share's replies that a block has rows for, and block: the masks of these replies.
        self._kept: dict[tuple[Reply, Reply, int], list[Any]] = {}
        self._kept_key, self._kept_rows = b"", 1

    def guarded(
        self, request: Request, bins: Bins, replies: Sequence[Reply], mask: Coefficients | None
    ) -> list[Array]:
        """As `guarded_replies`."""
        pieces, at = [], 0
        for reply, totals in self._totals(request, bins, replies):
            for plane, total in enumerate(totals):
                guarded = self.control.guard(total, reply.used)
                if mask is not None:
                    part = mask[plane, at : at + reply.used]
                    added = self._lattice.plaintext(np.arange(reply.used), part)
                    self._lattice.evaluator.add_plain_inplace(guarded, added)
                pieces.append(form.to_bytes(self.control.shorten(guarded, reply.used)))
            at += reply.used
        return pieces

    def _totals(
        self, request: Request, bins: Bins, replies: Sequence[Reply]
    ) -> Iterator[tuple[Reply, list[Any]]]:
        """Each reply with its sum of products in NTT form, one per plane (None when its groups have no rows).

        Block by block, so that each is loaded once; only the replies that it has rows for are held.
        """
        planes, width = len(self.planes), layout.width_of(request)
        pieces = form.cut(request.held, layout.blocks_of(len(bins), width) * planes)
        kept, places = self._masks_for(request, bins), request.places(bins)
        spans, complete = [layout.blocks_with(reply, request) for reply in replies], 0
        totals: list[list[Any]] = [[None] * planes for _ in replies]  # of those that are not complete
        for block in sorted(set[int]().union(*spans)):
            here = [number for number, span in enumerate(spans) if block in span]
            while complete < here[0]:
                yield replies[complete], totals.pop(0)
                complete += 1
            loaded = self._load(pieces[block * planes : (block + 1) * planes])
            touched = replies[here[0] : here[-1] + 1]
            masks: Iterable[Any] | None = kept.get((touched[0], touched[-1], block))
            if masks is None:
                masks = map(self._mask, layout.masks(touched, block, places, width))
                if kept is self._kept and sum(map(len, kept.values())) + len(touched) <= _MASKS_KEPT:
                    masks = kept[touched[0], touched[-1], block] = list(masks)
            for total, mask in zip(totals, masks, strict=False):
                if mask is not None:
                    self._add_products(total, loaded, mask)
        yield from zip(replies[complete:], totals, strict=True)

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

    def _masks_for(self, request: Request, bins: Bins) -> dict[tuple[Reply, Reply, int], list[Any]]:
        """The masks kept of such a request, to be completed; none when a larger request's are kept.

        They are kept from the second time on: many a request never comes again.
        """
        if len(bins) < self._kept_rows:
            return {}
        key = wire.digest(bins, request.offsets, request.bin_counts, request.flags, request.held["width"])
        if key == self._kept_key:
            return self._kept
        self._kept_key, self._kept_rows, self._kept = key, len(bins), {}
        return {}
