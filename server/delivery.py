"""Brings messages to parties and their replies back, although every process on the way may die at any moment.

A message may be sent again at will, since a party that has answered it repeats its stored reply. So one that is lost is
sent anew, after pauses that grow, until the time for an answer is over. Flower tells late that a party has died: after
a minute, or never when the party was killed while it sent a reply. Therefore a look at the parties' nodes every second
finds those that have come back since, and sends to them at once.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from flwr.app import Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.proto.node_pb2 import NodeInfo

# The message or its reply was lost on the way, or the process that was to answer has died.
_LOST = {
    ErrorCode.MESSAGE_UNAVAILABLE,
    ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
    ErrorCode.NODE_UNAVAILABLE,
    ErrorCode.CLIENT_APP_CRASHED,
}
_LOOK_SECONDS = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0


class GridError(RuntimeError):
    """Flower's grid could not be reached, or in time; the text continues "It …", of the party that was asked."""


class Messenger(Protocol):
    """What is used of Flower's grid."""

    def get_nodes(self) -> Iterable[NodeInfo]:
        """The nodes that are online."""
        ...

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages: Flower's name of each, empty for one that it does not accept."""
        ...

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The replies that are there."""
        ...


@dataclass
class _Question:
    """A message to a node; key is Flower's name of it while it is under way, due the time to send it otherwise."""

    node: int
    record: RecordDict
    key: str = ""
    due: float = 0.0
    pause: float = 0.0
    trouble: str = ""
    reply: Message | None = None

    def lose(self, trouble: str) -> None:
        """Send it again, at once if this was the first time, and else after a pause."""
        self.key, self.trouble = "", trouble
        self.due = time.monotonic() + self.pause
        self.pause = min(max(_FIRST_PAUSE, 2 * self.pause), _LONGEST_PAUSE)


class Delivery:
    """Carries messages over a grid; timeout is in seconds for a message and its reply, in all attempts together."""

    def __init__(self, grid: Messenger, timeout: float) -> None:
        self._grid, self._timeout = grid, timeout
        self._activated: dict[int, str] = {}

    def carry(
        self, action: str, packed: Mapping[str, tuple[int, RecordDict]]
    ) -> tuple[dict[str, Message], dict[str, str]]:
        """The reply, or the error of its app, of each party that answered; for the others, what is the matter."""
        questions = {party: _Question(node, record) for party, (node, record) in packed.items()}
        look_at = time.monotonic() + _LOOK_SECONDS

        def advance() -> bool:
            nonlocal look_at
            waiting = [one for one in questions.values() if one.reply is None]
            try:
                self._push(action, waiting)
                self._pull(waiting)
                if any(one.reply is None for one in waiting) and time.monotonic() > look_at:
                    self._look(waiting)
                    look_at = time.monotonic() + _LOOK_SECONDS
            except GridError as error:
                for one in waiting:
                    one.trouble = str(error)
            return all(one.reply is not None for one in waiting)

        poll(advance, self._timeout)
        replies = {party: one.reply for party, one in questions.items() if one.reply is not None}
        return replies, {party: one.trouble for party, one in questions.items() if one.reply is None}

    def _push(self, action: str, questions: Iterable[_Question]) -> None:
        due = [one for one in questions if not one.key and one.due <= time.monotonic()]
        if not due:
            return
        messages = [Message(one.record, one.node, action, ttl=self._timeout) for one in due]
        keys = list(self._grid.push_messages(messages)) or [""] * len(due)
        for one, key in zip(due, keys, strict=True):
            if key:
                one.key = key
            else:
                one.lose("is sent a message that Flower does not accept, maybe as too large")

    def _pull(self, questions: Iterable[_Question]) -> None:
        under_way = {one.key: one for one in questions if one.key}
        if not under_way:
            return
        for message in self._grid.pull_messages(list(under_way)):
            question = under_way[message.metadata.reply_to_message_id]
            if message.has_error() and message.error.code in _LOST:
                question.lose("")
            else:
                question.reply = message

    def _look(self, questions: Iterable[_Question]) -> None:
        """Give up what was sent to nodes that are away or have been started anew since the last look."""
        before = self._activated
        self._activated = {node.node_id: node.last_activated_at for node in self._grid.get_nodes()}
        for one in questions:
            if one.node not in self._activated:
                one.key, one.due, one.trouble = "", math.inf, "is not connected"
            elif one.due == math.inf or self._activated[one.node] != before.get(
                one.node, self._activated[one.node]
            ):
                one.key, one.due, one.trouble = "", 0.0, ""


def poll(done: Callable[[], bool], timeout: float) -> bool:
    """Call until true or the time is up; the pause grows with the waiting, to waste neither time nor work."""
    began = time.monotonic()
    while not done():
        waited = time.monotonic() - began
        if waited > timeout:
            return False
        time.sleep(min(0.25, max(0.002, waited / 40)))
    return True
