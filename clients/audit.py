"""A party's audit trail: a line for every message that it sends, in which nobody can change anything unnoticed.

`audit.log` in the party's state has JSON lines, one per message and receiver. Each line holds the SHA-256 of the line
before. The last line's, the head, is signed by the party and kept beside them in `audit.head`. Every letter carries the
head, and whoever opens the letter writes it into a trail of its own. So a trail that is cut or written anew shows, too:
the party can replace its log and its head, but not what its partners hold (Haeberlen et al., PeerReview, SOSP 2007).

A line is written before its message leaves, so no message is without; after a failure in between, a line may tell of a
message that was never sent, and one that was not written whole is removed. Lines are not forced to the disk: they
outlast the process, but a loss of power may take those of the last seconds. The trail is then shorter than what
partners hold, as if it were cut.
"""

import fcntl
import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import msgspec
from msgspec.structs import replace

from clients.data.declaration import Declaration
from clients.data.errors import DataError
from clients.store import explained, make_private
from fl.messages import Content, Head, Letter, LetterField, fields_of, with_letters
from fl.records import Record, encode
from fl.seals import Identity, PublicKeys, is_head_of, sign_head

FILE_NAME, HEAD_NAME = "audit.log", "audit.head"
COORDINATOR = "coordinator"
"""The receiver of what is outside of letters."""
LABEL_GRADE = 3
"""The data grade of a label, which is that of a column that declares none."""
# What these hold is chosen by the run, made for it, or a number of rows; it is derived from no column.
_HARMLESS = {Content.SETTING, Content.KEY, Content.COUNT}
_HEAD_BYTES = 512
_MALFORMED = msgspec.MsgspecError, UnicodeDecodeError


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What one receiver gets of one message.

    number        of the line, from 1, and
    time          when it was written (UTC); `Trail.append` sets these two and `previous`
    study, model, step, conversation, action   of the request that the message answers
    letter        the field of the reply that holds the letter; empty for the coordinator's part, and for a refusal
    receiver      the coordinator, or a party
    bytes         what it is told, encoded and before it is sealed
    content       the kinds of content, by the declaration of the reply
    grade         the highest data grade (JR/T 0197-2020) among the columns that it may derive from
    heads         in the coordinator's line, by partner: the head of its trail that came with the request
    previous      SHA-256 of the line before, in hex; empty in the first line
    """

    number: int = 0
    time: str = ""
    study: str = ""
    model: str = ""
    step: int = 0
    conversation: str
    action: str
    letter: str = ""
    receiver: str = COORDINATOR
    bytes: int = 0
    content: tuple[str, ...] = ()
    grade: int = 1
    heads: dict[str, Head] = {}
    previous: str = ""


def highest_grade(declaration: Declaration) -> int:
    """The highest data grade of what a party offers: its columns, and the label."""
    grades = [column.grade for column in declaration.columns]
    return max(grades + [LABEL_GRADE] * (declaration.target is not None), default=1)


def lines_of(
    reply: Record, about: Line, grade: int, receivers: Callable[[LetterField, str], Iterable[str]]
) -> tuple[Line, ...]:
    """The lines of a reply with open letters: what the coordinator reads of it, and each letter for each receiver.

    about says which message it is, grade is that of the party's data (`highest_grade`), and receivers(field, party)
    tells who gets a letter. Settings, public keys and counts are of grade 1. All else may derive from any of the
    party's columns, so that its grade is the highest of them.
    """
    letters: list[Line] = []
    without_heads = replace(about, heads={})
    kinds = _contents(type(reply))  # type: ignore[arg-type]

    def part(line: Line, letter: str, receiver: str, size: int) -> Line:
        content = kinds.get(letter, ())
        return replace(
            line,
            letter=letter,
            receiver=receiver,
            bytes=size,
            content=tuple(one.value for one in content),
            grade=1 if _HARMLESS.issuperset(content) else grade,
        )

    def take_out(letter: Letter[Any], declared: LetterField, party: str) -> Letter[Any]:
        size = len(letter.content)
        letters.extend(part(without_heads, declared.name, name, size) for name in receivers(declared, party))
        return Letter(b"")

    return (part(about, "", COORDINATOR, len(encode(with_letters(reply, take_out)))), *letters)


def encoded(lines: tuple[Line, ...]) -> bytes:
    """Lines as bytes, for a reply that may be repeated."""
    return msgspec.msgpack.encode(lines)


def decoded(content: bytes) -> tuple[Line, ...]:
    """The lines in these bytes."""
    return msgspec.msgpack.decode(content, type=tuple[Line, ...])


def heads_of(lines: Iterable[Line], party: str) -> list[Head]:
    """The heads of a party's trail that came to the writer of these lines, in the order of their coming."""
    return [line.heads[party] for line in lines if party in line.heads]


