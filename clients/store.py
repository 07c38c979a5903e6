"""The one place of a party's state: a folder per study and per model, written atomically.

Flower's nodes keep nothing between messages that a party could rely on (in deployment every message is a new process),
so all that a party remembers stands here. Every answered request is committed together with its reply in one file
whose name is the step number: after a crash the party is either before or after a step, never in between, and a
request that is sent twice is answered from the file instead of being applied twice.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

_STEP = ".step"
_REPLY = "reply"
_STATE = "state/"
_ARRAY = "array/"  # before every name in a file, since `numpy.savez` has some of its own, such as `file`


@dataclass(frozen=True)
class Commit:
    """What a party knows after answering request number `step`: its state, and in `file` the reply's wire form."""

    step: int
    state: Arrays
    file: Path | None = None

    @property
    def reply(self) -> bytes:
        """The reply, read when asked for: only a request that comes twice needs it, and it can be large."""
        if self.file is None:
            return b""
        with np.load(self.file, allow_pickle=False) as content:
            return content[_ARRAY + _REPLY].tobytes()


class Store:
    """The state of one study, or of one model within it, in a folder.

    Two kinds of content: the last `Commit`, replaced at every step, and named arrays that stay (`write`, `read`).
    """

    # In front of the files, since a worker process mostly meets the state that it wrote itself. The step in the
    # file name decides whether a cached commit is still the last one.
    _last: ClassVar[dict[Path, Commit]] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def last(self) -> Commit:
        """The last commit; step 0 with empty state before the first."""
        found = self._steps()
        if not found:
            return Commit(0, {})
        step = max(found)
        cached = self._last.get(self.folder)
        return cached if cached is not None and cached.step == step else self._load(step)

    def commit(self, step: int, state: Arrays, reply: bytes) -> None:
        """Make `state` and `reply` the last commit, then forget the one before."""
        old = self._steps()
        content = {_STATE + name: array for name, array in state.items()}
        self._replace(_step_file(step), {**content, _REPLY: np.frombuffer(reply, np.uint8)})
        for other in old:
            if other != step:
                (self.folder / _step_file(other)).unlink(missing_ok=True)
        self._last.clear()  # One model trains at a time; a cache of one bounds the memory of a long study.
        self._last[self.folder] = Commit(step, state, self.folder / _step_file(step))

    def write(self, name: str, arrays: Arrays) -> None:
        """Keep named arrays beside the commits, replacing earlier ones of the same name."""
        self._replace(f"{name}.npz", arrays)

    def has(self, name: str) -> bool:
        """Whether `write` kept arrays under that name."""
        return (self.folder / f"{name}.npz").exists()

    def read(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays that `write` kept. Raises FileNotFoundError when there are none."""
        with np.load(self.folder / f"{name}.npz", allow_pickle=False) as content:
            return {name.removeprefix(_ARRAY): content[name] for name in content}

    def remove(self, name: str) -> None:
        """Forget the arrays that `write` kept under that name, if any."""
        (self.folder / f"{name}.npz").unlink(missing_ok=True)

    def _steps(self) -> list[int]:
        return [int(path.stem) for path in self.folder.glob(f"*{_STEP}")]

    def _load(self, step: int) -> Commit:
        file, prefix = self.folder / _step_file(step), _ARRAY + _STATE
        with np.load(file, allow_pickle=False) as content:
            state = {name.removeprefix(prefix): content[name] for name in content if name.startswith(prefix)}
        return Commit(step, state, file)

    def write_file(self, name: str, content: bytes | memoryview) -> None:
        """Keep a file of any kind beside them."""
        with self._replacing(name) as file:
            file.write(content)

    def _replace(self, name: str, arrays: Arrays) -> None:
        with self._replacing(name) as file:
            np.savez(file, **{_ARRAY + key: array for key, array in arrays.items()})

    @contextmanager
    def _replacing(self, name: str) -> Iterator[BinaryIO]:
        """A file to be written that takes the place of one of that name when it is whole."""
        _make_private(self.folder)
        partial = self.folder / f"{name}.{os.getpid()}.partial"
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
        partial.replace(self.folder / name)


def retain(root: Path, study: str, keep: int) -> None:
    """Remove the oldest studies in `root` so that, with `study`, at most `keep` remain; other folders stay."""
    others = [path for path in root.glob("*/") if path.name != study and _is_study(path)]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[keep - 1 :]:
        shutil.rmtree(path)


def _is_study(path: Path) -> bool:
    return not path.is_symlink() and any(path.glob(f"*{_STEP}"))


def _make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone: it holds features, labels and keys."""
    if not folder.is_dir():
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _step_file(step: int) -> str:
    return f"{step:08d}{_STEP}"
