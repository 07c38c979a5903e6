"""What a message says of itself where it is defined: what comes back, in which order, and who may read it.

A request is a record with an action and the actions that may precede it; its reply is named by its base class:

    @request("grow", to=Reader.PASSIVE, after=("start", "grow", "add_up"))
    @dataclass(frozen=True, kw_only=True)
    class GrowRequest(Request[Grown]): ...

The coordinator reads every field of a request and of a reply, but for letters. A letter is what one party tells
another: the coordinator passes it on unopened. Every field says of what content it is (`Content`), by an annotation; a
letter's annotation names its readers. The threat model's table of messages is made of these declarations.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from functools import cache
from typing import (
    Annotated,
    Any,
    Generic,
    NamedTuple,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

from fl.records import Array, Record, decode, encode

Reply = TypeVar("Reply")
Kind = TypeVar("Kind", bound=type[Any])


DIGITS = 4
"""Decimals of the losses, metrics and other figures that a party tells the coordinator."""


class Content(Enum):
    """What a field holds, from the least to the most that it tells about single businesses."""

    SETTING = "setting"
    """A choice of the run, or the name of a party or column."""
    KEY = "public key"
    COUNT = "count"
    AGGREGATE = "aggregate"
    """Numbers about groups of businesses: sums, bins, metrics, splits."""
    CIPHERTEXT = "ciphertext"
    """Numbers that only the owner of a key can read."""
    PADDED = "padded"
    """Bits of rows, or numbers to be added, under a one-time pad; or such a pad: neither tells anything alone."""
    PER_ROW = "per row"
    """A number, a bit or a point for each business."""


class Reader(Enum):
    """For whom a letter is, and of whom a request asks something."""

    LABEL_HOLDER = "label holder"
    PASSIVE = "a passive party"
    PARTIES = "every party"


@dataclass(frozen=True)
class Head:
    """Where a party's audit trail ends: the number of its last line, from 1, and the SHA-256 of that line in hex.

    signature is the party's own, over both (`fl/seals.py`).
    """

    number: int = 0
    digest: str = ""
    signature: bytes = b""


@dataclass(frozen=True)
class Letter(Generic[Record]):
    """A record that one party addresses to another; the coordinator carries it and cannot open it.

    A party's half writes and reads letters that are open. On the way out the party seals and signs them
    (`fl/seals.py`), and on the way in it verifies and opens them (`clients/post.py`).

    content    the record's bytes, encrypted unless it is ciphertext already
    sender     the party that wrote the letter
    model      of the reply that the letter left in, and
    step       of it
    head       of the sender's audit trail, which has the lines of this letter already
    keys       by receiver: the key of the content, wrapped; empty bytes where the content is not encrypted
    signature  of the sender
    """

    content: bytes
    sender: str = ""
    model: str = ""
    step: int = 0
    head: Head = Head()
    keys: Mapping[str, bytes] = field(default_factory=dict)
    signature: bytes = b""

    @classmethod
    def of(cls, record: Record) -> "Letter[Record]":
        """An open letter that says this."""
        return cls(encode(record))

    def read(self, kind: type[Record]) -> Record:
        """What an open letter says. Raises ProtocolError when it is no record of that kind, or sealed."""
        return decode(kind, self.content)


ToLabelHolder = Annotated[Letter[Record], Reader.LABEL_HOLDER]
ToPassive = Annotated[Letter[Record], Reader.PASSIVE]
ToParties = Annotated[Letter[Record], Reader.PARTIES]

Setting: TypeAlias = Annotated[Record, Content.SETTING]
Count: TypeAlias = Annotated[int, Content.COUNT]
Counts: TypeAlias = Annotated[Array, Content.COUNT]
Figure: TypeAlias = Annotated[float, Content.AGGREGATE]
Aggregate: TypeAlias = Annotated[Record, Content.AGGREGATE]
PerRow: TypeAlias = Annotated[Array, Content.PER_ROW]
Padded: TypeAlias = Annotated[Array, Content.PADDED]
PublicKey: TypeAlias = Annotated[Record, Content.KEY]
Ciphertext: TypeAlias = Annotated[Mapping[str, Array], Content.CIPHERTEXT]


class Request(Generic[Reply]):
    """A question to a party. `Reply` is the class of the answer, or a union of the classes that it may have."""


class Declaration(NamedTuple):
    """What a request class says of itself.

    to says which parties may be asked. after are the actions of the same conversation of which one must have been the
    last that the party's store has answered; none: the request is the first. A `query` changes no store and may come at
    any time. What `opens` ciphertexts of others is answered once, and a refusal is an answer, too: who could try again
    with other ciphertexts would learn from each refusal.
    """

    action: str
    to: Reader
    after: tuple[str, ...]
    is_query: bool
    replies: tuple[type[Any], ...]
    opens: bool = False


def request(
    action: str,
    *,
    to: Reader = Reader.PARTIES,
    after: tuple[str, ...] = (),
    query: bool = False,
    opens: bool = False,
) -> Callable[[Kind], Kind]:
    """Declare a request class: its action, who is asked, and the actions after which a party answers it.

    See `Declaration`.
    """

    def declare(kind: Kind) -> Kind:
        (reply,) = (get_args(base)[0] for base in kind.__orig_bases__ if get_origin(base) is Request)
        kind.__declaration__ = Declaration(action, to, after, query, get_args(reply) or (reply,), opens)
        return kind

    return declare


def declaration_of(kind: type[Any]) -> Declaration:
    """What a request class says of itself. Raises TypeError for a class that is no declared request."""
    declaration = vars(kind).get("__declaration__")
    if not isinstance(declaration, Declaration):
        raise TypeError(f"{kind.__name__} is no declared request")
    return declaration


class Field(NamedTuple):
    """A field of a message: its path, its content, and the letter that it stands in with its reader, if in any.

    record is the class of what the letter says, else that of the message.
    """

    path: str
    content: Content
    record: type[Any]
    reader: Reader | None


def fields_of(kind: type[Any]) -> Iterator[Field]:
    """The fields of a message, those of its letters included. Raises TypeError for one that does not say what it is."""
    yield from _fields(kind, "", kind, None)


def _fields(hint: Any, path: str, record: type[Any], reader: Reader | None) -> Iterator[Field]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        notes = arguments[1:]
        reader = next((note for note in notes if isinstance(note, Reader)), reader)
        content = next((note for note in notes if isinstance(note, Content)), None)
        if content is None:
            yield from _fields(arguments[0], path, record, reader)
        elif get_origin(arguments[0]) is Letter and reader is None:
            raise TypeError(f"the letter {path} does not say for whom it is")
        else:
            yield Field(path, content, record, reader)
    elif origin is Letter:
        if reader is None:
            raise TypeError(f"the letter {path} does not say for whom it is")
        yield from _fields(arguments[0], path, arguments[0], reader)
    elif is_dataclass(hint):
        hints = _hints(hint)  # type: ignore[arg-type]
        for item in fields(hint):
            yield from _fields(hints[item.name], f"{path}.{item.name}".lstrip("."), record, reader)
    else:
        inner = [one for one in arguments if _is_told(one)]
        if not inner:
            raise TypeError(f"the field {path} does not say what it holds")
        for one in inner:
            yield from _fields(one, path, record, reader)


class LetterField(NamedTuple):
    """A field of a message that holds a letter, or letters by the name of a party.

    reader says for whom, record is the class of what they say.
    """

    name: str
    reader: Reader
    record: type[Any]

    @property
    def kind(self) -> str:
        """The class of what they say, as it is bound by the seal."""
        return f"{self.record.__module__}.{self.record.__qualname__}"

    @property
    def conversation(self) -> str:
        """The conversation that declares that class."""
        return str(self.record.__module__).rpartition(".")[2]

    @property
    def is_ciphertext(self) -> bool:
        """Whether all that they say is ciphertext already."""
        return {one.content for one in fields_of(self.record)} == {Content.CIPHERTEXT}


@cache
def letter_fields(message: type[Any]) -> tuple[LetterField, ...]:
    """The fields of a message that hold letters. Raises TypeError where one lies deeper than in a field or mapping."""
    found = []
    for name, hint in _hints(message).items():  # type: ignore[arg-type]
        inner = next((one for one in (hint, *get_args(hint)[::-1]) if get_origin(one) is Annotated), None)
        arguments = get_args(inner)
        if inner is not None and get_origin(arguments[0]) is Letter:
            reader = next(note for note in arguments[1:] if isinstance(note, Reader))
            found.append(LetterField(name, reader, get_args(arguments[0])[0]))
        elif "Letter" in str(hint):
            raise TypeError(f"{message.__name__}.{name}: a letter stands in a field or in a mapping by party")
    return tuple(found)


def with_letters(message: Record, change: Callable[[Letter[Any], LetterField, str], Letter[Any]]) -> Record:
    """The message with every letter changed; the third argument is the name that a mapping has for it, else empty."""
    changed: dict[str, Any] = {}
    for one in letter_fields(type(message)):  # type: ignore[arg-type]
        value = getattr(message, one.name)
        if isinstance(value, Mapping):
            changed[one.name] = {party: change(letter, one, party) for party, letter in value.items()}
        elif value is not None:
            changed[one.name] = change(value, one, "")
    return replace(message, **changed) if changed else message  # type: ignore[type-var]


def rounded(reply: Record) -> Record:
    """The reply with all figures about groups of businesses that it tells the coordinator to `DIGITS` decimals.

    Exact figures are labels: the loss of one row is a function of its label, and those of validation rows can be solved
    for theirs (Aggarwal et al. 2021). Letters stay as they are.
    """
    return cast(Record, _rounded(type(reply), reply))


def _rounded(hint: Any, value: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        told = Content.AGGREGATE in arguments[1:]
        return _to_digits(value) if told else _rounded(arguments[0], value)
    if origin is Letter or value is None:
        return value
    if is_dataclass(hint):
        hints = _hints(hint)  # type: ignore[arg-type]
        return replace(value, **{name: _rounded(one, getattr(value, name)) for name, one in hints.items()})
    if isinstance(value, Mapping):
        return {name: _rounded(arguments[1], one) for name, one in value.items()}
    if isinstance(value, tuple):
        return tuple(_rounded(arguments[0], one) for one in value)
    return _rounded(arguments[0], value) if arguments else value


def _to_digits(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: _to_digits(getattr(value, one.name)) for one in fields(value)})
    if isinstance(value, Mapping):
        return {name: _to_digits(one) for name, one in value.items()}
    if isinstance(value, np.ndarray):
        return np.round(value, DIGITS) if value.dtype.kind == "f" else value
    return round(value, DIGITS) if isinstance(value, float) else value


# Annotations do not change, and reading them takes longer than what is done with them.
@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _is_told(hint: Any) -> bool:
    """Whether a part of a type says by itself what it holds: the values of a mapping do, its keys do not."""
    return get_origin(hint) in (Annotated, Letter) or is_dataclass(hint) or any(map(_is_told, get_args(hint)))
