"""Flower's grid of a deployment, with an end to every call: Flower itself waits for a SuperLink, and for the missing
parts of a reply, without one.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from threading import Thread
from typing import Any, TypeVar

import httpx
from flwr.app import Message
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.inflatable.inflatable_utils import ObjectPullError, ObjectPushError, pull_objects
from flwr.superlink.grid import HttpGrid, http_grid

from server.delivery import GridError, Lossy, Messenger

Result = TypeVar("Result")

_PATIENCE = 30.0
_SLICE = 1.0
"""Seconds that a look for replies waits before the caller may look at something else."""
_LOOK_SECONDS = 0.1
"""Between two looks for replies: each costs the SuperLink, which has other things to do, a hundredth of a second."""
_PART_SECONDS = 0.05
"""Before a part of a reply is asked for again that has not arrived; Flower waits a second, then two, and so on."""
_FAILURES = (httpx.HTTPError, ObjectPullError, ObjectPushError, ValueError)


class RemoteGrid(Lossy):
    """A grid whose calls raise GridError when they fail or take too long; such a one goes on in a thread, unheard."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._pulls: dict[frozenset[str], Future[Iterable[Message]]] = {}
        self._looked = 0.0

    def get_nodes(self) -> Iterable[NodeInfo]:
        """The nodes that are online."""
        return _outcome(_started(self._grid.get_nodes))

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages: Flower's name of each, empty for one that it does not accept."""
        return _outcome(_started(self._grid.push_messages, messages))

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The replies that are there; none while one is coming in, so that the caller can see who is still there."""
        wanted = frozenset(message_ids)
        # A call may wait for ever, for the rest of a reply that was cut. One is left alone when the caller has given up
        # a message of it, and meanwhile there is another one for the messages that were sent since.
        self._pulls = {keys: pull for keys, pull in self._pulls.items() if keys <= wanted}
        if further := wanted.difference(*self._pulls):
            time.sleep(max(0.0, self._looked + _LOOK_SECONDS - time.monotonic()))
            self._looked = time.monotonic()
            self._pulls[further] = _started(self._grid.pull_messages, list(further))
        done = wait(self._pulls.values(), _SLICE, FIRST_COMPLETED).done
        ended = [keys for keys, pull in self._pulls.items() if pull in done]
        return [reply for keys in ended for reply in _outcome(self._pulls.pop(keys))]


def bounded(grid: Grid) -> Messenger:
    """The grid itself unless it is that of a deployment."""
    if not isinstance(grid, HttpGrid):
        return grid
    vars(http_grid)["pull_objects"] = partial(pull_objects, initial_backoff=_PART_SECONDS)
    return RemoteGrid(grid)


def _started(call: Callable[..., Result], *arguments: Any) -> "Future[Result]":
    future: Future[Result] = Future()

    def work() -> None:
        try:
            future.set_result(call(*arguments))
        except BaseException as error:
            future.set_exception(error)

    # No pool: that would wait for its threads when the process ends.
    Thread(target=work, daemon=True).start()
    return future


def _outcome(future: "Future[Result]") -> Result:
    if not wait([future], _PATIENCE).done:
        raise GridError("was not reached: Flower's SuperLink does not answer")
    try:
        return future.result()
    except _FAILURES as error:
        raise GridError(f"was not reached: {error}") from error