@lru_cache(maxsize=256)
def _contents(message: type[Any]) -> MappingProxyType[str, tuple[Content, ...]]:
    """The kinds of content in each letter of a message, by its field, and under the empty name in all else."""
    kinds: defaultdict[str, set[Content]] = defaultdict(set)
    for one in fields_of(message):
        kinds[one.path.partition(".")[0] if one.reader else ""].add(one.content)
    return MappingProxyType(
        {name: tuple(kind for kind in Content if kind in of_part) for name, of_part in kinds.items()}
    )


@dataclass(frozen=True)
class _Kept:
    """What `audit.head` holds: the last head, and how long the log was then."""

    head: Head
    size: int


@dataclass(frozen=True)
class Trail:
    """The audit trail in the state of a party."""

    folder: Path

    @property
    def exists(self) -> bool:
        """Whether there is one, or a part of one."""
        return any((self.folder / name).exists() for name in (FILE_NAME, HEAD_NAME))

    @explained()
    def append(self, lines: Iterable[Line], identity: Identity) -> Head:
        """Write the lines of one message, and sign the new head. Safe with several processes.

        Raises DataError when the head that is kept cannot be read, and DiskFull.
        """
        make_private(self.folder)
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        with _opened(self.folder / HEAD_NAME) as kept, _opened(self.folder / FILE_NAME) as log:
            fcntl.flock(kept, fcntl.LOCK_EX)  # until it is closed
            number, digest = self._end(self._kept(kept.read()), log)
            for line in lines:
                number += 1
                text = msgspec.json.encode(replace(line, number=number, time=time, previous=digest))
                digest = hashlib.sha256(text).hexdigest()
                log.write(text + b"\n")
            log.flush()
            head = sign_head(number, digest, identity)
            kept.seek(0)
            # In place and always of one length: to put a new file in its place would cost a hundred times as much.
            kept.write(msgspec.json.encode(_Kept(head, log.tell())).ljust(_HEAD_BYTES))
        return head

    def lines(self) -> list[Line]:
        """All lines. Raises DataError for one that cannot be read."""
        log, _ = self._read()
        lines = [_line(text) for text in log.splitlines()]
        if None in lines:
            raise DataError(f"line {lines.index(None) + 1} of {self.folder / FILE_NAME} cannot be read.")
        return [line for line in lines if line is not None]

    def damage(self, keys: PublicKeys, held: Mapping[str, Iterable[Head]]) -> list[str]:
        """What is wrong with the trail, in sentences; nothing if it is whole.

        keys are those of the party, and held are the heads of this trail that its partners hold, by partner.
        """
        log, kept = self._read()
        digests, broken = _followed(log)
        found = [broken] if broken else []
        try:
            own = self._kept(kept).head
        except DataError:
            own = Head()
        if not is_head_of(own, keys):
            found.append(f"{HEAD_NAME} is missing, or has no head that the party has signed.")
        elif not broken and own.number < len(digests):
            found.append(
                f"The log has {len(digests)} lines, and the party has signed the first {own.number}: it was ended "
                "while it wrote the others, or somebody else has added them."
            )
        else:
            found += _contradicted(f"{HEAD_NAME} has", [own], keys, digests, bool(broken))
        for partner, heads in held.items():
            found += _contradicted(f"{partner} holds", heads, keys, digests, bool(broken))
        return found

    def _read(self) -> tuple[bytes, bytes]:
        """The log and the head as they are between two messages; empty where there is none."""
        if not (self.folder / HEAD_NAME).exists():
            return self._log(), b""
        with (self.folder / HEAD_NAME).open("rb") as kept:
            fcntl.flock(kept, fcntl.LOCK_SH)  # until it is closed
            return self._log(), kept.read()

    def _log(self) -> bytes:
        try:
            return (self.folder / FILE_NAME).read_bytes()
        except FileNotFoundError:
            return b""

    def _kept(self, content: bytes) -> _Kept:
        try:
            return msgspec.json.decode(content, type=_Kept) if content.strip() else _Kept(Head(), 0)
        except _MALFORMED:
            raise DataError(
                f"{self.folder / HEAD_NAME} cannot be read, so the audit trail cannot go on; keep a copy for your "
                f"auditors and remove it, and the trail goes on after the last line of {FILE_NAME}."
            ) from None

    @staticmethod
    def _end(kept: _Kept, log: BinaryIO) -> tuple[int, str]:
        """Where the trail goes on: after the signed head, or what was written after it by a process that ended then.

        Where lines are missing it goes on after the signed head, too, so that the gap stays to be seen.
        """
        end = kept.head.number, kept.head.digest
        if log.seek(0, os.SEEK_END) == kept.size:
            return end
        log.seek(0)
        content = log.read()
        # What the party has signed stays as it is.
        whole = content[: max(content.rfind(b"\n") + 1, kept.size)]
        log.truncate(len(whole))
        log.seek(len(whole))
        if whole and not whole.endswith(b"\n"):
            log.write(b"\n")
        for text in reversed(whole.splitlines()):
            if (line := _line(text)) is not None:
                return max(end, (line.number, hashlib.sha256(text).hexdigest()), key=lambda one: one[0])
        return end


