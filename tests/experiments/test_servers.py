"""Nothing of a server stays when it is ended."""

import socket
import subprocess
import sys
import time
from pathlib import Path

from experiments.servers import end, free_port

# As Flower's SuperLink does: a child in a session of its own, which starts another; each writes its process id.
FAMILY = """
import subprocess, sys, os, time
depth = int(sys.argv[1])
print(os.getpid(), flush=True)
if depth:
    subprocess.Popen([sys.executable, "-c", sys.argv[2], str(depth - 1), sys.argv[2]], start_new_session=depth == 2)
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


def test_nothing_that_the_superlink_started_survives_it() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", FAMILY, "2", FAMILY], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    with process.stdout as pipe:
        family = [int(pipe.readline()) for _ in range(3)]
    assert all(is_running(member) for member in family)

    end(process)

    deadline = time.monotonic() + 10
    while any(is_running(member) for member in family) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [member for member in family if is_running(member)] == []


def test_to_stop_what_has_ended_is_no_error() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    process.wait()
    end(process)


def test_a_free_port_can_be_taken() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", free_port()))
