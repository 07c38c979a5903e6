"""Where rows and histograms lie in polynomials.

A block is one encrypted polynomial of N coefficients, cut into slots of `width` coefficients: row j of the block has
its packed number at coefficient width · j. Multiplying by X^(bin − width · j) moves that number to coefficient `bin`,
so the product with the sum of these powers over all rows has the histogram in its first coefficients: every other
product of a row with another's power lands beyond them, since bins stay below the width.

A slot has room for several histograms side by side: several columns of one group or, when all of a responder's
columns fit, several groups. They share one multiplication per block, and one reply. Wider slots mean fewer replies
and more blocks; `choose_width` weighs them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fl.encrypted_sums.interface import Bins, Integers, Sums
from fl.encrypted_sums.lattice.seal import DEGREE

# CPU time of the steps, in milliseconds; only their ratios matter.
_PER_BLOCK = 3.0  # to encrypt, save, load and transform
_PER_PRODUCT = 0.65  # to make a mask, multiply and add
_PER_REPLY = 9.0  # to re-randomise, flood, switch, pack, and at the owner to decrypt


@dataclass(frozen=True)
class Reply:
    """The histograms in one reply: of groups first … stop − 1, of these columns.

    starts  by column: the coefficient where its bins begin, within the part of a group
    stride  coefficients per group, all of them used
    """

    first: int
    stop: int
    columns: tuple[int, ...]
    starts: tuple[int, ...]
    stride: int

    @property
    def used(self) -> int:
        """Coefficients that carry a sum: the first so many."""
        return (self.stop - self.first) * self.stride


def choose_width(offsets: Integers, bin_counts: Sequence[Integers], planes: int) -> int:
    """The cheapest slot width for these groups of rows and these responders, each by its bin counts."""
    responders = [tuple(int(count) for count in counts) for counts in bin_counts]
    least = max((max(counts, default=1) for counts in responders), default=1)
    most = min(max((sum(counts) for counts in responders), default=1) * max(len(offsets) - 1, 1), DEGREE)
    # A coarse ladder: the cost has shallow valleys.
    ladder = {
        least,
        *(min(int(least * 1.08**step), DEGREE) for step in range(120) if least * 1.08**step < most),
    }
    ladder |= {min(max(sum(counts), least), DEGREE) for counts in responders}
    return min(sorted(ladder), key=lambda width: _cost(width, offsets, responders, planes))


def _cost(width: int, offsets: Integers, responders: list[tuple[int, ...]], planes: int) -> float:
    rows_per_block = DEGREE // width
    cost = 0.0
    for counts in responders:
        shared = _shared_columns(counts, width)
        together = max(width // max(sum(counts), 1), 1)
        starts, stops = offsets[:-1:together], offsets[1:][together - 1 :: together]
        stops = np.append(stops, offsets[-1:]) if len(stops) < len(starts) else stops
        blocks = np.where(stops > starts, (stops - 1) // rows_per_block - starts // rows_per_block + 1, 0)
        cost += len(shared) * (_PER_PRODUCT * int(blocks.sum()) + _PER_REPLY * len(blocks)) * planes
    return cost + _PER_BLOCK * planes * blocks_of(int(offsets[-1]), width)


def blocks_of(rows: int, width: int) -> int:
    """How many blocks that many rows take."""
    return -(-rows // (DEGREE // width))


def replies_of(groups: int, bin_counts: Integers, width: int) -> list[Reply]:
    """The replies for a number of groups; owner and responder derive the same ones."""
    counts = tuple(int(count) for count in bin_counts)
    together = max(width // max(sum(counts), 1), 1)
    replies = []
    for first in range(0, groups, together):
        for columns in _shared_columns(counts, width):
            ends = np.cumsum([counts[column] for column in columns])
            starts = (0, *(int(end) for end in ends[:-1]))
            replies.append(Reply(first, min(first + together, groups), columns, starts, int(ends[-1])))
    return replies


@lru_cache(maxsize=1024)
def _shared_columns(counts: tuple[int, ...], width: int) -> tuple[tuple[int, ...], ...]:
    """Columns that share a slot, first fit by decreasing number of bins."""
    slots: list[list[int]] = []
    filled: list[int] = []
    for column in sorted(range(len(counts)), key=lambda column: -counts[column]):
        for slot, load in enumerate(filled):
            if load + counts[column] <= width:
                slots[slot].append(column)
                filled[slot] += counts[column]
                break
        else:
            slots.append([column])
            filled.append(counts[column])
    return tuple(map(tuple, slots))


def blocks_with(reply: Reply, offsets: Integers, width: int) -> range:
    """The blocks in which this reply's groups have rows."""
    start, stop = int(offsets[reply.first]), int(offsets[reply.stop])
    rows_per_block = DEGREE // width
    return range(
        start // rows_per_block, -(-stop // rows_per_block) if stop > start else start // rows_per_block
    )


def mask(
    reply: Reply, block: int, bins: Bins, offsets: Integers, width: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The powers of X whose sum, multiplied with a block, gives its part of the reply's histograms.

    Exponents are 0 … N − 1; where the second array is true the coefficient is −1, else 1, since X^(e − N) = −X^e.
    """
    rows_per_block = DEGREE // width
    start = max(block * rows_per_block, int(offsets[reply.first]))
    stop = min((block + 1) * rows_per_block, int(offsets[reply.stop]))
    rows = np.arange(start, stop)
    group = np.searchsorted(offsets, rows, side="right") - 1 - reply.first
    slot = group * reply.stride - width * (rows - block * rows_per_block)
    exponents = (bins[start:stop, reply.columns] + (slot[:, None] + np.array(reply.starts))).ravel()
    negative = exponents < 0
    exponents[negative] += DEGREE
    return exponents, negative


def arrange(sums: NDArray[np.int64], groups: int, bin_counts: Integers, replies: Sequence[Reply]) -> Sums:
    """Sums (all used coefficients, k), reply after reply, as one array (groups, bins, k) per column."""
    arranged = [np.zeros((groups, int(count), sums.shape[1]), np.int64) for count in bin_counts]
    at = 0
    for reply in replies:
        part = sums[at : at + reply.used].reshape(reply.stop - reply.first, reply.stride, -1)
        at += reply.used
        for column, start in zip(reply.columns, reply.starts, strict=True):
            arranged[column][reply.first : reply.stop] = part[:, start : start + int(bin_counts[column])]
    return arranged
