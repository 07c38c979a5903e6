"""The one place of a party's state: a folder per study and per model, written atomically.

Flower's nodes keep nothing between messages that a party could rely on (in deployment every message is a new process),
so all that a party remembers stands here. Every answered request is committed together with its reply in one file
whose name is the step number: after a crash the party is either before or after a step, never in between, and a
request that is sent twice is answered from the file instead of being applied twice.
"""

import errno
import os
import shutil
import struct
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from fl.errors import ProtocolError
from fl.records import Record, decode, encode
from fl.studies import whole_study

# Every name of a file has a dot, and that of a study or model has none (`fl/wire.py`): no folder takes a file's place.
_STEP, _RECORD, _PARTIAL = ".step", ".record", ".partial"
_TRAINED, _LOCK = "study.trained", "study.lock"
_CHECKSUM = struct.Struct(">I")
"""CRC-32, which a step's file begins with: disks err."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PATIENCE = 10.0
"""Seconds that a request waits for another one of the same study, in another process."""
_WRITING = 60.0
"""Seconds within which the file of a step has its place, on a slow disk, too."""


class DiskFull(ProtocolError, OSError):
    """The party's disk has no room; nothing was changed, and the same request may come again."""


@contextmanager
def explained() -> Iterator[None]:
    """Raises DiskFull, a sentence that may leave the party, where the system says that the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DiskFull("its disk is full; its people must make room there") from None


@dataclass(frozen=True)
class Heard:
    """The step of the last letter from a sender, and the kinds of those that it wrote in that step."""

    step: int
    kinds: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Commit:
    """What a party knows after answering request number `step`, 0 before the first.

    conversation and action are those of the request, request is its SHA-256, settings the digest of its run's settings,
    state is the encoded record that its answer has kept, heard has the last letters by sender, reply is the wire form
    of the answer, and sent its encoded lines in the audit trail.
    """

    step: int = 0
    conversation: str = ""
    action: str = ""
    request: bytes = b""
    settings: str = ""
    state: bytes = b""
    heard: Mapping[str, Heard] = field(default_factory=dict)
    reply: bytes = b""
    sent: bytes = b""


class Store:
    """The state of one study, or of one model within it, in a folder.

    Two kinds of content: the last `Commit`, replaced at every step, and one record of each kind that stays (`keep`,
    `read`). A study's folder also says whether a model of the study is trained.

    What is kept survives a loss of power, and so does a commit before its reply leaves, if the store is `lasting`. That
    takes some milliseconds at every step, and serves only a deployed party: the coordinator of a simulation loses its
    power, too, and begins anew.

    Nor does a `lasting` store go on from a backup. A party that has taken a step must not take it again with other
    content: it would open an encryption twice, or show more under one secret. So the name of a step's file has the
    file's inode and time, which a copy of the file does not share. A rollback of the whole file system is not noticed
    here; partners refuse letters of steps that they have had.
    """

    # In front of the files, since a worker process mostly meets the state that it wrote itself. The step in the
    # file name decides whether a cached commit is still the last one.
    _last: ClassVar[dict[Path, Commit]] = {}

    def __init__(self, folder: Path, lasting: bool = False) -> None:
        self.folder, self._lasting = folder, lasting

    def last(self) -> Commit:
        """The last commit; step 0 with empty state before the first.

        Raises ProtocolError if it is of a backup, or damaged.
        """
        # Crashes may have left an older one behind.
        steps = {int(file.stem.rpartition(".")[2]): file for file in self.folder.glob(f"*{_STEP}")}
        if not steps:
            return Commit()
        step, file = max(steps.items())
        if _is_copied(file):
            raise ProtocolError(
                "its state was restored from a backup or moved, and nothing unfinished goes on from there; start a new "
                "study"
            )
        cached = self._last.get(self.folder)
        if cached is not None and cached.step == step:
            return cached
        content = file.read_bytes()
        if _checksum(content[_CHECKSUM.size :]) != content[: _CHECKSUM.size]:
            raise ProtocolError(
                f"the file of its last step is damaged ({file.name}), and nothing unfinished goes on from there; have "
                "its disk checked, and start a new study"
            )
        return decode(Commit, content[_CHECKSUM.size :])

    def commit(self, commit: Commit) -> None:
        """Make this the last commit, then forget the one before."""
        old = list(self.folder.glob(f"*{_STEP}"))
        content = encode(commit)
        content = _checksum(content) + content
        new = self._write(f"{commit.step:08d}{_STEP}", content, self._lasting, stamped=self._lasting)
        for file in old:
            if file != new:
                file.unlink(missing_ok=True)
        for left_behind in self.folder.glob(f"*{_PARTIAL}"):  # by a process that died while it wrote
            left_behind.unlink()
        self._last.clear()  # One model trains at a time; a cache of one bounds the memory of a long study.
        self._last[self.folder] = commit

    def keep(self, record: object) -> None:
        """Keep a record beside the commits, in place of an earlier one of its kind."""
        self.write_file(_record_file(type(record)), encode(record))

    def has(self, kind: type) -> bool:
        """Whether a record of this kind is kept."""
        return (self.folder / _record_file(kind)).exists()

    def read(self, kind: type[Record]) -> Record:
        """The record of this kind. Raises FileNotFoundError when there is none."""
        return decode(kind, (self.folder / _record_file(kind)).read_bytes())

    def remove(self, kind: type) -> None:
        """Forget the record of this kind, if there is one."""
        (self.folder / _record_file(kind)).unlink(missing_ok=True)

    def write_file(self, name: str, content: bytes) -> None:
        """Keep a file of any kind beside them; it takes the place of one of that name when it is whole, on the disk."""
        self._write(name, content, synced=True)

    @explained()
    def _write(self, name: str, content: bytes, synced: bool, stamped: bool = False) -> Path:
        make_private(self.folder)
        partial = self.folder / f"{name}{_PARTIAL}"
        try:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
                if synced:
                    file.flush()
                    os.fsync(file.fileno())
                stamp = f"{os.fstat(file.fileno()).st_ino}.{int(time.time())}." if stamped else ""
            whole = partial.replace(self.folder / f"{stamp}{name}")
        except OSError:
            partial.unlink(missing_ok=True)  # a full disk needs the room
            raise
        if synced:
            _sync(self.folder)
        return whole

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the party's other processes from this study meanwhile. Raises ProtocolError if one is busy in it."""
        from filelock import FileLock, Timeout

        make_private(self.folder)
        lock = FileLock(self.folder / _LOCK, _PATIENCE, mode=0o600)
        try:
            with explained():
                lock.acquire()
        except Timeout:
            raise ProtocolError(
                f"another process of it is busy in the study {self.folder.name}; only one SuperNode may have its folder"
            ) from None
        try:
            yield
        finally:
            lock.release()

    @property
    def is_trained(self) -> bool:
        """Whether this is the state of a study in which a model has been trained to its end."""
        return (self.folder / _TRAINED).exists()

    def mark_trained(self) -> None:
        """Note that a model of this study has been trained to its end."""
        self.write_file(_TRAINED, b"")


