"""What happens to a request at a party: the order that it must keep, and what is remembered."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import RecordDict

from clients.store import Store
from fl.alignment import (
    BlindRequest,
    BothPoints,
    MatchRequest,
    MeetRequest,
    Order,
    OrderRequest,
)
from fl.config.run import TrainingConfig
from fl.handshake import DescribeRequest
from fl.messages import Letter
from fl.reserve import TrainRequest
from fl.scoring import AnswerRequest
from fl.splits import Split, SplitRequest
from fl.wire import Envelope, envelope_of, refusal_in, to_bytes
from tests.full_disk import full_disk

FIRST, SECOND, THIRD = (Envelope("s", "", step) for step in (1, 2, 3))
Send = Callable[..., RecordDict]
Meet = Callable[[TrainingConfig], None]


def ordered() -> OrderRequest:
    """An order that no party can follow."""
    return OrderRequest(Letter.of(Order(np.empty(0, np.int32), np.empty(0, np.int32))))


def matched() -> MatchRequest:
    return MatchRequest(mode="left", points={})


def store(config: TrainingConfig, party: str = "bank") -> Store:
    return Store(Path(config.state, party, "s"))


def test_a_reply_repeats_the_envelope_and_tells_its_cost(
    send: Send, meet: Meet, config: TrainingConfig
) -> None:
    meet(config)
    envelope = envelope_of(send(config, BlindRequest(), SECOND))
    assert replace(envelope, cpu_seconds=0.0) == SECOND
    assert envelope.cpu_seconds > 0


@pytest.mark.parametrize("room", [0, 10_000])  # for nothing, and for the audit trail alone
def test_a_full_disk_is_told_and_the_same_request_may_come_again(
    room: int, send: Send, meet: Meet, config: TrainingConfig
) -> None:
    meet(config)
    with full_disk(room):
        refused = refusal_in(send(config, BlindRequest(), SECOND))
    assert refused == "its disk is full; its people must make room there"
    assert not list(Path(config.state).rglob("*.partial"))
    assert refusal_in(send(config, BlindRequest(), SECOND)) is None


# Order.


@pytest.mark.parametrize("in_another_process", [False, True])
def test_a_request_that_comes_twice_is_answered_from_the_store(
    send: Send,
    meet: Meet,
    config: TrainingConfig,
    as_found_anew: Callable[[Path], Path],
    in_another_process: bool,
) -> None:
    meet(config)
    # Applied twice, it would draw another exponent and give other points.
    first = send(config, BlindRequest(), SECOND, sealed=True)
    kept = store(config).last()
    if in_another_process:
        config = replace(config, state=str(as_found_anew(Path(config.state))))

    second = send(config, BlindRequest(), SECOND, sealed=True)

    assert to_bytes(second) == to_bytes(first)
    assert store(config).last() == kept


def test_a_step_is_answered_to_one_request_only(send: Send, meet: Meet, config: TrainingConfig) -> None:
    meet(config)
    send(config, BlindRequest(), SECOND)
    send(config, matched(), THIRD)
    kept = store(config).last()

    other = replace(matched(), mode="inner" if matched().mode == "left" else "left")
    refused = refusal_in(send(config, other, THIRD))

    assert refused == "step 3 of s/ was asked before, with another request"
    assert store(config).last() == kept


@pytest.mark.parametrize("step", [2, 5])
def test_a_request_that_skips_a_step_is_refused(send: Send, config: TrainingConfig, step: int) -> None:
    refused = refusal_in(send(config, BlindRequest(), Envelope("s", "", step)))
    assert refused == f"step {step} of s/ does not follow its last step 0"
    assert store(config).last().step == 0


def test_a_step_is_not_repeated_with_another_action(send: Send, meet: Meet, config: TrainingConfig) -> None:
    meet(config)
    send(config, BlindRequest(), SECOND)
    assert refusal_in(send(config, matched(), SECOND)) == "step 2 of s/ does not follow its last step 2"


@pytest.mark.parametrize(
    ("before", "request_", "refused"),
    [
        ((), ordered(), "alignment_order comes after raise_points or match, and the last was meet"),
        (
            (BlindRequest(),),
            ordered(),
            "alignment_order comes after raise_points or match, and the last was blind",
        ),
        ((BlindRequest(),), BlindRequest(), "alignment_blind comes after meet, and the last was blind"),
        ((), MeetRequest({}), "alignment_meet comes first, and the last was meet"),
        ((), matched(), "alignment_match comes after blind, and the last was meet"),
        ((BlindRequest(),), SplitRequest(1), "this state belongs to the conversation alignment"),
    ],
    ids=str,
)
def test_a_request_out_of_the_declared_order_is_refused_in_one_sentence(
    send: Send, meet: Meet, config: TrainingConfig, before: tuple, request_: object, refused: str
) -> None:
    meet(config)
    for step, earlier in enumerate(before, start=2):
        assert refusal_in(send(config, earlier, Envelope("s", "", step))) is None
    last = store(config).last()

    record = send(config, request_, Envelope("s", "", len(before) + 2))

    assert refusal_in(record) == refused
    assert store(config).last() == last


@pytest.mark.parametrize(
    ("request_", "refused"),
    [
        (BlindRequest(), "alignment_blind comes after meet, and nothing has come"),
        (ordered(), "alignment_order comes after raise_points or match, and nothing has come"),
        (matched(), "alignment_match comes after blind, and nothing has come"),
        (AnswerRequest({}), "scoring_answer comes after prepare, and nothing has come"),
    ],
    ids=str,
)
def test_no_other_request_begins_a_study(
    send: Send, config: TrainingConfig, request_: object, refused: str
) -> None:
    assert refusal_in(send(config, request_, FIRST)) == refused
    assert store(config).last().step == 0


def test_a_request_of_another_conversation_than_the_stores_is_refused_though_it_comes_first_in_its_own(
    federate: Callable, send: Send, tables: Path
) -> None:
    config = federate(tables).config
    assert refusal_in(send(config, SplitRequest(1), Envelope("s", "splits/1", 1))) is None
    train = TrainRequest(1, Letter.of(Split(np.zeros(400, np.int8))))
    refused = refusal_in(send(config, train, Envelope("s", "splits/1", 2)))
    assert refused == "this state belongs to the conversation splits"


def test_a_model_is_trained_under_the_settings_of_its_first_step(
    federate: Callable, send: Send, tables: Path
) -> None:
    config = federate(tables).config
    changed = replace(config, keep_studies=9)
    assert refusal_in(send(config, SplitRequest(1), Envelope("s", "splits/1", 1))) is None
    refused = refusal_in(send(changed, SplitRequest(1), Envelope("s", "splits/1", 2)))
    assert refused == "the settings of this run have changed since step 1 of s/splits/1"
    # An experiment aligns once and then trains models under several settings.
    assert refusal_in(send(changed, SplitRequest(2), Envelope("s", "splits/2", 1))) is None


def test_a_refused_request_changes_nothing(send: Send, meet: Meet, config: TrainingConfig) -> None:
    meet(config)
    send(config, BlindRequest(), SECOND)
    before = store(config).last()
    damaged = BothPoints(raised=np.zeros((400, 32), np.uint8), blinded=np.zeros((3, 32), np.uint8))

    record = send(config, MatchRequest(mode="left", points={"tax": Letter.of(damaged)}), THIRD)

    assert "no point of the group" in refusal_in(record)
    assert store(config).last() == before


def test_a_request_that_goes_to_another_action_than_its_own_is_refused(
    send: Send, meet: Meet, config: TrainingConfig
) -> None:
    meet(config)
    record = send(config, DescribeRequest(), SECOND, to="train.alignment_blind")
    assert refusal_in(record) == "a message must be a BlindRequest, not a DescribeRequest"
    assert store(config).last().step == 1


def test_a_query_leaves_nothing_but_the_party_s_identity_and_its_audit_trail(
    send: Send, config: TrainingConfig
) -> None:
    send(config, DescribeRequest())
    kept = {path.name for path in Path(config.state, "bank").iterdir()}
    assert kept == {"identity.pem", "audit.log", "audit.head"}
