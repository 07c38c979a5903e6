"""The executor of ServerApps: what it starts outlives it, and a lock tells whether that still lives."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from flwr.proto.runtime_pb2 import AcquireTaskResponse
from flwr.proto.task_pb2 import Task

from experiments.federation.processes import wait_until
from server import executor
from server.executor import execute
from server.locks import is_held, serverapp_lock

EXECUTOR = """
import sys
from pathlib import Path
from server.executor import start
print(start(["sleep", "60"], Path(sys.argv[1])).pid, flush=True)
sys.stdin.read()
"""


class End(Exception):
    """Ends an executor that would go on for ever."""


def test_a_serverapp_outlives_its_executor_and_holds_a_lock_until_it_dies(tmp_path: Path) -> None:
    lock = serverapp_lock(tmp_path, 1)
    command = [sys.executable, "-c", EXECUTOR, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        serverapp = int(parent.stdout.readline())
        parent.kill()
    try:
        assert is_held(lock)
    finally:
        os.kill(serverapp, signal.SIGKILL)
    assert wait_until(lambda: not is_held(lock), 10)
    assert lock.exists()  # by which one that has died differs from one that was not started yet


def test_a_serverapp_is_started_for_every_task_however_often_the_superlink_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: Iterator[AcquireTaskResponse | Exception] = iter(
        [
            AcquireTaskResponse(token="a", task=Task(run_id=7)),
            httpx.ConnectError("refused"),
            AcquireTaskResponse(),
            AcquireTaskResponse(token="b", task=Task(run_id=8)),
            End(),
        ]
    )
    started = []

    def acquire() -> AcquireTaskResponse:
        answer = next(given)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def start(command: list[str], lock: Path) -> SimpleNamespace:
        started.append((command, lock))
        return SimpleNamespace(poll=lambda: None)

    monkeypatch.setattr(executor, "start", start)
    monkeypatch.setattr(executor, "_LOOK_SECONDS", 0.0)
    with pytest.raises(End):
        execute(acquire, ["flwr-serverapp"], tmp_path)

    assert started == [
        (["flwr-serverapp", "--token", "a"], tmp_path / "7.lock"),
        (["flwr-serverapp", "--token", "b"], tmp_path / "8.lock"),
    ]
