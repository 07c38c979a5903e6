"""A party's private keys on disk: those that its people made with `siloscore keys`, else keys made at first use."""

import os
from functools import lru_cache
from pathlib import Path

from clients.data.errors import DataError
from clients.store import explained, make_private
from fl.seals import Identity

FILE_NAME = "identity.pem"
"""In the party's folder, or in its state where the party has made none."""


def make_identity(folder: Path) -> bool:
    """Write a fresh identity into a folder, for this user alone; False if there is one, which stays as it is."""
    draft = folder / f".{FILE_NAME}.{os.getpid()}"
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(Identity.new().pem())
        # Of two processes that make one at the same time, the first wins.
        (folder / FILE_NAME).hardlink_to(draft)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def read_identity(folder: Path) -> Identity:
    """The identity in a folder. Raises DataError when it cannot be read, or others may read it, too."""
    path = folder / FILE_NAME
    try:
        about = path.stat()
        if about.st_mode & 0o077:
            raise DataError(f"{path} can be read by other users; run `chmod 600 {path}`.")
        return _read(path, about.st_mtime_ns)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; `siloscore keys {folder}` makes it.") from None


def own_identity(data: Path, state: Path) -> Identity:
    """The identity of the party with these folders: in its data folder, or else in its state, made at first use.

    Raises DataError as `read_identity` does, and DiskFull.
    """
    if (data / FILE_NAME).exists():
        return read_identity(data)
    with explained():
        make_private(state)
        make_identity(state)
    return read_identity(state)


@lru_cache(maxsize=16)
def _read(path: Path, changed: int) -> Identity:
    try:
        return Identity.of_pem(path.read_bytes())
    except ValueError:
        raise DataError(
            f"{path} holds no identity; remove it, and make a new one with `siloscore keys`."
        ) from None
