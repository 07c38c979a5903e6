"""Locks on files, by which processes see of each other who lives: the kernel ends them when their holder dies."""

import fcntl
import os
import time
from pathlib import Path

_PATIENCE, _PAUSE = 1.0, 0.05
"""Seconds in which a look at a lock (`is_held`) is over, and between two attempts to get it."""


def hold(path: Path) -> int:
    """Lock a file, which is made if there is none: the descriptor, with whose last copy the lock ends.

    Raises BlockingIOError while another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _PATIENCE
    while not _locked(descriptor):
        if time.monotonic() > deadline:
            os.close(descriptor)
            raise BlockingIOError(f"{path} is held")
        time.sleep(_PAUSE)
    return descriptor


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of a file; not if there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _locked(descriptor)
    finally:
        os.close(descriptor)


def serverapp_lock(folder: Path, run: int | str) -> Path:
    """The file below the executor's folder that the ServerApp of a run holds from its start to its end."""
    return folder / f"{run}.lock"


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
