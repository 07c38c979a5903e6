"""Which journals stay, and how one tells that its coordinator lives; what is in them, `test_resume.py` shows."""

import signal
import subprocess
import sys
from pathlib import Path

from server.journal import Journal
from server.locks import is_held

HOLDER = """
import sys
from server.journal import Journal
journal = Journal(sys.argv[1], "s", 0)
print("held", flush=True)
sys.stdin.read()
"""


def test_the_journal_of_a_study_that_goes_on_is_never_removed(tmp_path: Path) -> None:
    going_on = Journal(str(tmp_path), "going-on", 1)
    for study in ("ended", "another", "last"):
        Journal(str(tmp_path), study, 1).close()

    assert {path.name for path in tmp_path.iterdir()} == {"going-on", "another", "last"}
    going_on.close()
    Journal(str(tmp_path), "new", 1).close()
    assert {path.name for path in tmp_path.iterdir()} == {"last", "new"}


def test_a_coordinator_that_is_killed_holds_no_journal_any_more(tmp_path: Path) -> None:
    lock = tmp_path / "s" / "journal.lock"
    assert not is_held(lock)
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as coordinator:
        assert coordinator.stdout is not None
        coordinator.stdout.readline()
        assert is_held(lock)
        coordinator.send_signal(signal.SIGKILL)
    assert not is_held(lock)
    Journal(str(tmp_path), "s", 0).close()  # and the next one has not to wait
