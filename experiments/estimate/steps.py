"""How many encryptions, products and replies a request of encrypted sums takes under an engine, and how many bytes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fl.encrypted_sums.halves import Request
from fl.encrypted_sums.packing import Packing
from fl.workload import EncryptedSums

_PAILLIER_BITS = 2048
KEY_BYTES = {"lattice": 184_000, "paillier": _PAILLIER_BITS // 8, "plain": 0}
"""Bytes of a public key by engine."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Encryptions at the owner, and by responder what it multiplies, and what it replies and the owner decrypts.

    encrypted_bytes are those of all encryptions, reply_bytes those of all replies, each once.
    """

    encryptions: int
    products: Mapping[str, int]
    replies: Mapping[str, int]
    encrypted_bytes: int
    reply_bytes: int

    def of_party(self, name: str) -> NDArray[np.float64]:
        """What a responder does: encryptions that arrive, products and replies, (3,)."""
        return np.array([self.encryptions, self.products[name], self.replies[name]], np.float64)


def steps_of(engine: str, packing: Packing, sums: EncryptedSums) -> Steps:
    """The steps of one request. An engine that encrypts row by row sends rows once only."""
    return _of_lattice(packing, sums) if engine == "lattice" else _of_rows(engine, packing, sums)


def _of_lattice(packing: Packing, sums: EncryptedSums) -> Steps:
    # Not above: whoever uses another engine need not load the library.
    from fl.encrypted_sums.lattice import form, layout
    from fl.encrypted_sums.lattice.seal import DEGREE, PRIME_BITS

    planes, offsets = len(form.Planes(packing)), sums.offsets
    width = layout.choose_width(offsets, [*sums.bins.values()], planes)
    blocks, products, replies, reply_bytes = layout.blocks_of(sums.rows, width), {}, {}, 0
    for party, bins in sums.bins.items():
        request = Request({"width": np.array([width])}, offsets, bins)
        asked = layout.replies_of(request)
        products[party] = planes * sum(len(layout.blocks_with(reply, request)) for reply in asked)
        replies[party] = planes * len(asked)
        reply_bytes += form.reply_bytes(asked, planes)
    return Steps(
        encryptions=planes * blocks,
        products=products,
        replies=replies,
        # One half of a block is a seed, and the last prime serves no block.
        encrypted_bytes=planes * blocks * 8 * DEGREE * (len(PRIME_BITS) - 1),
        reply_bytes=reply_bytes,
    )


def _of_rows(engine: str, packing: Packing, sums: EncryptedSums) -> Steps:
    is_paillier = engine == "paillier"
    room = (_PAILLIER_BITS - 1) // (packing.size - 1).bit_length() if is_paillier else 1
    each = 2 * _PAILLIER_BITS // 8 if is_paillier else 8 * len(packing.ranges)
    encryptions = 0 if sums.again else sums.rows
    replies = {party: -(-sums.groups * int(bins.sum()) // room) for party, bins in sums.bins.items()}
    return Steps(
        encryptions=encryptions,
        products={party: sums.rows * len(bins) for party, bins in sums.bins.items()},
        replies=replies,
        encrypted_bytes=encryptions * each,
        reply_bytes=sum(replies.values()) * each,
    )
