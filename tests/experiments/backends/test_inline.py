from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from experiments.backends.inline import InlineGrid
from fl.config.run import TrainingConfig
from fl.handshake import DescribeRequest
from fl.splits import SplitRequest
from fl.wire import Envelope, pack

PARTIES = TrainingConfig(parties=("bank", "tax"))


def message(action: str, node: int = 2) -> Message:
    return Message(pack(DescribeRequest(), Envelope()), node, action)


@pytest.fixture
def echo() -> ClientApp:
    app = ClientApp()

    @app.query("echo")
    def echo(message: Message, context: Context) -> Message:
        return Message(message.content, reply_to=message)

    @app.query("fail")
    def fail(message: Message, context: Context) -> Message:
        raise ValueError(f"partition {context.node_config['partition-id']} fails")

    return app


def test_there_is_a_node_for_every_party(echo: ClientApp) -> None:
    config = TrainingConfig(parties=("a", "b", "c", "d", "e"))
    assert len(list(InlineGrid(config, echo).get_node_ids())) == 5


def test_a_reply_answers_its_message_and_is_pulled_once(echo: ClientApp) -> None:
    grid = InlineGrid(PARTIES, echo)

    ids = list(grid.push_messages([message("query.echo"), message("query.echo", 3)]))
    replies = list(grid.pull_messages(ids))

    assert [reply.metadata.reply_to_message_id for reply in replies] == ids
    assert [reply.metadata.src_node_id for reply in replies] == [2, 3]
    assert list(grid.pull_messages(ids)) == []


def test_what_a_party_raises_is_an_error_reply(echo: ClientApp) -> None:
    grid = InlineGrid(PARTIES, echo)
    (reply,) = grid.send_and_receive([message("query.fail", 3)])
    assert reply.has_error()
    assert "partition 1 fails" in reply.error.reason


def test_no_party_holds_an_array_of_another() -> None:
    seen: list[np.ndarray] = []
    app = ClientApp()

    @app.query("keep")
    def keep(message: Message, context: Context) -> Message:
        seen.append(message.content["arrays"]["roles"].numpy())
        return Message(message.content, reply_to=message)

    grid, sent = InlineGrid(PARTIES, app), np.zeros(3, np.int8)
    content = RecordDict({"arrays": ArrayRecord({"roles": Array(sent)})})
    (reply,) = grid.send_and_receive([Message(content, 2, "query.keep")])
    seen[0][:] = 1

    np.testing.assert_array_equal(sent, np.zeros(3))
    np.testing.assert_array_equal(reply.content["arrays"]["roles"].numpy(), np.zeros(3))


def test_what_cannot_travel_fails_here_too() -> None:
    app = ClientApp()

    @app.query("odd")
    def odd(message: Message, context: Context) -> Message:
        record = RecordDict()
        record["x"] = object()
        return Message(record, reply_to=message)

    with pytest.raises((TypeError, ValueError)):
        InlineGrid(PARTIES, app)._app(message("query.odd"), Context(1, 2, {}, RecordDict(), {}))
    (reply,) = InlineGrid(PARTIES, app).send_and_receive([message("query.odd")])
    assert reply.has_error()


def test_parties_answer_over_it(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    (reply,) = run.grid.send_and_receive(
        [Message(pack(SplitRequest(1), Envelope("s", "splits/1", 1)), 2, "train.splits_assign")]
    )
    assert reply.has_content()
