"""Owners of each engine that share keys where making them is slow, requests to sum, and what NumPy makes of them."""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from hypothesis import strategies as st

from fl.encrypted_sums import ENGINES, Owner, Responder, new_owner, new_responder
from fl.encrypted_sums.packing import Packing, split_columns

if TYPE_CHECKING:
    from fl.encrypted_sums.paillier.keys import PrivateKey


class Request(NamedTuple):
    """What is to be summed, and what for: numbers, groups, bins, and the promise that they keep."""

    values: np.ndarray
    offsets: np.ndarray
    bins: np.ndarray
    bin_counts: np.ndarray
    ranges: tuple[tuple[int, int], ...]

    @property
    def rows(self) -> int:
        return max(len(self.values), 1)

    def by_numpy(self, wanted: np.ndarray | None = None) -> list[np.ndarray]:
        groups, k = len(self.offsets) - 1, self.values.shape[1]
        sums = [np.zeros((groups, count, k), np.int64) for count in self.bin_counts]
        for group, (start, stop) in enumerate(zip(self.offsets[:-1], self.offsets[1:], strict=True)):
            for column, table in enumerate(sums):
                bins, values = self.bins[start:stop, column], self.values[start:stop]
                for bin_ in range(table.shape[1]):
                    table[group, bin_] = values[bins == bin_].sum(axis=0)
        if wanted is not None:
            for table, flags in zip(sums, split_columns(wanted, self.bin_counts), strict=True):
                table[~flags] = 0
        return sums


def make_request(
    sizes: list[int],
    bin_counts: list[int],
    ranges: tuple[tuple[int, int], ...],
    seed: int = 1,
    fill: str = "any",
) -> Request:
    """Groups of these sizes, and numbers at random, or all at the least or greatest of their ranges.

    Bins are random, too; some rows are in none.
    """
    rng, rows = np.random.default_rng(seed), sum(sizes)
    lows, highs = np.array(ranges, np.int64).T
    values = {"least": lows, "greatest": highs}.get(fill)
    if values is None:
        values = rng.integers(lows, highs, (rows, len(ranges)), np.int64, endpoint=True)
    bins = rng.integers(0, bin_counts, (rows, len(bin_counts)), endpoint=True).astype(np.uint8)
    offsets = np.cumsum([0, *sizes])
    full = np.ascontiguousarray(np.broadcast_to(values, (rows, len(ranges))))
    return Request(full, offsets, bins, np.array(bin_counts, np.int64), ranges)


@st.composite
def requests(draw: st.DrawFn, most_rows: int = 160, bits: int = 24) -> Request:
    """Any number of groups, some of them empty, of columns, bins, and numbers of any sign and size."""
    sizes = draw(st.lists(st.integers(0, most_rows // 4), min_size=1, max_size=4))
    bin_counts = draw(st.lists(st.integers(0, 40), max_size=4))
    bound = st.integers(0, 2**bits)
    ranges = draw(st.lists(st.tuples(bound.map(lambda high: -high), bound), min_size=1, max_size=3))
    fill = draw(st.sampled_from(["any", "least", "greatest"]))
    return make_request(sizes, bin_counts, tuple(ranges), draw(st.integers(0, 2**32)), fill)


@lru_cache
def paillier_key(number: int = 0) -> "PrivateKey":
    """One of few keys, each made once: it takes a second."""
    from fl.encrypted_sums.paillier.keys import new_key

    return new_key(2048)


def owner_for(engine: str, request: Request, key: int = 0) -> Owner:
    """A new owner; those of Paillier share keys."""
    if engine == "paillier":
        from fl.encrypted_sums.paillier import PaillierOwner

        return PaillierOwner(Packing(request.rows, request.ranges), paillier_key(key))
    return new_owner(engine, request.rows, request.ranges)


def responder_for(engine: str, request: Request, owner: Owner) -> Responder:
    """A responder to the request under the owner's key."""
    return new_responder(engine, request.rows, request.ranges, owner.public_key())


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def meet(engine: str) -> Callable[[Request], tuple[Owner, Responder]]:
    """Owner and responder of the engine for a request, each only from what would be stored or sent."""

    def made(request: Request) -> tuple[Owner, Responder]:
        owner = owner_for(engine, request)
        return owner, responder_for(engine, request, owner)

    return made


def assert_equal_sums(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert [one.dtype for one in found] == [np.dtype(np.int64)] * len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
