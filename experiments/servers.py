"""Servers that a command starts on this machine: a port for them, and their end with all that they have started."""

import os
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

_PATIENCE_SECONDS = 20


def free_port() -> int:
    """A port on this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end(server: subprocess.Popen[bytes]) -> None:
    """End a server that leads a session of its own, and its children's sessions, with all that runs in them."""
    groups = [server.pid, *children(server.pid)]
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for group in groups:
            with suppress(ProcessLookupError, PermissionError):  # nobody is left there
                os.killpg(group, sign)
        with suppress(subprocess.TimeoutExpired):
            server.wait(_PATIENCE_SECONDS)


def children(process: int) -> list[int]:
    """The ids of the processes that a process has started and that still run."""
    if threads := list(Path(f"/proc/{process}/task").glob("*/children")):
        return [int(child) for thread in threads for child in thread.read_text().split()]
    command = ["ps", "-A", "-o", "ppid=,pid="]
    table = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    pairs = [tuple(map(int, line.split())) for line in table.splitlines()]
    return [child for parent, child in pairs if parent == process]
