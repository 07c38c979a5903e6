"""Shares of work in other processes: the same results, and their CPU time counted."""

import os
import time

import pytest

from fl import processes


def who(number: int) -> tuple[int, int]:
    return number, os.getpid()


def busy(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def fail(number: int) -> None:
    raise ValueError(f"no share {number}")


@pytest.fixture(autouse=True)
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "count", lambda: 2)


def test_results_come_in_the_order_of_the_shares_and_the_first_is_made_here() -> None:
    results = processes.shared(who, [(0,), (1,), (2,)])

    assert [number for number, _ in results] == [0, 1, 2]
    assert results[0][1] == os.getpid()
    assert os.getpid() not in (results[1][1], results[2][1])


def test_what_other_processes_took_is_counted() -> None:
    before = processes.cpu_seconds()

    processes.shared(busy, [(0.0,), (0.3,)])

    assert processes.cpu_seconds() - before >= 0.3


def test_one_share_needs_no_other_process() -> None:
    assert processes.shared(who, [(5,)]) == [(5, os.getpid())]
    assert processes.shared(who, []) == []


def test_an_error_of_a_share_is_raised_here() -> None:
    with pytest.raises(ValueError, match="no share 1"):
        processes.shared(fail, [(1,), (2,)])
    with pytest.raises(ValueError, match="no share 2"):
        processes.shared(fail, [(2,), (1,)])


def test_the_environment_limits_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert processes.count() == 1
