"""Both Flower apps in one process, on a grid of our own: for tests and sweeps, a few milliseconds per round trip.

The messages are the same as under the other backend: each is turned into its bytes and back on both ways, so that no
party ever holds an array of another, and what could not travel fails here too.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from clients.app import PartyApp
from fl.config.run import RunConfig
from fl.wire import from_bytes, to_bytes
from server.app import conduct
from server.progress import Report

_COORDINATOR = 1


@contextmanager
def opened(parties: int) -> Iterator[Callable[[RunConfig, Report], None]]:
    """Gives a function that runs configurations to their end in this process."""
    yield lambda config, report: conduct(InlineGrid(config), config, report)


class InlineGrid(Grid):
    """A grid whose nodes answer at once, in this process; node k + 2 is the k-th party of the configuration."""

    def __init__(self, config: RunConfig, app: ClientApp | None = None) -> None:
        # Flower stamps these on every message; in its own engines the process start-up sets them.
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, _COORDINATOR
        self._app = app or PartyApp()
        self._run = Run.create_empty(run_id=1)
        self._replies: dict[str, Message] = {}
        self._contexts = {
            node: Context(1, node, {"partition-id": node - 2}, RecordDict(), {**config.to_mapping()})
            for node in range(2, 2 + len(config.parties))
        }

    def set_run(self, run: Run) -> None:
        """Take the run's description (Flower's interface)."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run's description (Flower's interface)."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """A message (Flower's older interface)."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """The nodes, one per party."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Deliver messages; their replies are ready when this returns."""
        return [self._deliver(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The replies to these messages, each only once."""
        return [self._replies.pop(key) for key in message_ids if key in self._replies]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Deliver messages and return the replies."""
        return self.pull_messages(self.push_messages(messages))

    def _deliver(self, message: Message) -> str:
        key = str(uuid.uuid4())
        arriving = Message(
            from_bytes(to_bytes(message.content)), message.metadata.dst_node_id, message.metadata.message_type
        )
        arriving.metadata.__dict__["_message_id"] = key
        try:
            reply = self._app(arriving, self._contexts[message.metadata.dst_node_id])
            self._replies[key] = Message(from_bytes(to_bytes(reply.content)), reply_to=arriving)
        except Exception as error:  # as Flower's engines do: whatever a party raises becomes an error reply
            reason = f"{type(error).__name__}: {error}"
            self._replies[key] = Message(
                Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=arriving
            )
        return key
