"""A request shared among processes: the same sums, whatever the shares."""

import time
from collections.abc import Iterator

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


def where(number: int) -> tuple[int, str]:
    import ray

    return number, ray.get_runtime_context().get_node_id()


def fail(number: int) -> None:
    raise ValueError(f"no share {number}")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two Ray nodes with a processor each, which take the shares of three workers."""
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setattr(processes, "_cluster", None)
    node = {"num_cpus": 1, "object_store_memory": 100_000_000}
    nodes = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        nodes.add_node(**node)
        processes.use_cluster(nodes.address, 3)
        yield
    finally:
        ray.shutdown()
        nodes.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray leaves files open, and announces changes.
def test_two_nodes_of_a_cluster_add_up_to_numpys_sums(cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responder, "WORTH_A_START", 1)
    rng, ranges = np.random.default_rng(1), ((-9, 9),)
    values, bins = rng.integers(-9, 10, (3000, 1)), rng.integers(0, 40, (3000, 2)).astype(np.uint8)
    request = Request(values, np.array([0, 1000, 3000]), bins, np.array([40, 40]), ranges)
    owner = new_owner("lattice", 3000, ranges)
    answering = LatticeResponder(Packing(3000, ranges), owner.public_key())
    encrypted, ticket = owner.encrypt(values, request.offsets, [request.bin_counts])
    before, here = processes.cpu_seconds(), time.process_time()

    reply = answering.sums(encrypted, request.offsets, bins, request.bin_counts)

    assert_equal_sums(owner.decrypt(reply, ticket, request.bin_counts), request.by_numpy())
    assert processes.cpu_seconds() - before > time.process_time() - here
    placed = processes.shared(where, [(0,), (1,), (2,)])
    assert [number for number, _ in placed] == [0, 1, 2]
    assert len({node for _, node in placed}) == 2
    with pytest.raises(ValueError, match="no share"):
        processes.shared(fail, [(1,), (2,)])
