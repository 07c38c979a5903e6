"""The processes of a federation on this machine: each has in its environment to which federation it belongs.

So they are found whatever has happened to those that started them, and no process is taken for another one.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clients.supervisor import PROGRAM
from experiments.federation.layout import Layout

FEDERATION, ORGANISATION = "SILOSCORE_FEDERATION", "SILOSCORE_ORGANISATION"
SUPERVISOR = "supervisor"
"""Name of the program that keeps an organisation's other programs running."""

_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Process:
    """A process of an organisation: `supervisor`, or a program of `clients.supervisor`; below it are its children.

    What a program has started has the program's name, too.
    """

    number: int
    organisation: str
    program: str


def mark(layout: Layout, organisation: str) -> dict[str, str]:
    """What the environment of an organisation's processes has more."""
    return {FEDERATION: str(layout.folder), ORGANISATION: organisation, PROGRAM: SUPERVISOR}


def processes(layout: Layout, organisation: str = "") -> list[Process]:
    """Those of the federation that run now, or of one organisation."""
    return [
        Process(number, environment[ORGANISATION], environment.get(PROGRAM, ""))
        for number, environment in _environments()
        if environment.get(FEDERATION) == str(layout.folder)
        and environment.get(ORGANISATION, "") != ""
        and organisation in ("", environment[ORGANISATION])
    ]


def is_supervised(layout: Layout, organisation: str) -> bool:
    """Whether the supervisor of an organisation runs."""
    return any(one.program == SUPERVISOR for one in processes(layout, organisation))


def end(layout: Layout, organisation: str) -> int:
    """End all processes of an organisation, the supervisor first, which ends the others; returns how many ran."""
    first = processes(layout, organisation)
    _signal([one for one in first if one.program == SUPERVISOR], signal.SIGTERM)
    if any(one.program == SUPERVISOR for one in first):
        wait_until(lambda: not is_supervised(layout, organisation), _PATIENCE_SECONDS)
    for sign in (signal.SIGTERM, signal.SIGKILL):
        _signal(processes(layout, organisation), sign)
        if wait_until(lambda: not processes(layout, organisation), _PATIENCE_SECONDS):
            break
    return len(first)


def wait_until(done: Callable[[], bool], seconds: float) -> bool:
    """Look until something is done, or the time is up; returns whether it is done."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _signal(those: list[Process], sign: signal.Signals) -> None:
    for one in those:
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.kill(one.number, sign)


def _environments() -> Iterator[tuple[int, Mapping[str, str]]]:
    """Id and environment of each process of this user, as it was at its start."""
    if not Path("/proc/self/environ").exists():
        command = ["ps", "-x", "-E", "-ww", "-o", "pid=,command="]
        for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
            number, *words = line.split()
            yield int(number), dict(word.split("=", 1) for word in words if "=" in word)
        return
    for folder in Path("/proc").glob("[0-9]*"):
        # Another user's, or one that has ended meanwhile.
        with suppress(PermissionError, FileNotFoundError, ProcessLookupError):
            words = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
            yield int(folder.name), dict(word.split("=", 1) for word in words if "=" in word)
