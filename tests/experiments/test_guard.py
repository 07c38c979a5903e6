"""Nothing of a server stays when its command is done with it, or is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments.servers import running

# As Flower's SuperLink does: a child in a session of its own, which starts another; each writes its process id.
FAMILY = """
import subprocess, sys, os, time
depth = int(sys.argv[1])
print(os.getpid(), flush=True)
if depth:
    subprocess.Popen([sys.executable, "-c", sys.argv[2], str(depth - 1), sys.argv[2]], start_new_session=depth == 2)
time.sleep(60)
"""
SERVER = [sys.executable, "-c", FAMILY, "2", FAMILY]
# A shell's background job, and so perhaps this test, ignores SIGINT, and its children inherit that.
COMMAND = f"""
import signal, time
from experiments.servers import running
signal.signal(signal.SIGINT, signal.default_int_handler)
with running({SERVER!r}):
    time.sleep(60)
"""


def is_running(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        found = subprocess.run(
            ["ps", "-p", str(process), "-o", "stat="], capture_output=True, text=True, check=False
        )
        status = f") {found.stdout.strip() or 'Z'}"
    return status.rpartition(")")[2].split()[0][0] != "Z"


def members(process: subprocess.Popen) -> list[int]:
    with process.stdout as pipe:
        family = [int(pipe.readline()) for _ in range(3)]
    assert all(is_running(member) for member in family)
    return family


def assert_ended(family: list[int]) -> None:
    deadline = time.monotonic() + 10
    while any(is_running(member) for member in family) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [member for member in family if is_running(member)] == []


def test_nothing_that_a_server_started_survives_it() -> None:
    with running(SERVER, stdout=subprocess.PIPE) as server:
        family = members(server)
    assert_ended([server.pid, *family])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda number: number.name)
def test_a_server_ends_with_its_command_however_that_ends(number: signal.Signals) -> None:
    command = subprocess.Popen(
        [sys.executable, "-c", COMMAND], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    family = members(command)
    os.kill(command.pid, number)
    command.wait(10)
    assert_ended(family)


def test_who_ends_the_guard_ends_the_server() -> None:
    with running(SERVER, stdout=subprocess.PIPE) as server:
        family = members(server)
        server.terminate()
        assert_ended(family)


@pytest.mark.parametrize(
    ("program", "code"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 128 + 9)]
)
def test_how_a_server_ended_by_itself_is_passed_on(program: str, code: int) -> None:
    with running([sys.executable, "-c", program]) as server:
        assert server.wait(10) == code
