"""Products of encrypted blocks with masks of bins, added up and guarded: a responder's work, in shares.

Several blocks are multiplied with the masks of several replies at a time (`convolution`). A share is some of the
replies of a request.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np
from tenseal import sealapi

from fl.encrypted_sums.halves import AnyWire, Bins, Request
from fl.encrypted_sums.lattice import convolution, form, layout, public_key
from fl.encrypted_sums.lattice.control import ReplyControl
from fl.encrypted_sums.lattice.convolution import LIMBS, Total
from fl.encrypted_sums.lattice.form import Planes
from fl.encrypted_sums.lattice.layout import Reply
from fl.encrypted_sums.lattice.seal import DEGREE, Coefficients
from fl.encrypted_sums.packing import Packing
from fl.encrypted_sums.wire import Array
from fl.errors import ProtocolError

_BLOCKS: Final = 16
_REPLIES: Final = 16
"""How many blocks are multiplied with the masks of how many replies at a time: they take 40 MB."""


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
    """Adds up under one public key, with a control of its replies."""

    def __init__(self, packing: Packing, key: AnyWire) -> None:
        self.planes = Planes(packing)
        self._lattice = self.planes.lattice
        self.control = ReplyControl(self._lattice, public_key.load(self._lattice, key))

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
    ) -> Iterator[tuple[Reply, list[Total]]]:
        """Each reply with its sums of products, one ciphertext per plane.

        Block by block, so that each is loaded once; only the replies that it has rows for are held.
        """
        planes, width, primes = len(self.planes), layout.width_of(request), 2 * self._lattice.primes
        pieces = form.cut(request.held, layout.blocks_of(len(bins), width) * planes)
        places, each, complete = request.places(bins), len(primes) * LIMBS, 0
        totals = defaultdict[int, list[Total]](lambda: [Total(primes) for _ in range(planes)])
        for blocks, touched in _runs([layout.blocks_with(reply, request) for reply in replies]):
            while complete < touched.start:
                yield replies[complete], totals[complete]
                del totals[complete]
                complete += 1
            loaded = [self._load(piece) for piece in pieces[blocks.start * planes : blocks.stop * planes]]
            spectra = convolution.of_residues(np.concatenate(loaded))
            spectra = spectra.reshape(len(spectra), len(blocks), planes * each)
            for first in touched[::_REPLIES]:
                some = replies[first : min(first + _REPLIES, touched.stop)]
                exponents, reply, block = layout.powers(some, blocks, places, width)
                count = len(some) * len(blocks)
                masks = convolution.of_powers(exponents, reply * len(blocks) + block, count)
                products = masks.reshape(len(masks), len(some), -1) @ spectra
                for number in range(len(some)):
                    for plane, total in enumerate(totals[first + number]):
                        total.add(products[:, number, plane * each : (plane + 1) * each], len(blocks))
        for number in range(complete, len(replies)):
            yield replies[number], totals[number]

    def _load(self, piece: memoryview) -> Coefficients:
        """An encrypted block: the coefficients of both parts modulo each prime, (2 · primes, N)."""
        ciphertext = self._lattice.load(sealapi.Ciphertext(), piece)
        if ciphertext.size() != 2 or ciphertext.is_ntt_form() or ciphertext.parms_id() != self._lattice.first:
            raise ProtocolError("An encrypted block is no fresh ciphertext.")
        primes = len(self._lattice.primes)
        return self._lattice.words(ciphertext, 2 * primes * DEGREE).reshape(2 * primes, DEGREE)


def _runs(spans: Sequence[range]) -> Iterator[tuple[range, range]]:
    """Successive blocks, a few at a time, and the replies that have rows in them, by the blocks of each reply."""
    touched = {
        block: [number for number, span in enumerate(spans) if block in span]
        for block in sorted(set[int]().union(*spans))
    }
    # Blocks that follow each other and have the same replies.
    runs = itertools.groupby(
        enumerate(touched.items()), lambda one: (one[1][0] - one[0], one[1][1][0], one[1][1][-1])
    )
    for (_, first, last), run in runs:
        blocks = [block for _, (block, _) in run]
        for start in range(blocks[0], blocks[-1] + 1, _BLOCKS):
            yield range(start, min(start + _BLOCKS, blocks[-1] + 1)), range(first, last + 1)
