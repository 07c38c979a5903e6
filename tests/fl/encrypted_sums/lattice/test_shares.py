"""A request shared among processes: the same sums, whatever the shares."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from fl import processes
from fl.encrypted_sums import new_owner
from fl.encrypted_sums.lattice import LatticeResponder, responder
from fl.encrypted_sums.packing import Packing

from ..conftest import Request, assert_equal_sums, requests


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Shares from the first product on; how many each request was cut into."""
    made: list[int] = []

    def shared(work, parts):
        made.append(len(parts))
        return processes.shared(work, parts)

    monkeypatch.setattr(responder, "count", lambda: 3)
    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(responder, "shared", shared)
    monkeypatch.setattr(responder, "WORTH_A_SHARE", 1)
    monkeypatch.setattr(responder, "WORTH_A_START", 1)
    return made


@given(requests(most_rows=400))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_shares_add_up_to_numpys_sums(shares: list[int], request: Request) -> None:
    owner = new_owner("lattice", request.rows, request.ranges)
    answering = LatticeResponder(Packing(request.rows, request.ranges), owner.public_key())
    asked = (request.offsets, request.bins, request.bin_counts)
    encrypted, ticket = owner.encrypt(request.values, request.offsets, [request.bin_counts])

    revealed = owner.decrypt(answering.sums(encrypted, *asked), ticket, request.bin_counts)
    reply, mask = answering.masked_sums(encrypted, *asked)
    unmasked = answering.unmask(owner.open_masked(reply, ticket, request.bin_counts), mask)

    for found in (revealed, unmasked):
        assert_equal_sums(found, request.by_numpy())


def test_large_requests_are_shared_and_small_ones_are_not(shares: list[int], monkeypatch) -> None:
    rng, offsets, counts = np.random.default_rng(1), np.array([0, 3000]), np.array([40, 40])
    values, bins = np.ones((3000, 1), np.int64), rng.integers(0, 40, (3000, 2)).astype(np.uint8)
    owner = new_owner("lattice", 3000, ((0, 1),))
    answering = LatticeResponder(Packing(3000, ((0, 1),)), owner.public_key())
    encrypted, _ = owner.encrypt(values, offsets, [counts])

    answering.sums(encrypted, offsets, bins, counts)
    monkeypatch.setattr(responder, "WORTH_A_SHARE", 10**9)
    answering.sums(encrypted, offsets, bins, counts)

    assert shares == [3, 1]
