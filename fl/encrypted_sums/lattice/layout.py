"""Where rows and histograms lie in polynomials.

A block is one encrypted polynomial of N coefficients, cut into slots of `width` coefficients: row j of the block has
its packed number at coefficient width · j. Multiplying by X^(bin − width · j) moves that number to coefficient `bin`,
so the product with the sum of these powers over all rows has the histogram in its first coefficients: every other
product of a row with another's power lands beyond them, as long as `bin` stays below the width.

A responder's columns count as one, their bins side by side. A slot has room for `width` of these bins: where there are
more, each reply has its own stretch of them, and its masks only the powers that fall there; where there are fewer,
several groups share a reply. So narrow slots mean few blocks and many replies, wide ones the reverse, at about the
same number of products; `choose_width` weighs them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fl.encrypted_sums.halves import Bins, Integers, Request
from fl.encrypted_sums.lattice.seal import DEGREE
from fl.encrypted_sums.wire import stretches, take
from fl.errors import ProtocolError

MOST_WIDTH = 128
"""Most coefficients of a slot, and so of c0 in a reply. Each may tell the owner of a lying key at most 55 bits, and the
randomness that hides the products in c1 has 12,900: from 240 coefficients on, such an owner could read all bins."""

# CPU time of the steps, in milliseconds; only their ratios matter.
_PER_ENCRYPTION = 2.0  # of a block: to encrypt and save it
_PER_BLOCK = 1.5  # to send, load and transform it, for each responder
_PER_PRODUCT = 0.4  # to make a mask, multiply and add
_PER_REPLY = 2.7  # to re-randomise, flood, switch, pack, send, and at the owner to decrypt


@dataclass(frozen=True)
class Reply:
    """The histograms in one reply: of groups first … stop − 1, bins start … end − 1 of all columns side by side."""

    first: int
    stop: int
    start: int
    end: int

    @property
    def used(self) -> int:
        """Coefficients that carry a sum: the first so many."""
        return (self.stop - self.first) * (self.end - self.start)


def choose_width(offsets: Integers, bin_counts: Sequence[Integers], planes: int) -> int:
    """The cheapest slot width for these groups of rows and these responders, each by its bin counts."""
    totals = [int(counts.sum()) for counts in bin_counts]
    groups = max(len(offsets) - 1, 1)
    most = min(max(max(totals, default=1), 1) * groups, MOST_WIDTH)
    # A coarse ladder, since the cost has shallow valleys, and the widths that cut a responder's bins evenly.
    ladder = {1, most, *(int(1.1**step) for step in range(95) if 1.1**step < most)}
    ladder |= {
        min(-(-total // pieces), MOST_WIDTH) for total in totals for pieces in range(1, min(total, 64) + 1)
    }
    return min(sorted(ladder), key=lambda width: _cost(width, offsets, totals, planes))


def _cost(width: int, offsets: Integers, totals: list[int], planes: int) -> float:
    rows_per_block = DEGREE // width
    blocks_sent = blocks_of(int(offsets[-1]), width)
    cost = _PER_ENCRYPTION * blocks_sent
    for total in totals:
        if not total:
            continue
        together, pieces = max(width // total, 1), -(-total // width)
        firsts = np.arange(0, len(offsets) - 1, together)
        starts, stops = offsets[firsts], offsets[np.minimum(firsts + together, len(offsets) - 1)]
        blocks = np.where(stops > starts, (stops - 1) // rows_per_block - starts // rows_per_block + 1, 0)
        cost += pieces * (_PER_PRODUCT * int(blocks.sum()) + _PER_REPLY * len(firsts))
        cost += _PER_BLOCK * blocks_sent
    return cost * planes


def blocks_of(rows: int, width: int) -> int:
    """How many blocks that many rows take."""
    return -(-rows // (DEGREE // width))


def width_of(request: Request) -> int:
    """The width of the slots that the owner has chosen; ProtocolError unless a reply may have that many sums."""
    width = int(take(request.held, "width", np.int64, (1,))[0])
    if not 1 <= width <= MOST_WIDTH:
        raise ProtocolError(f"Slots must have 1 to {MOST_WIDTH} coefficients, not {width}.")
    return width


def replies_of(request: Request) -> list[Reply]:
    """The replies to a request; owner and responder derive the same ones."""
    width, total, groups = width_of(request), request.bins, request.groups
    together = max(width // max(total, 1), 1)
    return [
        Reply(first, min(first + together, groups), start, min(start + width, total))
        for first in range(0, groups, together)
        for start in range(0, total, width)
    ]


def blocks_with(reply: Reply, request: Request) -> range:
    """The blocks in which this reply's groups have rows."""
    start, stop = request.offsets[[reply.first, reply.stop]].tolist()
    rows_per_block = DEGREE // width_of(request)
    first = start // rows_per_block
    return range(first, -(-stop // rows_per_block) if stop > start else first)


def masks(
    replies: Sequence[Reply], block: int, bins: Bins, request: Request
) -> list[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """For all replies of the same groups: the powers of X whose sum, multiplied with a block, gives its part of each.

    Exponents are 0 … N − 1; where the second array is true the coefficient is −1, else 1, since X^(e − N) = −X^e.
    """
    width, offsets, bin_counts, groups = width_of(request), request.offsets, request.bin_counts, replies[0]
    rows_per_block = DEGREE // width
    start = max(block * rows_per_block, int(offsets[groups.first]))
    stop = min((block + 1) * rows_per_block, int(offsets[groups.stop]))
    rows = np.arange(start, stop)
    group = np.searchsorted(offsets, rows, side="right") - 1 - groups.first
    slot = group * (groups.end - groups.start) - width * (rows - block * rows_per_block)
    counts = bins[start:stop] < bin_counts
    places = (bins[start:stop] + (np.cumsum(bin_counts) - bin_counts))[counts]
    # Stretches begin at multiples of the width. A sort of small integers is by radix.
    stretch = (places // width).astype(np.uint16)
    exponents = places - stretch * np.int64(width) + np.repeat(slot, counts.sum(axis=1))
    exponents = exponents[np.argsort(stretch, kind="stable")]
    negative = exponents < 0
    exponents[negative] += DEGREE
    ends = np.cumsum(np.bincount(stretch, minlength=len(replies)))[:-1]
    return list(zip(np.split(exponents, ends), np.split(negative, ends), strict=True))


def arrange(sums: NDArray[np.int64], request: Request) -> NDArray[np.int64]:
    """Sums (all used coefficients, k), reply after reply, as (groups, bins of all columns, k)."""
    arranged = np.zeros((request.groups, request.bins, sums.shape[1]), np.int64)
    replies = replies_of(request)
    for reply, part in zip(replies, stretches(sums, [reply.used for reply in replies]), strict=True):
        place = arranged[reply.first : reply.stop, reply.start : reply.end]
        place[:] = part.reshape(place.shape)
    return arranged
