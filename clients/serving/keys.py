"""Keys of the service's clients: a file in the bank's folder has each client's name and the salted hash of its key.

A key has 256 random bits, so that nobody can try all keys and one round of SHA-256 is enough. It is shown once, when it
is made. The file is read again whenever it changes: who removes a client's line ends its access at once.
"""

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path
from typing import Any

import tomli_w

from clients.data.declaration import read_toml
from clients.data.errors import DataError

FILE_NAME = "clients.toml"
_CLIENT = r"[A-Za-z0-9_-]{1,50}"


def new_key(folder: Path, client: str) -> str:
    """Make a key for a client, in place of one that it may have. Raises DataError for a name that is not allowed."""
    if re.fullmatch(_CLIENT, client) is None:
        raise DataError(
            f"A client's name has up to 50 letters, digits, '_' and '-', and {client!r} has others."
        )
    path = folder / FILE_NAME
    clients = read_toml(path) if path.exists() else {}
    secret, salt = secrets.token_urlsafe(32), secrets.token_bytes(16)
    clients[client] = {"salt": salt.hex(), "sha256": _hash(salt, secret).hex()}
    draft = folder / f".{FILE_NAME}.{os.getpid()}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(tomli_w.dumps(clients))
    draft.replace(path)
    return f"{client}.{secret}"


class Keys:
    """The keys of a bank's folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._changed, self._clients = -1, dict[str, tuple[bytes, bytes]]()

    def client_of(self, key: str) -> str | None:
        """The client with this key; None if there is none. Raises DataError if the file cannot be read."""
        client, _, secret = key.partition(".")
        # Somebody who has no key should not learn by the time that it takes which clients there are.
        salt, expected = self._read().get(client, (bytes(16), bytes(32)))
        return client if hmac.compare_digest(_hash(salt, secret), expected) else None

    def _read(self) -> dict[str, tuple[bytes, bytes]]:
        changed = self._path.stat().st_mtime_ns if self._path.exists() else 0
        if changed != self._changed:
            content = read_toml(self._path) if changed else {}
            self._clients = {
                client: _read_client(client, about, self._path) for client, about in content.items()
            }
            self._changed = changed
        return self._clients


def _read_client(client: str, about: Any, path: Path) -> tuple[bytes, bytes]:
    try:
        salt, digest = bytes.fromhex(about["salt"]), bytes.fromhex(about["sha256"])
    except (KeyError, TypeError, ValueError):
        raise DataError.at(
            path, f"the lines of {client} are not as siloscore serve --new-key writes them."
        ) from None
    return salt, digest


def _hash(salt: bytes, secret: str) -> bytes:
    return hashlib.sha256(salt + secret.encode()).digest()
