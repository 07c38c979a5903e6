"""One message to one party, as a coordinator would send it."""

from collections.abc import Callable

import pytest
from flwr.app import Context, Message, RecordDict

from fl.config.run import RunConfig
from fl.protocols import message_type
from fl.wire import Envelope, pack


@pytest.fixture
def send() -> Callable[..., RecordDict]:
    """Sends a request to the party of a partition, or to the one that is deployed in a folder."""
    from clients.app import app
    from experiments.backends.inline import InlineGrid

    def deliver(config: RunConfig, body: object, envelope: Envelope, node: dict | None = None) -> RecordDict:
        InlineGrid(config)  # Flower refuses to make messages outside a run
        node = node if node is not None else {"partition-id": 0}
        context = Context(1, 2, node, RecordDict(), dict(config.to_mapping()))
        return app(Message(pack(body, envelope), 2, message_type(type(body))), context).content

    return deliver
