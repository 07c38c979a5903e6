"""The tasks of a SuperNode, as the one module that speaks Flower's internal Runtime API to it.

These internals may change with any minor version of Flower, so `clients/worker.py` imports this module only under the
version that it was written for.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.common.constant import SubStatus
from flwr.common.serde import context_from_proto
from flwr.proto.node_pb2 import Node
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullAppMessagesRequest,
    PullTaskInputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.supercore.constant import TaskType
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_confirm_message_received_fn_protobuf,
    make_pull_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import ObjectPullError, pull_and_inflate_object_from_tree
from flwr.supercore.interceptors import (
    RuntimeTokenHttpInterceptor,
    RuntimeVersionHttpInterceptor,
    SuperExecAuthHttpInterceptor,
)
from flwr.supercore.protobuf.client import ProtobufClientInterceptor
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode.runtime.run_clientapp import push_message, push_task_output

_PART_SECONDS = 0.05
"""First pause before a part of a message is asked for again that the SuperNode has not got yet; by default a second."""


class Forgotten(RuntimeError):
    """A task that has no message any more."""


class Tasks:
    """The tasks of one SuperNode, whose Runtime API is at `address` and shares `secret` with its worker.

    on_life is called whenever the SuperNode has answered.
    """

    def __init__(self, address: str, secret: bytes, app: ClientApp, on_life: Callable[[], object]) -> None:
        self._address, self._app, self._on_life = address, app, on_life
        self._client = self._connected(
            SuperExecAuthHttpInterceptor(
                master_secret=secret, protected_methods=frozenset({"/flwr.proto.Runtime/AcquireTask"})
            )
        )

    def acquire(self) -> str:
        """The token of a task that waits for an answer, or nothing. Raises httpx.HTTPError without a SuperNode."""
        token = self._client.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.CLIENT_APP])).token
        self._on_life()
        return str(token)

    def answer(self, token: str) -> None:
        """Answer the message of a task by the app.

        Raises Forgotten when the SuperNode no longer has the message: the run has ended. Any other error leaves a
        SuperNode behind that may wait for the rest of a reply without end.
        """
        with self._connected(RuntimeTokenHttpInterceptor(token)) as client, self._beating(client):
            try:
                message, context = _pull(client)
            except (httpx.HTTPStatusError, ObjectPullError) as error:
                raise Forgotten(str(error)) from None
            push_message(client, self._app(message, context), context)
            push_task_output(client, context, SubStatus.COMPLETED, "")

    def _connected(self, interceptor: ProtobufClientInterceptor) -> RuntimeHttpClient:
        version = RuntimeVersionHttpInterceptor(component_name="flwr-clientapp")
        return RuntimeHttpClient.from_server_address(
            self._address, insecure=True, root_certificates=None, interceptors=[version, interceptor]
        )

    @contextmanager
    def _beating(self, client: RuntimeHttpClient) -> Iterator[None]:
        """Tell the SuperNode meanwhile that the task is being worked on: it gives up a task that is silent for 60 s."""

        def beat() -> bool:
            try:
                client.SendTaskHeartbeat(SendTaskHeartbeatRequest())
            except httpx.HTTPError:
                return False
            self._on_life()
            return True

        sender = HeartbeatSender(beat)
        sender.start()
        try:
            yield
        finally:
            sender.stop()


def _pull(client: RuntimeHttpClient) -> tuple[Message, Context]:
    """The message of a task and its context. What else the SuperNode gives, the bundle, is not looked at."""
    given = client.PullTaskInput(PullTaskInputRequest())
    context = context_from_proto(given.context)
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = (
        given.task_id,
        context.run_id,
        context.node_id,
    )
    (tree,) = client.PullMessages(PullAppMessagesRequest()).message_object_trees
    node = Node(node_id=context.node_id)
    message = pull_and_inflate_object_from_tree(
        tree,
        make_pull_object_fn_protobuf(client.PullObject, node, context.run_id),
        make_confirm_message_received_fn_protobuf(client.ConfirmMessageReceived, node, context.run_id),
        return_type=Message,
        initial_backoff=_PART_SECONDS,
    )
    message.metadata.__dict__["_message_id"] = tree.object_id
    return message, context
