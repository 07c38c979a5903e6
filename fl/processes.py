"""A party's heavy work on all its cores or on its cluster, and what it took.

SEAL's Python binding keeps other threads waiting, so shares of the work go to other processes. By default these are
processes of this machine (loky, as scikit-learn has them), which end by themselves when they have had nothing to do for
a while; how many there may be, `LOKY_MAX_CPU_COUNT` in the party's environment limits. A party whose work outgrows one
machine names a Ray cluster in its `party.toml`, and processes there take the shares, by joblib's backend for Ray.
"""

import time
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, TypeVar

from loky import cpu_count, get_reusable_executor

Result = TypeVar("Result")

_IDLE_SECONDS = 60
_elsewhere = 0.0
_cluster: tuple[str, int] | None = None


def use_cluster(address: str, workers: int) -> None:
    """Send shares to a Ray cluster from now on, to at most so many processes; this machine must be one of its nodes."""
    global _cluster
    _cluster = address, workers


def count() -> int:
    """How many processes may work at once."""
    return int(cpu_count()) if _cluster is None else _cluster[1]


def shared(work: Callable[..., Result], shares: Sequence[tuple[Any, ...]]) -> list[Result]:
    """`work(*share)` of each share, without a cluster the first one in this process.

    work must be a function of a module.
    """
    if len(shares) < 2:
        return [work(*share) for share in shares]
    if _cluster is None:
        # Not by joblib, too, which does a single job in this process: with two cores there would be no other.
        executor = get_reusable_executor(count() - 1, timeout=_IDLE_SECONDS)
        others = executor.map(_timed, repeat(work), shares[1:])
        outcomes = [(work(*shares[0]), 0.0), *others]
    else:
        outcomes = _on_cluster(work, shares, *_cluster)
    global _elsewhere
    _elsewhere += sum(spent for _, spent in outcomes)
    return [result for result, _ in outcomes]


def cpu_seconds() -> float:
    """The CPU time of this process and of the shares that others did for it."""
    return time.process_time() + _elsewhere


def _on_cluster(
    work: Callable[..., Result], shares: Sequence[tuple[Any, ...]], address: str, workers: int
) -> list[tuple[Result, float]]:
    import ray
    from joblib import Parallel, delayed
    from ray.util.joblib import register_ray

    if not ray.is_initialized():
        ray.init(address=address, log_to_driver=False)
    register_ray()  # type: ignore[no-untyped-call]
    # A processor for each worker, or all would start on one machine; and of the processors that there are, or Ray would
    # wait for more. Arrays travel whole: the file that joblib has for a large one would be on this machine alone.
    processors = int(ray.cluster_resources()["CPU"])  # type: ignore[no-untyped-call]
    spread: dict[str, Any] = {"max_nbytes": None, "ray_remote_args": {"num_cpus": 1}}
    parallel = Parallel(min(workers, processors), backend="ray", **spread)
    return list(parallel(delayed(_timed)(work, share) for share in shares))


def _timed(work: Callable[..., Result], share: tuple[Any, ...]) -> tuple[Result, float]:
    began = time.process_time()
    return work(*share), time.process_time() - began
