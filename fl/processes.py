"""A party's heavy work on all its cores, and what it took.

SEAL's Python binding keeps other threads waiting, so shares of the work go to processes of this machine (loky, as
scikit-learn has them). They end by themselves when they have had nothing to do for a while. How many there may be,
`LOKY_MAX_CPU_COUNT` in the party's environment limits.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from loky import cpu_count, get_reusable_executor

Result = TypeVar("Result")

_IDLE_SECONDS = 60
_elsewhere = 0.0


def count() -> int:
    """How many processes, this one among them, may work at once."""
    return int(cpu_count())


def shared(work: Callable[..., Result], shares: Sequence[tuple[Any, ...]]) -> list[Result]:
    """`work(*share)` of each share, the first one in this process; work must be a function of a module."""
    if len(shares) < 2:
        return [work(*share) for share in shares]
    executor = get_reusable_executor(count() - 1, timeout=_IDLE_SECONDS)
    others = [executor.submit(_timed, work, share) for share in shares[1:]]
    results = [work(*shares[0])]
    for other in others:
        result, spent = other.result()
        results.append(result)
        global _elsewhere
        _elsewhere += spent
    return results


def cpu_seconds() -> float:
    """The CPU time of this process and of the shares that others did for it."""
    return time.process_time() + _elsewhere


def _timed(work: Callable[..., Result], share: tuple[Any, ...]) -> tuple[Result, float]:
    began = time.process_time()
    return work(*share), time.process_time() - began
