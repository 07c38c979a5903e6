"""The exchange against grids that lose, refuse, delay and garble."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.common.constant import ErrorCode

from experiments.backends.inline import InlineGrid
from experiments.joined import read_scores
from fl.config.network import NetworkConfig
from fl.config.run import RunConfig
from fl.messages import refusal
from fl.splits import Split, SplitRequest
from server.coordinator import assign_roles, connect, train
from server.exchange import Exchange, FederationError
from server.progress import ignore
from server.training import Training

LOST = ErrorCode.MESSAGE_UNAVAILABLE, ErrorCode.REPLY_MESSAGE_UNAVAILABLE, ErrorCode.NODE_UNAVAILABLE


@pytest.fixture
def config(tables: Path, tmp_path: Path) -> RunConfig:
    return RunConfig(
        data=str(tables),
        parties="bank,tax,supply",
        state=str(tmp_path / "state"),
        study="s",
        timeout=0.3,
        network=NetworkConfig(batches=4, batch_size=64, evaluate_every=2, defence="none"),
    )


class Unreliable(InlineGrid):
    """Loses what it is told to: a request before it arrives, or a reply on its way back."""

    def __init__(self, config: RunConfig, lose: Callable[[int, Message], int | None]) -> None:
        super().__init__(config)
        self.sent = 0
        self._lose = lose

    def _deliver(self, message: Message) -> str:
        self.sent += 1
        code = self._lose(self.sent, message)
        if code == ErrorCode.MESSAGE_UNAVAILABLE:
            key = f"lost-{self.sent}"
            message.metadata.__dict__["_message_id"] = key
            self._replies[key] = Message(Error(code, "lost"), reply_to=message)
            return key
        key = super()._deliver(message)
        if code is not None:
            message.metadata.__dict__["_message_id"] = key
            self._replies[key] = Message(Error(code, "lost"), reply_to=message)
        return key


def scores_over(grid: InlineGrid, config: RunConfig) -> np.ndarray:
    federation = connect(grid, config, ignore)
    roles = assign_roles(federation, 1)
    train(federation, Training("federated-network", 1, roles, config, ignore))
    return read_scores(config, "bank", "federated-network", 1)


@pytest.mark.parametrize("code", LOST)
def test_a_lost_message_is_sent_again_and_nothing_is_applied_twice(
    config: RunConfig, tmp_path: Path, code: int
) -> None:
    expected = scores_over(InlineGrid(config), config)
    again = replace(config, state=str(tmp_path / "lossy"))
    grid = Unreliable(again, lambda number, _: code if number % 3 == 0 else None)

    np.testing.assert_array_equal(scores_over(grid, again), expected)
    assert grid.sent > 30


def test_what_is_lost_again_and_again_names_the_party(config: RunConfig) -> None:
    def lose(_: int, message: Message) -> int | None:
        return LOST[0] if message.metadata.message_type == "train.splits_assign" else None

    federation = connect(Unreliable(config, lose), config, ignore)
    with pytest.raises(FederationError, match=r"Party bank did not get train\.splits_assign in 3 attempts"):
        assign_roles(federation, 1)


def test_a_party_that_fails_is_named_with_its_reason_and_not_asked_again(config: RunConfig) -> None:
    def fail(_: int, message: Message) -> int | None:
        kind = message.metadata.message_type
        return ErrorCode.CLIENT_APP_RAISED_EXCEPTION if kind == "train.alignment_blind" else None

    grid = Unreliable(config, fail)
    with pytest.raises(
        FederationError, match=r"Party bank, supply, tax failed at train.alignment_blind: lost\."
    ):
        connect(grid, config, ignore)
    assert grid.sent == 6


class Silent(InlineGrid):
    """A grid on which the replies to some actions never come."""

    def __init__(self, config: RunConfig, node: int, action: str) -> None:
        super().__init__(config)
        self._mute = node, action

    def _deliver(self, message: Message) -> str:
        key = super()._deliver(message)
        if (message.metadata.dst_node_id, message.metadata.message_type) == self._mute:
            del self._replies[key]
        return key


@pytest.mark.parametrize(("node", "name"), [(2, "bank"), (3, "tax"), (4, "supply")])
def test_a_silent_party_is_named_when_the_time_is_up(config: RunConfig, node: int, name: str) -> None:
    with pytest.raises(FederationError, match=rf"Party {name} did not answer .*_blind within 0.3 seconds"):
        connect(Silent(config, node, "train.alignment_blind"), config, ignore)


class Scripted:
    """A grid of bare nodes which answer every message with the same record."""

    def __init__(self, answer: RecordDict | None, nodes: int = 1, accept: bool = True) -> None:
        self._answer, self._nodes, self._accept = answer, nodes, accept
        self._replies: dict[str, Message] = {}

    def get_node_ids(self) -> Iterable[int]:
        return range(2, 2 + self._nodes)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        keys = []
        for number, message in enumerate(messages):
            key = f"m{number}" if self._accept else ""
            message.metadata.__dict__["_message_id"] = key
            self._replies[key] = Message(self._answer, reply_to=message)
            keys.append(key)
        return keys

    def pull_messages(self, ids: Iterable[str]) -> Iterable[Message]:
        return [self._replies.pop(key) for key in ids if key in self._replies]


@pytest.fixture
def scripted(config: RunConfig) -> Callable[..., Exchange]:
    InlineGrid(config)  # Flower refuses to make messages outside a run
    return lambda *arguments, **more: Exchange(Scripted(*arguments, **more), "s", 0.3)


def test_parties_that_may_be_absent_are_waited_for_and_then_done_without(config: RunConfig) -> None:
    exchange = Exchange(InlineGrid(config), "s", 5)
    found = exchange.connect(5, 0.1, least=1)
    assert sorted(found) == sorted(config.party_names)
    with pytest.raises(FederationError, match=r"3 of 5 parties connected"):
        exchange.connect(5, 0.1, least=4)


def test_parties_that_do_not_come_are_counted(scripted: Callable[..., Exchange]) -> None:
    with pytest.raises(FederationError, match=r"1 of 3 parties connected within 0.1 .*num-supernodes=3"):
        scripted(None, nodes=1).connect(3, timeout=0.1)


def test_what_flower_does_not_accept_is_said(scripted: Callable[..., Exchange]) -> None:
    with pytest.raises(FederationError, match=r"did not accept the messages of query\.handshake"):
        scripted(RecordDict(), accept=False).connect(1, timeout=1)


def test_a_refusal_names_the_party_and_quotes_it(scripted: Callable[..., Exchange]) -> None:
    with pytest.raises(FederationError, match=r"refused query.handshake_describe: no data\.$"):
        scripted(refusal("no data.")).connect(1, timeout=1)


def test_a_reply_that_is_none_is_refused(scripted: Callable[..., Exchange]) -> None:
    with pytest.raises(
        FederationError, match=r"reply of party node 2 to query\.handshake_describe is malformed"
    ):
        scripted(RecordDict({"x": ConfigRecord({"y": 1})})).connect(1, timeout=1)


def test_two_parties_of_one_name_are_refused(tables: Path, config: RunConfig) -> None:
    grid = InlineGrid(replace(config, parties="bank,tax"))
    grid._contexts[3].node_config["partition-id"] = 0
    with pytest.raises(FederationError, match="Two parties call themselves 'bank'"):
        connect(grid, config=replace(config, parties="bank,tax"), on_progress=ignore)


def test_costs_count_round_trips_and_bytes_both_ways(tables: Path, federate: Callable) -> None:
    exchange = federate(tables).federation.exchange
    before = exchange.costs
    assert before.round_trips == 5  # handshake and alignment
    assert min(before.bytes_up, before.bytes_down) > 3 * 32 * 400

    roles = exchange.ask("train.splits_assign", {"bank": SplitRequest(1)}, Split, "splits/1")["bank"].roles

    spent = exchange.costs.since(before)
    assert spent.round_trips == 1
    assert len(roles) <= spent.bytes_up < len(roles) + 400
    assert 0 < spent.bytes_down < 200
    assert set(spent.cpu_by_action) == {"train.splits_assign", "coordinator"}
    assert 0 < spent.cpu_seconds == sum(spent.cpu_by_action.values())
    assert spent.to_mapping()["cpu_seconds.coordinator"] == spent.cpu_by_action["coordinator"]
