"""Flower's SuperNode in a process of ours: how often it looks for replies, and when it gives a message up."""

import sys
from importlib import import_module
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from flwr.supercore.inflatable.inflatable_utils import ObjectUnavailableError
from flwr.supercore.run import RunNotRunningException

from clients import supernode


class Ended(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize(("isolation", "slept"), [("process", [0.05, 3]), ("subprocess", [0.5, 3])])
def test_a_workers_reply_is_looked_for_often(
    isolation: str, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, pauses = import_module("flwr.supernode.start_client_internal"), list[float]()
    for name in ("time", "pull_objects"):
        monkeypatch.setattr(loop, name, getattr(loop, name))  # so that it is put back
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


@pytest.mark.parametrize("missing", [RunNotRunningException(), ObjectUnavailableError("part")])
def test_of_a_message_whose_rest_will_not_come_nothing_is_left_for_the_worker_to_wait_for(
    missing: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, state, store = import_module("flwr.supernode.start_client_internal"), Mock(), Mock()
    monkeypatch.setattr(supernode, "_MESSAGE_SECONDS", 0.0)
    monkeypatch.setattr(loop, "pull_objects", supernode.whole(loop.pull_objects))
    store.preregister.return_value = ["part"]
    about = SimpleNamespace(message_id="message", run_id=1, group_id="", message_type="query")

    received = loop._pull_and_store_message(
        state,
        store,
        node_config={},
        receive=lambda: (SimpleNamespace(metadata=about), Mock()),
        get_run=Mock(),
        get_fab=Mock(),
        pull_object=Mock(side_effect=missing),
        confirm_message_received=Mock(),
        trusted_entities=None,
    )

    assert received is None
    state.delete_messages.assert_called_once_with(message_ids=["message"])
    store.delete.assert_called_once_with("message")
    assert state.finish_task.call_args.kwargs["sub_status"] == "failed"
