import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fl.encrypted_sums.halves import Request
from fl.encrypted_sums.lattice import layout
from fl.encrypted_sums.lattice.seal import DEGREE
from fl.encrypted_sums.packing import split_columns

from ..conftest import assert_equal_sums, make_request

columns = st.lists(st.integers(1, 60), min_size=1, max_size=8)


def histograms(slots: Request, values: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """What the lattice does, in the clear: each product of a row with a power of X, coefficient by coefficient."""
    width, places = layout.width_of(slots), slots.places(bins)
    rows_per_block, replies = DEGREE // width, layout.replies_of(slots)
    coefficients = {reply: np.zeros(DEGREE, np.int64) for reply in replies}
    for block in range(layout.blocks_of(len(values), width)):
        touched = [k for k, reply in enumerate(replies) if block in layout.blocks_with(reply, slots)]
        if not touched:
            continue
        # Successive ones; that of an empty group may be between.
        together = replies[touched[0] : touched[-1] + 1]
        rows = values[block * rows_per_block : (block + 1) * rows_per_block, 0]
        exponents, of_replies, _ = layout.powers(together, range(block, block + 1), places, width)
        for number, reply in enumerate(together):
            place = exponents[of_replies == number, None] + width * np.arange(len(rows))
            sign = np.where((place < 0) | (place >= DEGREE), -1, 1)
            np.add.at(coefficients[reply], place % DEGREE, sign * rows)
    told = [np.zeros(0, np.int64), *(coefficients[reply][: reply.used] for reply in replies)]
    return slots.arranged(np.concatenate(told)[:, None])


@given(st.lists(st.integers(0, 150), min_size=1, max_size=4), columns, st.integers(0, 2**32), st.floats(0, 1))
@example(sizes=[1, 0, 1], bin_counts=[1], seed=0, wide=0.0)
@settings(max_examples=40)
def test_products_of_rows_and_masks_are_the_histograms_that_are_wanted(
    sizes: list[int], bin_counts: list[int], seed: int, wide: float
) -> None:
    request = make_request(sizes, bin_counts, ((-9, 9),), seed)
    width = {"width": np.array([min(int(1 + wide * 4 * sum(bin_counts)), layout.MOST_WIDTH)])}
    wanted = np.random.default_rng(seed).random((len(sizes), sum(bin_counts))) < 0.7
    for flags in (None, wanted):
        slots = Request(width, request.offsets, request.bin_counts, flags)

        sums = split_columns(histograms(slots, request.values, request.bins), request.bin_counts)

        assert_equal_sums(sums, request.by_numpy(flags))


@given(st.integers(0, 9), columns, st.integers(1, layout.MOST_WIDTH), st.integers(0, 2**32))
def test_every_wanted_sum_has_one_place(groups: int, bin_counts: list[int], width: int, seed: int) -> None:
    offsets, counts = np.zeros(groups + 1, np.int64), np.array(bin_counts)
    wanted = np.random.default_rng(seed).random((groups, sum(bin_counts))) < 0.5
    slots = Request({"width": np.array([width])}, offsets, counts, wanted)

    replies, most = layout.replies_of(slots), layout.most_replies_of(slots)

    assert [number for reply in replies for number in range(reply.start, reply.stop)] == list(
        range(slots.count)
    )
    assert all(reply.used <= width for reply in replies)
    assert sum(reply.used for reply in most) == wanted.size


@given(
    st.lists(st.integers(0, 5_000), min_size=1, max_size=8),
    st.lists(st.lists(st.integers(1, 256)), max_size=3),
)
def test_a_slot_fits_into_a_block(sizes: list[int], bin_counts: list[list[int]]) -> None:
    offsets = np.cumsum([0, *sizes])
    width = layout.choose_width(offsets, [np.array(counts, np.int64) for counts in bin_counts], 1)

    assert 1 <= width <= layout.MOST_WIDTH


def test_few_rows_share_replies_and_many_rows_share_blocks() -> None:
    counts = [np.full(10, 32)]
    few, many = (layout.choose_width(np.array([0, rows]), counts, 1) for rows in (30, 50_000))

    assert many < 32 < 100 < few <= layout.MOST_WIDTH


@pytest.mark.parametrize(("rows", "width", "blocks"), [(0, 32, 0), (1, 32, 1), (256, 32, 1), (257, 32, 2)])
def test_blocks_are_filled(rows: int, width: int, blocks: int) -> None:
    assert layout.blocks_of(rows, width) == blocks
