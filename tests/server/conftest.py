"""A grid on which messages are lost, for tests of what the coordinator does about it."""

import time
import uuid
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pytest
from flwr.app import Error, Message, Metadata
from flwr.app.message import make_message

from experiments.backends.inline import InlineGrid
from fl.config.run import RunConfig


class Fault(NamedTuple):
    """What goes wrong with a message: whether the party got it, and the error that comes back instead of a reply."""

    arrives: bool
    error: int | None


class FaultyGrid(InlineGrid):
    """A grid in this process that asks of each message, by its number from 1, what goes wrong with it."""

    def __init__(self, config: RunConfig, fault: Callable[[int, Message], Fault | None]) -> None:
        super().__init__(config)
        self.sent = 0
        self._fault = fault
        self._errors: dict[str, Message] = {}

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Deliver those messages that arrive."""
        return [self._push(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The replies that come back, and the errors in place of others."""
        errors = [self._errors.pop(key) for key in message_ids if key in self._errors]
        return [*errors, *super().pull_messages(message_ids)]

    def _push(self, message: Message) -> str:
        self.sent += 1
        fault = self._fault(self.sent, message)
        if fault is None:
            (key,) = super().push_messages([message])
            return key
        if fault.arrives:
            list(super().pull_messages(super().push_messages([message])))
        key = str(uuid.uuid4())
        if fault.error is not None:
            self._errors[key] = replied(message, key, error=Error(fault.error, "lost"))
        return key


def replied(message: Message, key: str, **content: object) -> Message:
    """What Flower gives back for a message that it has accepted under this key: a reply's content, or an error."""
    about = message.metadata
    metadata = Metadata(
        1, str(uuid.uuid4()), about.dst_node_id, 1, key, "", time.time(), 60.0, about.message_type
    )
    return make_message(metadata, **content)


@pytest.fixture
def faulty() -> type[FaultyGrid]:
    return FaultyGrid


@pytest.fixture
def fault() -> type[Fault]:
    return Fault


@pytest.fixture
def reply() -> Callable[..., Message]:
    return replied
