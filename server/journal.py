"""What a coordinator needs to go on with a run after its process has died.

Given the same replies, a coordinator sends the same requests. So it writes down every reply before the next request
leaves, and a coordinator that is started anew answers its requests from there as far as that goes. The first request
without an answer goes to the parties, where it is the next step, or the last one, whose reply is repeated.

A journal is a folder per study with a file per model, to which entries are only added: the length of an entry, its
SHA-256, and a record. An entry that was not written whole is dropped. When a model is trained, one entry takes the
place of all of its own. There is nothing in it but what the coordinator saw: sealed letters and what is meant for it.
"""

import hashlib
import os
import shutil
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fl.errors import ConfigError
from fl.records import Record, decode, encode
from server.locks import hold, is_held

_HEAD = struct.Struct(">Q32s")
_SUFFIX, _LOCK = ".journal", "journal.lock"


@dataclass(frozen=True)
class Answer:
    """The SHA-256 of what a party was asked, and the wire form of its reply; empty if the run did without one."""

    request: bytes
    reply: bytes


@dataclass(frozen=True)
class RoundTrip:
    """The answers of one round trip by party, and the seconds since the one before, or since the start."""

    answers: Mapping[str, Answer]
    seconds: float


class Journal:
    """The journal of one study below a folder, which is made; without a folder nothing is kept.

    At most `keep` other studies have one, and those that are going on: the oldest of the rest are removed. Raises
    ConfigError while another coordinator runs the study.
    """

    def __init__(self, folder: str, study: str, keep: int) -> None:
        self.is_kept, self._folder = bool(folder), Path(folder) / study
        self._files: dict[str, _File] = {}
        if not self.is_kept:
            return
        others = [path.parent for path in Path(folder).glob(f"*/{_LOCK}") if path.parent != self._folder]
        others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for old in others[keep:]:
            if not is_held(old / _LOCK):
                shutil.rmtree(old)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._lock = hold(self._folder / _LOCK)
        except BlockingIOError:
            raise ConfigError(f"The study {study} is still going on; wait for its end, or end it.") from None

    @property
    def is_resumed(self) -> bool:
        """Whether an earlier coordinator has begun this study."""
        return self.is_kept and any(self._folder.glob(f"*{_SUFFIX}"))

    def next(self, name: str, kind: type[Record]) -> Record | None:
        """The next entry of a file; None when all are read. ConfigError for a file that was changed since."""
        content = self._file(name).read() if self.is_kept else None
        return None if content is None else decode(kind, content)

    def add(self, name: str, record: object) -> None:
        """Add an entry to a file whose entries are all read; it is on the disk when this returns."""
        if self.is_kept:
            self._file(name).append(encode(record))

    def drop(self, name: str) -> None:
        """Remove a file, if there is one."""
        if (file := self._files.pop(name, None)) is not None:
            file.close()
            self._path(name).unlink()

    def remove(self) -> None:
        """Remove the whole journal, which nobody needs any more."""
        if self.is_kept:
            shutil.rmtree(self._folder)

    def close(self) -> None:
        """Let another coordinator go on."""
        if self.is_kept:
            for file in self._files.values():
                file.close()
            os.close(self._lock)

    def _path(self, name: str) -> Path:
        # A model is called `federated-boosting/1`, with no dot, and the study's own state has no name.
        return self._folder / f"{name.replace('/', '.') or 'study'}{_SUFFIX}"

    def _file(self, name: str) -> "_File":
        if name not in self._files:
            self._files[name] = _File(self._path(name))
        return self._files[name]


def journal_name(bank: str, model: str) -> str:
    """The file for a model: of one in a bank's sub-study such as `bank_a/federated-boosting/1`; bank may be empty."""
    return f"{bank}/{model}" if bank else model


class _File:
    """Entries that are read from the first to the last before others are added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")

    def read(self) -> bytes | None:
        start = self._file.tell()
        head = self._file.read(_HEAD.size)
        if len(head) == _HEAD.size:
            length, digest = _HEAD.unpack(head)
            content = self._file.read(length)
            if len(content) == length and hashlib.sha256(content).digest() == digest:
                return content
            # Of the last entry a part may be missing, or be zeros after a loss of power; another one is no accident.
            if any(self._file.read()):
                raise ConfigError(f"The journal {self._path} is damaged; the study cannot be resumed.")
        self._file.seek(start)
        self._file.truncate()
        return None

    def append(self, content: bytes) -> None:
        self._file.write(_HEAD.pack(len(content), hashlib.sha256(content).digest()))
        self._file.write(content)
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
