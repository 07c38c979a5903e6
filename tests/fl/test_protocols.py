"""The list of conversations, and what both halves of each must offer."""

import inspect
from collections import Counter
from dataclasses import is_dataclass
from types import ModuleType
from typing import Any, get_args, get_type_hints

import pytest

from clients.scoring import Scorer, Trained
from fl import protocols
from fl.banks.grid import Schema
from fl.banks.programs import PROGRAMS, program_of
from fl.blend import BLEND
from fl.config.run import TrainingConfig, sections
from fl.errors import ConfigError, ProtocolError
from fl.messages import declaration_of
from fl.protocols import CONVERSATIONS, Conversation
from fl.splits import SplitRequest
from server.training import Trainer

ACTIONS = [
    pytest.param(conversation, kind, id=f"{conversation.name}-{declaration_of(kind).action}")
    for conversation, kind in protocols.actions()
]
TRAINING = [
    pytest.param(conversation, id=conversation.name)
    for conversation in CONVERSATIONS
    if conversation.contenders
]


def actions_of(conversation: Conversation) -> list[str]:
    return [declaration_of(kind).action for kind in conversation.requests]


@pytest.mark.parametrize(("conversation", "kind"), ACTIONS)
def test_every_action_has_a_function_of_its_name_and_types_at_the_parties(
    conversation: Conversation, kind: type
) -> None:
    declaration = declaration_of(kind)
    function = getattr(conversation.half("clients"), declaration.action)
    hints = get_type_hints(function)
    assert list(inspect.signature(function).parameters) == ["session", "request"]
    assert hints["request"] is kind
    assert set(get_args(hints["return"]) or (hints["return"],)) == set(declaration.replies)
    assert inspect.getdoc(function)


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation.name)
def test_every_request_follows_one_of_the_same_conversation_from_the_first_on(
    conversation: Conversation,
) -> None:
    declarations = [declaration_of(kind) for kind in conversation.requests]
    assert {name for one in declarations for name in one.after} <= set(actions_of(conversation))
    assert not any(one.after for one in declarations if one.is_query)
    reached = {one.action for one in declarations if not one.after}
    assert reached
    for _ in declarations:
        reached |= {one.action for one in declarations if reached & set(one.after)}
    assert reached == set(actions_of(conversation))


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation.name)
def test_the_messages_of_a_conversation_differ_in_action_and_in_kind(conversation: Conversation) -> None:
    messages = {
        *conversation.requests,
        *(r for k in conversation.requests for r in declaration_of(k).replies),
    }
    for names in (actions_of(conversation), [kind.__name__ for kind in messages]):
        assert [name for name, count in Counter(names).items() if count > 1] == []


def test_names_are_given_once() -> None:
    contenders = [name for conversation in CONVERSATIONS for name in conversation.contenders]
    types = [protocols.message_type(kind) for _, kind in protocols.actions()]
    settings = [conversation.settings for conversation in CONVERSATIONS if conversation.settings]
    for names in ([conversation.name for conversation in CONVERSATIONS], contenders, types, settings):
        assert len(set(names)) == len(names)
    assert list(protocols.federated_contenders()) == contenders


def assert_satisfies(module: ModuleType, protocol: type) -> None:
    """Raises AssertionError unless a module offers what a typed protocol names, under the same parameters."""
    for name, hint in get_type_hints(protocol).items():
        assert isinstance(getattr(module, name), hint)
    for name, function in inspect.getmembers(protocol, inspect.isfunction):
        if name.startswith("_"):
            continue
        wanted = [parameter for parameter in inspect.signature(function).parameters if parameter != "self"]
        assert list(inspect.signature(getattr(module, name)).parameters) == wanted, (
            f"{module.__name__}.{name}"
        )


@pytest.mark.parametrize("conversation", TRAINING)
def test_the_parties_half_can_score(conversation: Conversation) -> None:
    half = conversation.half("clients")
    if conversation.name == BLEND:  # of which the members score
        return assert_satisfies(half, Trained)
    assert_satisfies(half, Scorer)
    # It says of what kind a party's contribution is, since the bank reads it by that.
    contribution: Any = half.contribution
    assert is_dataclass(get_type_hints(contribution)["return"])


@pytest.mark.parametrize("conversation", TRAINING)
def test_the_coordinators_half_can_train(conversation: Conversation) -> None:
    assert_satisfies(conversation.half("server"), Trainer)


def test_conversations_are_found_by_contender_and_by_version() -> None:
    for conversation in CONVERSATIONS:
        assert protocols.announced(conversation.announced) is conversation
        for contender in conversation.contenders:
            assert protocols.conversation_of(contender) is conversation
    together = {c.name for c in CONVERSATIONS if c.contenders and protocols.VERTICAL not in c.layouts}
    assert together == {"banks", "hybrid", "hybrid_scorecard"}
    assert {c.name for c in protocols.essential()} | set(protocols.algorithms()) | together == {
        c.name for c in CONVERSATIONS
    }


def test_every_contender_of_several_banks_has_a_program() -> None:
    assert protocols.announced("banks/1").contenders == tuple(PROGRAMS)
    for name, listed in PROGRAMS.items():
        program = program_of(name, TrainingConfig(), 1, Schema((), (), (), ()))
        assert type(program).__name__ == listed.name
        assert listed.module.rpartition(".")[2] in name


def test_sections_are_those_of_conversations() -> None:
    assert set(sections()) == {c.name for c in CONVERSATIONS if c.settings}


def test_a_name_that_nothing_has_is_refused() -> None:
    with pytest.raises(ConfigError, match="no federated contender 'dreams'; there are federated-boosting, "):
        protocols.conversation_of("dreams")
    for version in ("boosting", "boosting/0", "dreams/1", "x" * 1_000):
        with pytest.raises(ProtocolError, match=r"there is no conversation '.{1,100}'$"):
            protocols.announced(version)


def test_a_message_type_names_kind_conversation_and_action() -> None:
    assert protocols.message_type(SplitRequest) == "train.splits_assign"
    with pytest.raises(ProtocolError, match="Undeclared is no request of any conversation"):
        protocols.message_type(type("Undeclared", (), {}))


@pytest.mark.parametrize(("conversation", "kind"), ACTIONS)
def test_a_message_type_leads_back_to_its_request(conversation: Conversation, kind: type) -> None:
    assert protocols.request_of(protocols.message_type(kind)) == (conversation, kind)


@pytest.mark.parametrize(
    "unknown", ["query.splits_assign", "train.splits_", "train", "train.dreams_assign", "x" * 500]
)
def test_a_message_type_of_no_request_is_refused(unknown: str) -> None:
    with pytest.raises(ProtocolError, match=r"there is no request '.{1,100}'$"):
        protocols.request_of(unknown)
