"""Flower's SuperNode in a process of ours: how often it looks for the reply of its worker."""

import sys
from importlib import import_module
from types import SimpleNamespace

import pytest

from clients import supernode


class Ended(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize(("isolation", "slept"), [("process", [0.05, 3]), ("subprocess", [0.5, 3])])
def test_a_workers_reply_is_looked_for_often(
    isolation: str, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, pauses = import_module("flwr.supernode.start_client_internal"), list[float]()
    monkeypatch.setattr(loop, "time", loop.time)  # so that it is put back
    monkeypatch.setattr("time.sleep", pauses.append)

    def flower_supernode() -> None:
        loop.time.sleep(0.5)  # for a reply
        loop.time.sleep(3)  # for a message

    def end(code: int) -> None:
        raise Ended

    program = SimpleNamespace(load=lambda: flower_supernode)
    monkeypatch.setattr(supernode, "entry_points", lambda group, name: [program])
    monkeypatch.setattr(sys, "argv", ["flower-supernode", "--isolation", isolation])
    monkeypatch.setattr(supernode, "_end", end)
    monkeypatch.setattr(supernode.threading, "excepthook", supernode.threading.excepthook)

    with pytest.raises(Ended):
        supernode.main()

    assert pauses == slept
