"""Messages and replies over grids whose nodes die, come back, and keep calls waiting."""

import threading
import time
from collections.abc import Callable, Iterable
from itertools import count

import httpx
import pytest
from flwr.app import Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.supercore.inflatable.inflatable_utils import ObjectUnavailableError
from flwr.superlink.grid import http_grid

from experiments.backends.inline import InlineGrid
from fl.config.run import TrainingConfig
from server import delivery, remote_grid
from server.delivery import Delivery, GridError, Lossy
from server.remote_grid import RemoteGrid


class Mortal:
    """A grid with one node; a message that comes while it is dead, or has been started less often, stays unanswered."""

    def __init__(self, reply: Callable[..., Message], lives: Iterable[str]) -> None:
        InlineGrid(TrainingConfig())  # Flower refuses to make messages outside a run
        self._reply, self._lives, self._keys = reply, iter(lives), count()
        self.sent: list[str] = []
        self.life, self._waiting = next(self._lives), dict[str, Message]()

    def get_nodes(self) -> list[NodeInfo]:
        self.life = next(self._lives, self.life)
        return [NodeInfo(node_id=7, last_activated_at=self.life)] if self.life else []

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        keys = [f"m{next(self._keys)}" for _ in messages]
        self.sent.append(self.life)
        if self.life == "third":
            self._waiting = {
                key: self._reply(message, key, content=RecordDict())
                for key, message in zip(keys, messages, strict=True)
            }
        return keys

    def pull_messages(self, keys: Iterable[str]) -> list[Message]:
        return [self._waiting.pop(key) for key in keys if key in self._waiting]


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_LOOK_SECONDS", 0.01)


@pytest.mark.usefixtures("quick_looks")
@pytest.mark.parametrize(
    ("lives", "sent"),
    [
        # Started anew twice: it is asked in each of its lives.
        (("first", "first", "second", "second", "third"), ["first", "second", "third"]),
        # Away for a while, when nothing is sent to it.
        (("first", "first", "", "", "", "third"), ["first", "third"]),
    ],
)
def test_a_party_is_asked_again_as_soon_as_its_node_is_back(
    reply: Callable[..., Message], lives: tuple[str, ...], sent: list[str]
) -> None:
    grid = Mortal(reply, lives)
    replies, silent = Delivery(grid, 5.0).carry("train.x_y", {"tax": (7, RecordDict())})
    assert list(replies) == ["tax"]
    assert not silent
    assert grid.sent == sent


@pytest.mark.usefixtures("quick_looks")
def test_who_stays_away_is_named_with_what_is_known(reply: Callable[..., Message]) -> None:
    replies, silent = Delivery(Mortal(reply, ("first", "")), 0.2).carry(
        "train.x_y", {"tax": (7, RecordDict())}
    )
    assert not replies
    assert silent == {"tax": "is not connected"}


class Forgetful(Mortal, Lossy):
    """A grid that forgets the first messages, and says nothing."""

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        if len(self.sent) == 2:
            self.life = "third"
        return super().push_messages(messages)


@pytest.mark.usefixtures("quick_looks")
def test_a_party_of_a_deployment_that_keeps_silent_for_long_is_asked_again(
    reply: Callable[..., Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_SILENCE_SECONDS", 0.02)
    grid = Forgetful(reply, ["first"])
    replies, _ = Delivery(grid, 5.0).carry("train.x_y", {"tax": (7, RecordDict())})
    assert list(replies) == ["tax"]
    assert grid.sent == ["first", "first", "third"]


class Hanging:
    """A grid of which a call may wait without end."""

    def __init__(self) -> None:
        self.asked: list[set[str]] = []
        self.end = threading.Event()

    def pull_messages(self, keys: Iterable[str]) -> list[Message]:
        self.asked.append(set(keys))
        if "stuck" in self.asked[-1]:
            self.end.wait()
        return []

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        raise httpx.ConnectError("nobody is there")

    def get_nodes(self) -> list[NodeInfo]:
        self.end.wait()
        return []


def test_no_call_of_a_deployments_grid_waits_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_grid, "_SLICE", 0.02)
    monkeypatch.setattr(remote_grid, "_PATIENCE", 0.02)
    hanging = Hanging()
    grid = RemoteGrid(hanging)

    for _ in range(2):
        assert list(grid.pull_messages(["stuck", "other"])) == []
    assert list(grid.pull_messages(["stuck", "other", "again"])) == []
    assert list(grid.pull_messages(["other"])) == []
    with pytest.raises(GridError, match="SuperLink does not answer"):
        grid.get_nodes()
    with pytest.raises(GridError, match="nobody is there"):
        grid.push_messages([])
    # The call that waits goes on while what it waits for is still wanted, and not any longer; it keeps up no other.
    assert hanging.asked == [{"stuck", "other"}, {"again"}, {"other"}]
    hanging.end.set()


class Counting:
    """A grid that has no replies, and counts how often it is asked for them."""

    looks = 0

    def pull_messages(self, keys: Iterable[str]) -> list[Message]:
        self.looks += 1
        return []


def test_a_deployments_grid_is_not_asked_for_replies_all_the_time() -> None:
    grid, began = Counting(), time.monotonic()
    remote = RemoteGrid(grid)
    while time.monotonic() < began + 0.25:
        assert list(remote.pull_messages(["m1"])) == []
    assert grid.looks <= 4


def test_a_part_of_a_reply_that_is_under_way_is_soon_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_grid, "pull_objects", http_grid.pull_objects)  # so that it is put back
    answers: list[bytes | Exception] = [ObjectUnavailableError("part"), ObjectUnavailableError("part"), b"it"]

    def pull(name: str) -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert isinstance(remote_grid.bounded(http_grid.HttpGrid(token="token")), RemoteGrid)
    began = time.monotonic()
    assert http_grid.pull_objects(["part"], pull) == {"part": b"it"}
    assert time.monotonic() - began < 0.9