def retain(root: Path, study: str, keep: int) -> None:
    """Remove the oldest studies in `root` so that at most `keep` trained ones remain, and as many that are not trained.

    Both kinds are counted apart, so that a study which breaks off pushes no trained one out. `study` stays, and counts
    among those of its kind. A study and the sub-studies of its banks are one (`fl/studies.py`). Folders that are no
    studies stay, too.
    """
    studies: defaultdict[str, list[Path]] = defaultdict(list)
    for path in root.glob("*/"):
        if not path.is_symlink() and ((path / _LOCK).exists() or any(path.glob(f"*{_STEP}"))):
            studies[whole_study(path.name)].append(path)
    is_trained = {name: any(Store(path).is_trained for path in paths) for name, paths in studies.items()}
    others = sorted(
        studies.keys() - {whole_study(study)}, key=lambda name: _changed(studies[name]), reverse=True
    )
    trained, untrained = ([name for name in others if is_trained[name] is kind] for kind in (True, False))
    counts = is_trained.get(whole_study(study), False)
    for name in trained[keep - counts :] + untrained[keep - (not counts) :]:
        for path in studies[name]:
            shutil.rmtree(path)


def _changed(paths: Iterable[Path]) -> float:
    return max(path.stat().st_mtime for path in paths)


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone: it holds features, labels and keys."""
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync(folder.parent)


def _checksum(content: bytes) -> bytes:
    return _CHECKSUM.pack(zlib.crc32(content))


def _sync(folder: Path) -> None:
    """Have the names in a folder on the disk: without that, a loss of power may undo a renaming."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_copied(step: Path) -> bool:
    """Whether the file of a step is another one than was written, if its name tells: copied, or of a backup."""
    inode, _, written = step.stem.rpartition(".")[0].partition(".")
    if not inode:
        return False
    about = step.stat()
    # An inode may be given anew; when it was last changed or renamed is for the kernel alone to say.
    return about.st_ino != int(inode) or abs(about.st_ctime - int(written)) > _WRITING


def _record_file(kind: type) -> str:
    return f"{kind.__name__}{_RECORD}"
