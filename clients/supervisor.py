"""Keeps programs running: those that belong together are started, watched and restarted together.

What counts is what they do. A program that has ended is not well, whatever its exit code, and neither is one that runs
and does nothing; the caller says how that shows. Restarts come after pauses that grow, since a cause may last: the
coordinator refuses the key of a party that was killed for up to 60 seconds.

A supervisor leads a process group, and all that it starts stays in it. It imports little, because it runs beside all of
them all the time.
"""

import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

log = logging.getLogger(__name__)

STARTING, RUNNING, RESTARTING, STOPPED = "starting", "running", "restarting", "stopped"

PROGRAM = "SILOSCORE_PROGRAM"
"""Variable in the environment of each program that names it, so that a person, or a test, can find it."""

_LOOK_SECONDS = 0.5
_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 10.0
_SETTLED_SECONDS = 60.0
"""After so long without a failure the next pause is the shortest again."""
_LONGEST_START = 120.0
_GRACE_SECONDS = 5.0
"""For a program to end by itself when it is asked to."""
_LARGEST_LOG = 10 * 2**20


@dataclass(frozen=True)
class Program:
    """A program: its name, which names its log file, too, its command line, and what its environment has more."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Health:
    """What a unit is at, since when (ISO 8601), how often it was restarted, and why the last time."""

    state: str
    since: str
    restarts: int = 0
    reason: str = ""


class Unit:
    """Programs that live and end together.

    is_ready tells, after the start, whether they do their work; ailment tells later why they do not, in a sentence
    without a stop, and nothing while they do. Both get the time of the start (seconds since 1970).
    """

    def __init__(
        self,
        name: str,
        programs: Sequence[Program],
        folder: Path,
        is_ready: Callable[[float], bool],
        ailment: Callable[[float], str] = lambda started: "",
    ) -> None:
        self.name, self._programs, self._folder = name, programs, folder
        self._is_ready, self._ailment = is_ready, ailment
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._started = 0.0
        self._pause, self._due = _SHORTEST_PAUSE, 0.0
        self.health = Health(STARTING, _now())

    def look(self) -> None:
        """Start what is due, and restart what is not well."""
        now = time.time()
        if not self._processes:
            if now >= self._due:
                self._start()
            return
        if reason := self._wrong(now):
            self._end()
            settled = self.health.state == RUNNING and now - self._started > _SETTLED_SECONDS
            self._pause = _SHORTEST_PAUSE if settled else min(2 * self._pause, _LONGEST_PAUSE)
            self._due = now + self._pause
            self.health = Health(RESTARTING, _now(), self.health.restarts + 1, reason)
        elif self.health.state != RUNNING and self._is_ready(self._started):
            self.health = replace(self.health, state=RUNNING, since=_now())

    def stop(self) -> None:
        """End the programs for good."""
        self._end()
        self.health = replace(self.health, state=STOPPED, since=_now())

    def _wrong(self, now: float) -> str:
        for name, process in self._processes.items():
            if (code := process.poll()) is not None:
                return f"{name} has ended with exit code {code}{_last_line(self._log(name))}"
        if self.health.state == RUNNING:
            return self._ailment(self._started)
        if now - self._started > _LONGEST_START:
            return f"it was not ready {_LONGEST_START:g} seconds after its start"
        return ""

    def _start(self) -> None:
        self._started = time.time()
        for program in self._programs:
            log = self._log(program.name)
            if log.exists() and log.stat().st_size > _LARGEST_LOG:
                log.replace(log.with_suffix(".old.log"))
            with log.open("ab") as output:
                self._processes[program.name] = subprocess.Popen(
                    program.command,
                    env={**os.environ, **program.environment, PROGRAM: program.name},
                    cwd=self._folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    preexec_fn=_end_with_parent,
                )

    def _end(self) -> None:
        """The first program is asked first, since the others may be of use to it while it takes its leave."""
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + _GRACE_SECONDS
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def _log(self, program: str) -> Path:
        return self._folder / f"{program}.log"


def supervise(units: Sequence[Unit], status: Path) -> None:
    """Keep the units running until SIGTERM or SIGINT, and write how they are to a file, by name, as JSON.

    Units end in reverse order.
    """
    is_over = False

    def leave(number: int, frame: object) -> None:
        nonlocal is_over
        is_over = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, leave)
    try:
        while not is_over:
            try:
                for unit in units:
                    unit.look()
                _write(status, units)
            except OSError as error:  # such as a full disk, on which what runs goes on
                log.warning("%s", error)
            time.sleep(_LOOK_SECONDS)
    finally:
        for unit in reversed(units):
            unit.stop()
        _write(status, units)


def read_health(status: Path) -> dict[str, Health]:
    """What a supervisor has written of its units, by name; nothing before its first word."""
    if not status.exists():
        return {}
    return {name: Health(**about) for name, about in json.loads(status.read_text("utf-8")).items()}


def _write(status: Path, units: Sequence[Unit]) -> None:
    content = json.dumps({unit.name: asdict(unit.health) for unit in units}, indent=1)
    if status.exists() and status.read_text("utf-8") == content:
        return
    draft = status.with_suffix(".new")
    draft.write_text(content, "utf-8")
    draft.replace(status)


def _last_line(log: Path) -> str:
    """What a program has said last, to follow a reason."""
    lines = log.read_bytes()[-2000:].decode(errors="replace").splitlines() if log.exists() else []
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f" ({said[:200]})" if said else ""


def _end_with_parent() -> None:
    """Have the kernel end this process when the supervisor is killed; elsewhere than on Linux, nobody does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _now() -> str:
    return datetime.now(UTC).astimezone().isoformat(timespec="seconds")
