"""A party's worker: which version of Flower it works with, which tasks it forgets, and when it ends."""

import subprocess
import sys
from collections.abc import Sequence

import httpx
import pytest

from clients import worker
from clients.tasks import Forgotten
from clients.worker import FLOWER, require_flower, work
from fl.errors import ConfigError


class End(Exception):
    """Ends a worker that would go on for ever."""


class Tasks:
    """Tasks in an order; an error in place of one is raised, in place of its answer if it is a Forgotten."""

    def __init__(self, *given: str | Exception) -> None:
        self._given: list[str | Exception] = [*given]
        self.answered: list[str] = []

    def acquire(self) -> str:
        if not self._given:
            raise End
        if isinstance(self._given[0], httpx.TransportError):
            raise self._given.pop(0)
        return "" if self._given[0] == "" and self._given.pop(0) == "" else "token"

    def answer(self, token: str) -> None:
        given = self._given.pop(0)
        if isinstance(given, Exception):
            raise given
        self.answered.append(given)


@pytest.fixture(autouse=True)
def _in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    for pause in ("_SHORTEST_PAUSE", "_LONGEST_PAUSE", "_RETRY_SECONDS"):
        monkeypatch.setattr(worker, pause, 0.0)


@pytest.mark.parametrize(
    ("given", "answered"),
    [
        (["a", "", "", "b"], ["a", "b"]),
        (["a", Forgotten("the run has ended"), "b"], ["a", "b"]),
        ([httpx.ConnectError("refused"), "a"], ["a"]),
    ],
)
def test_a_worker_goes_on(given: Sequence[str | Exception], answered: list[str]) -> None:
    tasks = Tasks(*given)
    with pytest.raises(End):
        work(tasks)
    assert tasks.answered == answered


def test_a_worker_ends_when_a_reply_cannot_be_delivered() -> None:
    tasks = Tasks("a", RuntimeError("the push session has been replaced"), "b")
    with pytest.raises(RuntimeError, match="push session"):
        work(tasks)
    assert tasks.answered == ["a"]


@pytest.mark.parametrize("installed", ["1.40.2", "1.42.0", "1.4.1", "2.41.0", "1.410.0"])
def test_another_version_of_flower_is_refused_in_a_sentence(installed: str) -> None:
    with pytest.raises(ConfigError, match=rf"needs Flower {FLOWER}, and {installed} is installed.*--plain"):
        require_flower(installed)


def test_what_watches_over_a_node_imports_no_heavy_library() -> None:
    code = "import sys, clients.node, server.front_door; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"flwr", "numpy", "pandas", "torch", "mlflow", "sklearn"} & set(loaded)
