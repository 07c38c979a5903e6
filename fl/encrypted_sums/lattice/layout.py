"""Where rows and histograms lie in polynomials.

A block is one encrypted polynomial of N coefficients, cut into slots of `width` coefficients: row j of the block has
its packed number at coefficient width · j. Multiplying by X^(bin − width · j) moves that number to coefficient `bin`,
so the product with the sum of these powers over all rows has the histogram in its first coefficients: every other
product of a row with another's power lands beyond them, as long as `bin` stays below the width.

A responder's sums are numbered, group by group and bin by bin (`halves.Request`), and each reply has the next `width`
of them. A block's masks have the powers of its rows for each reply that has sums of these. So narrow slots mean few
blocks and many replies, wide ones the reverse, at about the same number of products; `choose_width` weighs them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fl.encrypted_sums.halves import Integers, Request
from fl.encrypted_sums.lattice.seal import DEGREE
from fl.encrypted_sums.wire import take
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
    """The sums in one reply: numbers start … stop − 1."""

    start: int
    stop: int

    @property
    def used(self) -> int:
        """Coefficients that carry a sum: the first so many."""
        return self.stop - self.start


def choose_width(offsets: Integers, bin_counts: Sequence[Integers], planes: int) -> int:
    """The cheapest slot width for these groups of rows and these responders, each by its bin counts."""
    counts = [(len(offsets) - 1) * int(of_responder.sum()) for of_responder in bin_counts]
    most = min(max(counts, default=0) or 1, MOST_WIDTH)
    # A coarse ladder, since the cost has shallow valleys, and the widths that cut a responder's sums evenly.
    ladder = {1, most, *(int(1.1**step) for step in range(95) if 1.1**step < most)}
    ladder |= {
        min(-(-count // pieces), MOST_WIDTH) for count in counts for pieces in range(1, min(count, 64) + 1)
    }
    return min(sorted(ladder), key=lambda width: _cost(width, offsets, counts, planes))


def _cost(width: int, offsets: Integers, counts: list[int], planes: int) -> float:
    blocks_sent, groups = blocks_of(int(offsets[-1]), width), len(offsets) - 1
    cost = _PER_ENCRYPTION * blocks_sent
    for count in filter(None, counts):
        ends, starts = np.arange(1, groups + 1) * (count // groups), np.arange(0, count, width)
        stops = np.minimum(starts + width, count)
        first, stop = _blocks(starts, stops, ends, offsets, width)
        cost += _PER_PRODUCT * int((stop - first).sum()) + _PER_REPLY * len(starts) + _PER_BLOCK * blocks_sent
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
    """The replies that have the wanted sums; owner and responder derive the same ones."""
    return _replies(request.count, width_of(request))


def most_replies_of(request: Request) -> list[Reply]:
    """The replies that there would be if all sums were wanted: what travels is as long as these."""
    return _replies(request.groups * request.bins, width_of(request))


def _replies(count: int, width: int) -> list[Reply]:
    return [Reply(start, min(start + width, count)) for start in range(0, count, width)]


def blocks_with(reply: Reply, request: Request) -> range:
    """The blocks in which the groups of this reply's sums have rows."""
    starts, stops = np.array([reply.start]), np.array([reply.stop])
    (first,), (stop,) = _blocks(starts, stops, request.ends, request.offsets, width_of(request))
    return range(int(first), int(stop))


def _blocks(
    starts: Integers, stops: Integers, ends: Integers, offsets: Integers, width: int
) -> tuple[Integers, Integers]:
    """The first block, and the one after the last, for sums starts … stops − 1; ends are those of each group."""
    rows_per_block = DEGREE // width
    first_row = offsets[np.searchsorted(ends, starts, side="right")]
    stop_row = offsets[np.searchsorted(ends, stops - 1, side="right") + 1]
    first = first_row // rows_per_block
    return first, np.where(stop_row > first_row, -(-stop_row // rows_per_block), first)


def powers(
    replies: Sequence[Reply], blocks: range, places: Integers, width: int
) -> tuple[Integers, Integers, Integers]:
    """The powers of X whose sums, multiplied with successive blocks, give their parts of successive replies.

    places (n, columns) are those of all rows. Result: exponents, −N … N − 1, and which of the replies and of the blocks
    each is for.
    """
    rows_per_block = DEGREE // width
    of_rows = places[blocks.start * rows_per_block : blocks.stop * rows_per_block]
    counts = (of_rows >= replies[0].start) & (of_rows < replies[-1].stop)
    from_first = of_rows[counts] - replies[0].start
    block, slot = np.divmod(np.repeat(np.arange(len(of_rows)), counts.sum(axis=1)), rows_per_block)
    # Replies begin at multiples of the width.
    reply, coefficient = np.divmod(from_first, width)
    return coefficient - width * slot, reply, block
