"""The exchange against grids that lose, refuse, delay and garble."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.proto.node_pb2 import NodeInfo

from experiments.backends.inline import InlineGrid
from experiments.joined import read_scores
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.handshake import DescribeRequest
from fl.splits import SplitRequest
from fl.wire import Envelope, pack, refusal
from server.coordinator import assign_roles, connect, train, train_reserve
from server.exchange import Exchange, FederationError, UnansweredError
from server.progress import ignore
from server.training import Training

LOST = (
    ErrorCode.MESSAGE_UNAVAILABLE,
    ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
    ErrorCode.NODE_UNAVAILABLE,
    ErrorCode.CLIENT_APP_CRASHED,
)


@pytest.fixture
def config(tables: Path, tmp_path: Path) -> TrainingConfig:
    config = TrainingConfig(
        data=str(tables),
        parties=("bank", "tax", "supply"),
        state=str(tmp_path / "state"),
        study="s",
        party_timeout=0.3,
    )
    network = NetworkConfig(batches=4, batch_size=64, evaluate_every=2, defence="none")
    return config.with_section(network).with_section(BoostingConfig(trees=2))


def scores_over(grid: InlineGrid, config: TrainingConfig) -> np.ndarray:
    federation = connect(grid, config, ignore)
    assigned = assign_roles(federation, 1)
    train_reserve(federation, assigned, 1, ignore)
    training = Training(
        contender="federated-network", seed=1, assigned=assigned, config=config, on_progress=ignore
    )
    train(federation, training)
    return read_scores(config, "bank", "federated-network", 1).log_odds


@pytest.mark.parametrize("code", LOST)
def test_a_lost_message_is_sent_again_and_nothing_is_applied_twice(
    config: TrainingConfig, tmp_path: Path, faulty: type, fault: type, code: int
) -> None:
    patient = replace(config, party_timeout=60.0)
    expected = scores_over(InlineGrid(patient), patient)
    again = replace(patient, state=str(tmp_path / "lossy"))
    arrives = code != ErrorCode.MESSAGE_UNAVAILABLE
    grid = faulty(again, lambda number, _: fault(arrives, code) if number % 3 == 0 else None)

    np.testing.assert_array_equal(scores_over(grid, again), expected)
    assert grid.sent > 30


def at(action: str, outcome: object, node: int | None = None) -> Callable[[int, Message], object]:
    """The same fault for each message of an action, to a node or to all."""

    def fault(_: int, message: Message) -> object:
        about = message.metadata
        return outcome if about.message_type == action and node in (None, about.dst_node_id) else None

    return fault


def test_what_is_lost_again_and_again_names_the_party(
    config: TrainingConfig, faulty: type, fault: type
) -> None:
    grid = faulty(config, at("train.splits_assign", fault(False, LOST[0])))
    federation = connect(grid, config, ignore)
    sent = grid.sent
    with pytest.raises(
        UnansweredError, match=r"Party bank did not answer train\.splits_assign within 0\.3 s"
    ):
        assign_roles(federation, 1)
    assert 2 < grid.sent - sent < 9  # at once, and then after pauses that grow


def test_a_party_that_fails_is_named_with_its_reason_and_not_asked_again(
    config: TrainingConfig, faulty: type, fault: type
) -> None:
    failure = fault(True, ErrorCode.CLIENT_APP_RAISED_EXCEPTION)
    grid = faulty(config, at("train.alignment_order", failure))
    with pytest.raises(
        FederationError, match=r"Party supply, tax, bank failed at train.alignment_order: lost\."
    ):
        connect(grid, config, ignore)
    assert grid.sent == 3 + 3 + 1 + 2 + 1 + 3


@pytest.mark.parametrize(("node", "name"), [(2, "bank"), (3, "tax"), (4, "supply")])
def test_a_silent_party_is_named_when_the_time_is_up(
    config: TrainingConfig, faulty: type, fault: type, node: int, name: str
) -> None:
    grid = faulty(config, at("train.alignment_order", fault(True, None), node))
    with pytest.raises(FederationError, match=rf"Party {name} did not answer .*_order within 0.3 seconds"):
        connect(grid, config, ignore)


class Scripted:
    """A grid of bare nodes which answer every message with the same record."""

    def __init__(
        self, reply: Callable[..., Message], answer: RecordDict | None, nodes: int = 1, accept: bool = True
    ) -> None:
        self._reply, self._answer, self._nodes, self._accept = reply, answer, nodes, accept
        self._replies: dict[str, Message] = {}

    def get_nodes(self) -> Iterable[NodeInfo]:
        return [NodeInfo(node_id=number) for number in range(2, 2 + self._nodes)]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        keys = [f"m{number}" if self._accept else "" for number, _ in enumerate(messages)]
        for key, message in zip(keys, messages, strict=True):
            self._replies[key] = self._reply(message, key, content=self._answer)
        return keys

    def pull_messages(self, ids: Iterable[str]) -> Iterable[Message]:
        return [self._replies.pop(key) for key in ids if key in self._replies]


@pytest.fixture
def scripted(config: TrainingConfig, reply: Callable[..., Message]) -> Callable[..., Exchange]:
    InlineGrid(config)  # Flower refuses to make messages outside a run
    return lambda *arguments, **more: Exchange(Scripted(reply, *arguments, **more), "s", 0.3)


def test_parties_that_may_be_absent_are_waited_for_and_then_done_without(config: TrainingConfig) -> None:
    exchange = Exchange(InlineGrid(config), "s", 5)
    described = exchange.connect("abcde", 0.1, least=1)
    assert list(described) == sorted(config.parties)
    with pytest.raises(FederationError, match=r"3 of 5 parties connected"):
        exchange.connect("abcde", 0.1, least=4)


def test_parties_that_do_not_come_are_counted(scripted: Callable[..., Exchange]) -> None:
    with pytest.raises(FederationError, match=r"1 of 3 parties connected within 0.1 .*num-supernodes=3"):
        scripted(None, nodes=1).connect("abc", timeout=0.1)


def test_what_flower_does_not_accept_is_said(scripted: Callable[..., Exchange]) -> None:
    with pytest.raises(
        FederationError, match=r"query\.handshake_describe .* Flower does not accept, maybe as"
    ):
        scripted(RecordDict(), accept=False).connect("a", timeout=1)


def test_a_refusal_names_the_party_and_quotes_it(scripted: Callable[..., Exchange]) -> None:
    with pytest.raises(FederationError, match=r"refused query.handshake_describe: no data\.$"):
        scripted(refusal("no data.")).connect("a", timeout=1)
    with pytest.raises(
        FederationError,
        match=r"node 2, which calls itself 'tax\?', refused query.handshake_describe: no data\.$",
    ):
        scripted(refusal("no data.", "tax\x1b")).connect("a", timeout=1)


@pytest.mark.parametrize(
    "answer",
    [
        RecordDict(),
        RecordDict({"x": ConfigRecord({"y": 1})}),
        pack(DescribeRequest(), Envelope("s")),
        pack(SplitRequest(1), Envelope("s")),
    ],
)
def test_a_reply_that_is_none_is_refused(scripted: Callable[..., Exchange], answer: RecordDict) -> None:
    with pytest.raises(
        FederationError, match=r"reply of party node 2 to query\.handshake_describe is malformed"
    ):
        scripted(answer).connect("a", timeout=1)


def test_two_parties_of_one_name_are_refused(config: TrainingConfig) -> None:
    twice = replace(config, parties=("bank", "./bank"))
    with pytest.raises(FederationError, match="Two parties call themselves 'bank'"):
        connect(InlineGrid(twice), twice, ignore)


@pytest.mark.parametrize("name", ["", "a\x1b[2J", "a\nb", "x" * 101])
def test_finding_9_a_party_is_called_by_one_short_line(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from clients import handshake

    describe = handshake.describe
    monkeypatch.setattr(handshake, "describe", lambda *asked: replace(describe(*asked), name=name))
    with pytest.raises(FederationError, match="a name is one short line of text"):
        connect(InlineGrid(config), config, ignore)


def test_nobody_asked_is_no_round_trip(scripted: Callable[..., Exchange]) -> None:
    exchange = scripted(None)
    assert exchange.ask({}) == {}
    assert exchange.costs.round_trips == 0


def test_costs_count_round_trips_and_bytes_both_ways(tables: Path, federate: Callable) -> None:
    exchange = federate(tables).federation.exchange
    before = exchange.costs
    assert before.round_trips == 6  # handshake and alignment
    assert min(before.bytes_up, before.bytes_down) > 3 * 32 * 400

    assigned = exchange.ask_holder(SplitRequest(1), "splits/1")

    spent = exchange.costs.since(before)
    assert spent.round_trips == 1
    letter = len(assigned.split.content)
    assert 400 <= letter <= spent.bytes_up < letter + 400
    assert 0 < spent.bytes_down < 200
    assert set(spent.cpu_by_action) == {"splits_assign", "coordinator"}
    assert 0 < spent.cpu_seconds == sum(spent.cpu_by_action.values())
    assert spent.to_mapping()["cpu_seconds.coordinator"] == spent.cpu_by_action["coordinator"]
