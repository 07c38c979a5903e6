"""Servers that a command starts on this machine: a port for them, and their end with the command, however it ends."""

import errno
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from importlib.metadata import version
from typing import Any

from fl.errors import ConfigError


def free_port() -> int:
    """A port on this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_port(port: int) -> None:
    """Raises ConfigError unless a server can listen on a port of this machine."""
    with socket.socket() as probe:
        # As servers do: a port is free although connections to the last server on it are still being closed.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = f"is taken by {_listener(port)}" if taken else f"cannot be used: {error.strerror}"
            raise ConfigError(
                f"Port {port} {why}. Name another with --port; --port 0 takes a free one."
            ) from None


def _listener(port: int) -> str:
    """What listens on a port, as far as it tells."""
    address = f"http://127.0.0.1:{port}/version"
    # What does not speak HTTP, or has no such page, is not MLflow.
    with suppress(OSError, HTTPException), urllib.request.urlopen(address, timeout=1) as page:
        if page.read(100) == version("mlflow").encode():
            return "an MLflow server, perhaps of another `siloscore ui`"
    return "another program"


@contextmanager
def running(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A server for the length of a `with`; it and all that it has started end then, or when this process is killed.

    options are those of `subprocess.Popen`. The process that it gives is the server's guard (`experiments.guard`),
    which ends when the server does, with the server's exit code.
    """
    # -P: the folder in which the user works may have packages that are called like ours.
    guard = [sys.executable, "-P", "-m", "experiments.guard", *command]
    server = subprocess.Popen(guard, stdin=subprocess.PIPE, start_new_session=True, **options)
    try:
        yield server
    finally:
        server.stdin.close()
        server.wait()