def _opened(path: Path) -> BinaryIO:
    """A file for this user alone, to read and to change; it is made where there is none."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")


def _line(text: bytes) -> Line | None:
    try:
        return msgspec.json.decode(text, type=Line)
    except _MALFORMED:
        return None


def _followed(log: bytes) -> tuple[list[str], str]:
    """SHA-256 of the lines, as far as each follows the one before, and a sentence on what is wrong with the next."""
    digests: list[str] = []
    *texts, rest = log.split(b"\n")
    for number, text in enumerate(texts, 1):
        line = _line(text)
        if line is None:
            return digests, f"Line {number} cannot be read."
        if line.number != number:
            return digests, f"Line {number} was line {line.number}: lines were removed, added or moved."
        if line.previous != (digests[-1] if digests else ""):
            return digests, f"Line {number} follows another line {number - 1}: one of these two was changed."
        digests.append(hashlib.sha256(text).hexdigest())
    return digests, f"Line {len(texts) + 1} is not complete." if rest else ""


def _contradicted(
    who: str, heads: Iterable[Head], keys: PublicKeys, digests: list[str], is_broken: bool
) -> Iterator[str]:
    """The first contradiction between a trail and heads of it, in a sentence."""
    for head in heads:
        if head.number <= len(digests):
            if digests[: head.number][-1:] == [head.digest]:
                continue
            which, end = "another line", ""
        elif not is_broken:
            which, end = "line", f"; the log ends at line {len(digests)}"
        else:
            continue
        signed = "" if is_head_of(head, keys) else ", which is not signed by the keys that the party has now"
        yield f"{who} the head of {which} {head.number}{signed}{end}."
        return
