"""Brings messages to parties and their replies back, although every process on the way may die at any moment.

A message may be sent again at will, since a party that has answered it repeats its stored reply. So one that is lost is
sent anew, after pauses that grow, until the time for an answer is over. Flower tells late that a party has died: after
a minute, or never when the party was killed while it sent a reply. Therefore a look at the parties' nodes every second
finds those that have come back since, and sends to them at once. Nor does Flower tell what its SuperLink had in hand
when it was killed, so a party of a deployment that keeps silent for unusually long is sent the message again.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
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
_SILENCE_SECONDS, _SILENCE_FACTOR = 20.0, 3.0
"""It is unusual when an answer takes longer than this, and than so many times the longest one so far."""


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


class Lossy:
    """A grid that may lose messages and replies without a word, and whose parties answer one message at a time."""


@dataclass
class _Question:
    """A message to a node: keys are Flower's names of those under way, due is when to send the next (monotonic).

    silence is how long to wait for an answer before that, pause how long after a message is known to be lost.
    """

    node: int
    record: RecordDict
    silence: float
    keys: list[str] = field(default_factory=list)
    due: float = 0.0
    pause: float = 0.0
    is_away: bool = False
    trouble: str = ""
    reply: Message | None = None

    def send(self, key: str) -> None:
        """Wait for an answer to one that was sent."""
        self.keys.append(key)
        self.due = time.monotonic() + self.silence
        self.silence *= 2

    def lose(self, trouble: str) -> None:
        """Send it again, at once if this was the first time, and else after a pause."""
        self.trouble = trouble
        self.restart(time.monotonic() + self.pause)
        self.pause = min(max(_FIRST_PAUSE, 2 * self.pause), _LONGEST_PAUSE)

    def restart(self, due: float) -> None:
        """Expect no answer to what was sent; the next is due then."""
        self.keys, self.due = [], due


class Delivery:
    """Carries messages over a grid; timeout is in seconds for a message and its reply, in all attempts together."""

    def __init__(self, grid: Messenger, timeout: float) -> None:
        self._grid, self._timeout = grid, timeout
        self._activated: dict[int, str] = {}
        self._longest = 0.0

    def carry(
        self, action: str, packed: Mapping[str, tuple[int, RecordDict]]
    ) -> tuple[dict[str, Message], dict[str, str]]:
        """The reply, or the error of its app, of each party that answered; for the others, what is the matter."""
        silence = max(_SILENCE_SECONDS, _SILENCE_FACTOR * self._longest)
        silence = silence if isinstance(self._grid, Lossy) else math.inf
        questions = {party: _Question(node, record, silence) for party, (node, record) in packed.items()}
        began = time.monotonic()
        look_at = began + _LOOK_SECONDS

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

        if poll(advance, self._timeout):
            self._longest = max(self._longest, time.monotonic() - began)
        replies = {party: one.reply for party, one in questions.items() if one.reply is not None}
        return replies, {party: one.trouble for party, one in questions.items() if one.reply is None}

    def _push(self, action: str, questions: Iterable[_Question]) -> None:
        due = [one for one in questions if one.due <= time.monotonic()]
        if not due:
            return
        messages = [Message(one.record, one.node, action, ttl=self._timeout) for one in due]
        keys = list(self._grid.push_messages(messages)) or [""] * len(due)
        for one, key in zip(due, keys, strict=True):
            if key:
                one.send(key)
            else:
                one.lose("is sent a message that Flower does not accept, maybe as too large")

    def _pull(self, questions: Iterable[_Question]) -> None:
        under_way = {key: one for one in questions for key in one.keys}
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
            activated = self._activated.get(one.node)
            if activated is None:
                one.is_away, one.trouble = True, "is not connected"
                one.restart(math.inf)
            elif one.is_away or activated != before.get(one.node, activated):
                one.is_away, one.trouble = False, ""
                one.restart(0.0)


def poll(done: Callable[[], bool], timeout: float) -> bool:
    """Call until true or the time is up; the pause grows with the waiting, to waste neither time nor work."""
    began = time.monotonic()
    while not done():
        waited = time.monotonic() - began
        if waited > timeout:
            return False
        time.sleep(min(0.25, max(0.002, waited / 40)))
    return True
