"""What a message says of itself where it is defined."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest

from fl import protocols
from fl.errors import ProtocolError
from fl.messages import (
    Content,
    Count,
    Declaration,
    Field,
    Letter,
    PerRow,
    Reader,
    Request,
    Setting,
    ToLabelHolder,
    ToParties,
    ToPassive,
    declaration_of,
    fields_of,
    request,
)
from fl.records import decode, encode


@dataclass(frozen=True)
class Points:
    """What a letter says."""

    points: PerRow


@dataclass(frozen=True)
class Done:
    """A reply that says nothing."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """A reply with a field of every kind."""

    count: Count
    names: Setting[tuple[str, ...]]
    counts: Mapping[str, Count]
    letter: ToPassive[Points]
    perhaps: ToParties[Points] | None
    letters: Mapping[str, ToLabelHolder[Points]]
    part: Points
    opaque: Annotated[Letter[Any], Reader.LABEL_HOLDER, Content.PER_ROW]


@request("begin")
@dataclass(frozen=True)
class BeginRequest(Request[Told]):
    """The first request."""


@request("end", to=Reader.LABEL_HOLDER, after=("begin", "end"))
@dataclass(frozen=True)
class EndRequest(Request[Done | Told]):
    """A request with two possible replies."""


@request("look", query=True)
@dataclass(frozen=True)
class LookRequest(Request[Done]):
    """A query."""


@pytest.mark.parametrize(
    ("kind", "declaration"),
    [
        (BeginRequest, Declaration("begin", Reader.PARTIES, (), False, (Told,))),
        (EndRequest, Declaration("end", Reader.LABEL_HOLDER, ("begin", "end"), False, (Done, Told))),
        (LookRequest, Declaration("look", Reader.PARTIES, (), True, (Done,))),
    ],
)
def test_a_request_declares_its_action_its_order_and_its_replies(
    kind: type, declaration: Declaration
) -> None:
    assert declaration_of(kind) == declaration


class Inherited(BeginRequest):
    """It declares nothing of its own."""


@pytest.mark.parametrize("kind", [Done, Request, Inherited])
def test_what_declares_nothing_is_no_request(kind: type) -> None:
    with pytest.raises(TypeError, match=f"{kind.__name__} is no declared request"):
        declaration_of(kind)


def test_a_message_says_what_each_of_its_fields_holds_and_who_reads_its_letters() -> None:
    assert list(fields_of(Told)) == [
        Field("count", Content.COUNT, Told, None),
        Field("names", Content.SETTING, Told, None),
        Field("counts", Content.COUNT, Told, None),
        Field("letter.points", Content.PER_ROW, Points, Reader.PASSIVE),
        Field("perhaps.points", Content.PER_ROW, Points, Reader.PARTIES),
        Field("letters.points", Content.PER_ROW, Points, Reader.LABEL_HOLDER),
        Field("part.points", Content.PER_ROW, Told, None),
        Field("opaque", Content.PER_ROW, Told, Reader.LABEL_HOLDER),
    ]
    assert list(fields_of(Done)) == []


@dataclass(frozen=True)
class Bare:
    """A record whose field says nothing."""

    labels: np.ndarray


@pytest.mark.parametrize(
    ("hint", "path"),
    [
        (int, "labels"),
        (np.ndarray, "labels"),
        (tuple[str, ...], "labels"),
        (Mapping[str, np.ndarray], "labels"),
        (str | None, "labels"),
        (Bare, r"labels\.labels"),
        (Mapping[str, Bare], r"labels\.labels"),
        (ToParties[Bare], r"labels\.labels"),
    ],
    ids=str,
)
def test_a_field_that_does_not_say_what_it_holds_is_an_error(hint: Any, path: str) -> None:
    @dataclass(frozen=True)
    class Silent:
        labels: hint

    with pytest.raises(TypeError, match=f"the field {path} does not say what it holds"):
        list(fields_of(Silent))


@pytest.mark.parametrize(
    "hint",
    [Letter[Points], Mapping[str, Letter[Points]], Annotated[Letter[Any], Content.PER_ROW]],
    ids=str,
)
def test_a_letter_that_does_not_name_its_reader_is_an_error(hint: Any) -> None:
    @dataclass(frozen=True)
    class Silent:
        labels: hint

    with pytest.raises(TypeError, match="the letter labels does not say for whom it is"):
        list(fields_of(Silent))


MESSAGES = [message for _, kind in protocols.actions() for message in (kind, *declaration_of(kind).replies)]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_message_of_every_conversation_says_what_it_holds(message: type) -> None:
    for field in fields_of(message):
        assert isinstance(field.content, Content)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_the_coordinator_reads_nothing_of_single_rows(message: type) -> None:
    told = [field for field in fields_of(message) if field.reader is None]
    assert [field.path for field in told if field.content is Content.PER_ROW] == []


def test_a_letter_says_what_was_written_and_to_the_right_reader_only() -> None:
    letter: Letter[Points] = Letter.of(Points(np.arange(3)))
    np.testing.assert_array_equal(letter.read(Points).points, np.arange(3))
    with pytest.raises(ProtocolError, match="a Bare is not of its declared form"):
        letter.read(Bare)
    with pytest.raises(ProtocolError, match="a Points is not of its declared form"):
        Letter(b"\x00").read(Points)


@dataclass(frozen=True)
class Carried:
    """A message with letters."""

    letter: ToPassive[Points]
    letters: Mapping[str, ToPassive[Points]]
    none: ToPassive[Points] | None


def test_letters_travel_in_messages_to_the_byte() -> None:
    letter: Letter[Points] = Letter.of(Points(np.arange(3)))
    sent = Carried(letter, {"tax": letter}, None)
    assert decode(Carried, encode(sent)) == sent
