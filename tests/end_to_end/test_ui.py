"""`siloscore ui` as a process: it serves, and when it is ended nothing of it stays."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from experiments.servers import free_port
from server.tracking.study import Study


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def wait(until: bool, port: int, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while answers(port) != until:
        assert time.monotonic() < end, f"after {seconds} s port {port} answers: {not until}"
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "end", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name
)
def test_what_it_started_ends_with_it(tmp_path: Path, end: signal.Signals) -> None:
    with Study.start(f"sqlite:///{tmp_path}/mlflow.db", "siloscore", "a study"):
        pass
    port = free_port()
    command = [str(Path(sys.executable).parent / "siloscore"), "ui", "--port", str(port)]
    ui = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        wait(True, port)
        ui.send_signal(end)
        told, _ = ui.communicate(timeout=30)
    finally:
        ui.kill()
    assert f"http://127.0.0.1:{port}/#/experiments/" in told.replace("\n", "")
    wait(False, port, 10)
