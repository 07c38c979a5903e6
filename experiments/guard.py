"""A program that runs a server, and ends it with all that it has started when standard input closes.

`experiments.servers` starts it. Standard input is a pipe that only the command holds open, so it closes when the
command is done with the server, and also when the command is killed.
"""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

_PATIENCE_SECONDS = 10
_LOOK_EVERY_SECONDS = 0.2


def guard(command: Sequence[str]) -> int:
    """Run a server until it ends or standard input closes; returns its exit code, as a shell would tell it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        while server.poll() is None and not select.select([sys.stdin], [], [], _LOOK_EVERY_SECONDS)[0]:
            pass
    finally:
        _end(server)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def _end(server: subprocess.Popen[bytes]) -> None:
    """End a server that leads a session of its own, and all that runs below this process."""
    groups = {server.pid}
    for sign in (signal.SIGTERM, signal.SIGKILL):
        groups |= groups_below(os.getpid()) - {os.getpgrp()}
        for group in groups:
            with suppress(ProcessLookupError, PermissionError):  # nobody is left there
                os.killpg(group, sign)
        with suppress(subprocess.TimeoutExpired):
            server.wait(_PATIENCE_SECONDS)


def groups_below(process: int) -> set[int]:
    """The process groups of all that a process has started, directly or through others, and that still runs."""
    table, below, groups = list(_processes()), [process], set()
    for above in below:
        for number, parent, group in table:
            if parent == above:
                below.append(number)
                groups.add(group)
    return groups


def _processes() -> Iterator[tuple[int, int, int]]:
    """Id, parent's id and process group of every process of this machine."""
    if not Path("/proc/self/stat").exists():
        command = ["ps", "-A", "-o", "pid=,ppid=,pgid="]
        for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
            number, parent, group = map(int, line.split())
            yield number, parent, group
        return
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            # The name in parentheses, which may hold anything, stands before the state, the parent and the group.
            _, parent, group, *_ = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            yield int(folder.name), int(parent), int(group)


if __name__ == "__main__":
    sys.exit(guard(sys.argv[1:]))
