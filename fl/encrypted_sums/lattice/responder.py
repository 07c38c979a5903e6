"""The responder's half of the lattice engine: checks what it is asked, and shares the work out to its cores."""

import itertools
from typing import Final

import numpy as np

from fl.encrypted_sums import halves
from fl.encrypted_sums.halves import AnyWire, Bins, Request
from fl.encrypted_sums.lattice import form, layout
from fl.encrypted_sums.lattice.control import random_bytes
from fl.encrypted_sums.lattice.products import Key, adder, guarded_replies
from fl.encrypted_sums.packing import Packing
from fl.encrypted_sums.wire import Array, fingerprint
from fl.processes import count, shared

# Products below which no other process is asked: it would wait for the blocks about as long as it would multiply (two
# processes take 30 instead of 36 ms for 28 products, and 121 instead of 160 ms for 330), and for the first request of
# all, longer to start.
WORTH_A_SHARE: Final = 256
WORTH_A_START: Final = 20_000


class LatticeResponder(halves.Responder):
    """Holds the owner's public key."""

    row_wise = False

    def __init__(self, packing: Packing, public_key: AnyWire) -> None:
        self._key = Key(packing, public_key, fingerprint(public_key))
        self._planes = adder(self._key).planes
        super().__init__(packing, public_key, self._planes.sums)
        self._answered = False

    def _new_mask(self, request: Request) -> Array:
        """Uniform modulo t on every coefficient that carries a sum: uint64 (planes, coefficients)."""
        shape = len(self._planes), request.count
        words = np.frombuffer(random_bytes(8 * shape[0] * shape[1]), np.uint64)
        # t is a power of two, so the remainder is as uniform as the words.
        return words.reshape(shape) % np.uint64(self._planes.lattice.plain_modulus)

    def _add_up(self, request: Request, bins: Bins, mask: Array | None) -> Array:
        """Guarded histograms, two 60-bit coefficients in 15 bytes, and random bytes, which look like more of them."""
        replies = layout.replies_of(request)
        ends = np.cumsum([0, *(reply.used for reply in replies)])
        shares = [
            (
                self._key,
                request,
                bins,
                replies[first:stop],
                None if mask is None else mask[:, ends[first] : ends[stop]],
            )
            for first, stop in self._split_work(request, replies)
        ]
        self._answered = True
        pieces = [piece for share in shared(guarded_replies, shares) for piece in share]
        most = form.reply_bytes(layout.most_replies_of(request), len(self._planes))
        filler = random_bytes(most - sum(map(len, pieces)))
        return np.concatenate([*pieces, np.frombuffer(filler, np.uint8)])

    def _split_work(self, request: Request, replies: list[layout.Reply]) -> list[tuple[int, int]]:
        """The replies of each share, first to stop: as many products for each process."""
        products = [len(layout.blocks_with(reply, request)) for reply in replies]
        least = WORTH_A_SHARE if self._answered else WORTH_A_START
        shares = min(count(), sum(products) * len(self._planes) // least, len(products))
        if shares < 2:
            return [(0, len(products))]
        wanted = np.arange(1, shares) * sum(products) / shares
        cuts = np.searchsorted(np.cumsum(products), wanted) + 1
        return list(itertools.pairwise(np.unique([0, *cuts.tolist(), len(products)]).tolist()))

    def _subtract(self, masked: Array, mask: Array) -> Array:
        # Unsigned subtraction wraps at 2^64, a multiple of t.
        unmasked: Array = (masked - mask) % np.uint64(self._planes.lattice.plain_modulus)
        return unmasked
