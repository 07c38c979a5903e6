"""Programs that are kept running: what ends or does nothing is started again, with all that belongs to it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clients import supervisor
from clients.supervisor import RESTARTING, RUNNING, STARTING, STOPPED, Program, Unit, read_health

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")


def ids(folder: Path, program: str) -> list[int]:
    """The process ids that a program has written at each of its starts."""
    file = folder / f"{program}.ids"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def telling(program: str, then: str = "time.sleep(60)") -> Program:
    """A program that writes its process id, and then does something."""
    code = f"import os, time; open('{program}.ids', 'a').write(f'{{os.getpid()}}\\n'); {then}"
    return Program(program, (sys.executable, "-c", code), {})


def until(done: Callable[[], bool], unit: Unit, seconds: float = 30) -> None:
    """Let a unit look after its programs until something is so."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, unit.health
        unit.look()
        time.sleep(0.02)


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(supervisor, "_LONGEST_PAUSE", 0.05)


def test_programs_that_belong_together_are_restarted_together(tmp_path: Path) -> None:
    unit = Unit("node", [telling("one"), telling("two")], tmp_path, lambda started: True)
    until(
        lambda: unit.health.state == RUNNING and len(ids(tmp_path, "two")) == 1 == len(ids(tmp_path, "one")),
        unit,
    )
    (one,), (two,) = ids(tmp_path, "one"), ids(tmp_path, "two")

    os.kill(one, signal.SIGKILL)
    until(lambda: len(ids(tmp_path, "two")) == 2, unit)

    assert not is_alive(one)
    assert not is_alive(two)
    assert unit.health.restarts == 1
    assert unit.health.reason == "one has ended with exit code -9"
    unit.stop()
    assert unit.health.state == STOPPED
    assert not any(map(is_alive, ids(tmp_path, "one") + ids(tmp_path, "two")))


def test_a_program_that_runs_and_does_nothing_is_restarted(tmp_path: Path) -> None:
    ailments = ["it does nothing", ""]
    unit = Unit("node", [telling("idle")], tmp_path, lambda started: True, lambda started: ailments[0])
    until(lambda: unit.health.state == RESTARTING, unit)
    assert unit.health.reason == "it does nothing"

    ailments.pop(0)
    until(lambda: unit.health.state == RUNNING, unit)
    unit.stop()


def test_a_start_is_tried_again_for_as_long_as_it_fails_and_says_why(tmp_path: Path) -> None:
    refused = Program("node", (sys.executable, "-c", "import sys; sys.exit('the key is in use')"), {})
    unit = Unit("node", [refused], tmp_path, lambda started: False)

    until(lambda: unit.health.restarts == 3, unit)

    assert unit.health.reason == "node has ended with exit code 1 (the key is in use)"


def test_a_unit_that_is_not_ready_in_time_is_restarted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = Unit("node", [Program("slow", SLEEP, {})], tmp_path, lambda started: False)
    unit.look()
    unit.look()
    assert unit.health.state == STARTING
    monkeypatch.setattr(supervisor, "_LONGEST_START", 0.0)

    unit.look()

    assert unit.health.state == RESTARTING
    unit.stop()


SUPERVISED = """
import sys
from pathlib import Path
from clients.supervisor import Program, Unit, supervise

folder = Path(sys.argv[1])
code = "import os, time; open('one.ids', 'a').write(f'{os.getpid()}\\\\n'); time.sleep(60)"
program = Program("one", (sys.executable, "-c", code), {})
supervise([Unit("node", [program], folder, lambda started: True)], folder / "status.json")
"""


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_its_supervisor(sign: signal.Signals, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", SUPERVISED, str(tmp_path)], cwd=Path.cwd())
    deadline = time.monotonic() + 30
    while not ids(tmp_path, "one") or read_health(tmp_path / "status.json")["node"].state != RUNNING:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    process.send_signal(sign)
    process.wait(20)

    (child,) = ids(tmp_path, "one")
    while is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    state = read_health(tmp_path / "status.json")["node"].state
    assert state == (STOPPED if sign is signal.SIGTERM else RUNNING)
