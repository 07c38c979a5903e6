"""A message in Flower's form: few objects, each of which costs a request of its own in a deployment, and no pickle.

A record (`fl/records.py`) travels as one field of bytes in its envelope. What is larger than five megabytes is cut into
pieces, since Flower sends an object whole, and the others travel beside the envelope. This is the only module of `fl`
that knows of Flower.
"""

import hashlib
from dataclasses import asdict, dataclass, fields
from re import compile as pattern
from typing import Any

from flwr.app import ConfigRecord, RecordDict
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.proto.recorddict_pb2 import RecordDict as RecordDictProto

from fl.errors import ProtocolError
from fl.escaping import text_line
from fl.records import Record, decode, encode

_ENVELOPE, _BODY, _REFUSAL = "envelope", "body", "refusal"
_PIECE = 4_999_000  # with its envelope, at most five megabytes
_SENTENCE, _CALLED = 2_000, 100
_NAME = pattern(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")


@dataclass(frozen=True)
class Envelope:
    """Where a message belongs, besides its body.

    study        the study whose state it touches; a query may leave it empty
    model        the model within the study, such as `federated-network/1`; empty for the study itself
    step         number of the request within that state, from 1; a reply repeats it
    cpu_seconds  in a reply: what answering cost the party
    """

    study: str = ""
    model: str = ""
    step: int = 0
    cpu_seconds: float = 0.0

    def __post_init__(self) -> None:
        for item in fields(self):
            if type(getattr(self, item.name)) is not item.type:
                raise ProtocolError(f"The envelope's {item.name} has the wrong type.")
        # Both become folders at the party, so they must not lead anywhere else, nor into another study. The party's own
        # files there have names with a dot or another sign that these cannot have.
        names = ([self.study] if self.study else []) + (self.model.split("/") if self.model else [])
        for name in names:
            if not _NAME.fullmatch(name):
                raise ProtocolError(
                    f"{name[:100]!r} is no valid name of a study or model: up to 100 letters, digits, '_', '-'."
                )

    @property
    def seed(self) -> int:
        """The seed of a model that is named by contender and seed. ProtocolError for another one."""
        seed = self.model.rpartition("/")[2]
        if not (seed.isascii() and seed.isdecimal()):
            raise ProtocolError(f"{self.model!r} names no seed, such as federated-network/1.")
        return int(seed)


def pack(body: object, envelope: Envelope) -> RecordDict:
    """The wire form of a message."""
    content = encode(body)
    first, *others = [content[at : at + _PIECE] for at in range(0, max(1, len(content)), _PIECE)]
    head = {"kind": type(body).__name__, "pieces": 1 + len(others), **asdict(envelope), _BODY: first}
    records = {f"{_BODY}/{number}": ConfigRecord({_BODY: piece}) for number, piece in enumerate(others, 1)}
    return RecordDict({_ENVELOPE: ConfigRecord(head), **records})


def unpack(record: RecordDict, *kinds: type[Record]) -> Record:
    """The message in a wire form, which is of one of these kinds.

    Raises ProtocolError when it is of none, or a field is absent, superfluous, or of another type than declared.
    """
    head = _head(record)
    name, kind = head["kind"], next((kind for kind in kinds if kind.__name__ == head["kind"]), None)
    if kind is None:
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise ProtocolError(f"a message must be a {expected}, not a {str(name)[:100]}")
    try:
        others = [record.config_records[f"{_BODY}/{number}"][_BODY] for number in range(1, len(record))]
        if head["pieces"] != 1 + len(others):
            raise ProtocolError("a message came without some of its pieces")
        return decode(kind, b"".join([head[_BODY], *others]))  # type: ignore[list-item]
    except (KeyError, TypeError):
        raise ProtocolError("a message came in pieces that do not fit together") from None


def envelope_of(record: RecordDict) -> Envelope:
    """The envelope of a wire form; ProtocolError when it is absent or malformed."""
    head = _head(record)
    return Envelope(**{item.name: head[item.name] for item in fields(Envelope)})


def _head(record: RecordDict) -> dict[str, Any]:
    head = dict(record.config_records.get(_ENVELOPE, {}))
    if set(head) != {"kind", "pieces", _BODY, *(item.name for item in fields(Envelope))}:
        raise ProtocolError("a message came without a valid envelope")
    return head


def refusal(text: str, name: str = "") -> RecordDict:
    """The wire form of a party's refusal: one sentence that may be told to everybody, cut where it quotes too much.

    name is what the party calls itself, for a coordinator that has not met it yet.
    """
    texts = ConfigRecord({"text": text_line(text)[:_SENTENCE], "name": text_line(name)[:_CALLED]})
    return RecordDict({_REFUSAL: texts})


def refusal_in(record: RecordDict) -> str | None:
    """The sentence of a refusal, in one line, or None when the record is an ordinary message."""
    if _REFUSAL not in record:
        return None
    return _told(record, "text")[:_SENTENCE] or "it gave no reason"


def refused_by(record: RecordDict) -> str:
    """What the party calls itself in a refusal, which need not be true; empty where it does not say."""
    return _told(record, "name")[:_CALLED]


def _told(record: RecordDict, part: str) -> str:
    refused = record.config_records.get(_REFUSAL)
    said = refused.get(part) if refused else None
    return text_line(said) if isinstance(said, str) else ""


def to_bytes(record: RecordDict) -> bytes:
    """The bytes that travel for a wire form (protocol buffers)."""
    return bytes(recorddict_to_proto(record).SerializeToString())


def from_bytes(content: bytes) -> RecordDict:
    """The wire form that travelled as these bytes."""
    proto = RecordDictProto()
    proto.ParseFromString(content)
    return recorddict_from_proto(proto)


def digest_of(record: RecordDict) -> bytes:
    """The SHA-256 of a wire form."""
    digest = hashlib.sha256()
    for name in sorted(record.config_records):
        for key, value in sorted(record.config_records[name].items()):
            content = value if isinstance(value, bytes) else repr(value).encode()
            digest.update(f"{name} {key} {len(content)} ".encode())
            digest.update(content)
    return digest.digest()


def size_of(record: RecordDict) -> int:
    """Bytes of payload in a wire form."""
    return sum(
        len(value if isinstance(value, bytes) else str(value))
        for part in record.config_records.values()
        for value in part.values()
    )
