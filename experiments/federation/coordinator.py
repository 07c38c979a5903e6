"""The coordinator's supervisor: the SuperLink, its executor, and the front door, each restarted on its own.

A run survives the death of each, since its ServerApp is a process by itself, which ends with the supervisor alone.
"""

import argparse
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from clients.supervisor import Program, Unit, supervise
from experiments.federation.layout import Coordinator

SUPERLINK, EXECUTOR, FRONT_DOOR = "superlink", "executor", "front-door"

_LOOK_SECONDS, _SILENCE_SECONDS = 5.0, 60.0


def main() -> None:
    """Keep the coordinator's programs running until the process is ended."""
    parser = argparse.ArgumentParser("python -m experiments.federation.coordinator", description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--superlink", type=int, required=True, metavar="PORT")
    parser.add_argument("--front-door", type=int, required=True, metavar="PORT")
    given = parser.parse_args()
    coordinator = Coordinator(given.folder.resolve())
    supervise(units(coordinator, given.superlink, given.front_door), coordinator.status)


def units(coordinator: Coordinator, superlink_port: int, front_door_port: int) -> list[Unit]:
    """The coordinator's programs on these ports."""
    superlink, authority = f"127.0.0.1:{superlink_port}", str(coordinator.authority)
    certificate, key, secret = str(coordinator.certificate), str(coordinator.key), str(coordinator.secret)
    commands = {
        SUPERLINK: (
            *("flower-superlink", "--host", "127.0.0.1", "--port", str(superlink_port)),
            *("--ssl-ca-certfile", authority, "--ssl-certfile", certificate, "--ssl-keyfile", key),
            *("--database", str(coordinator.database), "--enable-supernode-auth", "--isolation", "process"),
            *("--superexec-auth-secret-file", secret, "--disable-runtime-dependency-installation"),
        ),
        EXECUTOR: (
            *(sys.executable, "-P", "-m", "server.executor", "--superlink", superlink),
            *("--root-certificates", authority, "--secret", secret, "--locks", str(coordinator.flower)),
            *("--parent-pid", str(os.getpid())),
        ),
        FRONT_DOOR: (
            *(sys.executable, "-P", "-m", "server.front_door", "--port", str(front_door_port)),
            *("--certificate", certificate, "--key", key, "--superlink", superlink),
            *("--root-certificates", authority, "--database", str(coordinator.database)),
        ),
    }
    pages = {
        SUPERLINK: Page(f"https://{superlink}/health", coordinator.authority),
        FRONT_DOOR: Page(f"https://127.0.0.1:{front_door_port}/", coordinator.authority),
    }
    made = []
    for name, command in commands.items():
        page, programs = pages.get(name), (Program(name, command, {}),)
        if page:
            made.append(Unit(name, programs, coordinator.folder, page.answers, page.silence))
        else:
            made.append(Unit(name, programs, coordinator.folder, lambda started: True))
    return made


class Page:
    """A page of a server over TLS, by which to tell whether the server does its work."""

    def __init__(self, address: str, authority: Path) -> None:
        self._address, self._authority = address, authority
        self._looked = self._answered = 0.0

    def answers(self, started: float) -> bool:
        """Whether there is an answer, which may be that there is no such page."""
        self._looked = time.time()
        try:
            trust = ssl.create_default_context(cafile=str(self._authority))
            urllib.request.urlopen(self._address, timeout=5, context=trust).close()
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            return False
        self._answered = time.time()
        return True

    def silence(self, started: float) -> str:
        """For how long there has been no answer, once that is too long."""
        if time.time() - self._looked > _LOOK_SECONDS and not self.answers(started):
            silent = time.time() - max(started, self._answered)
            if silent > _SILENCE_SECONDS:
                return f"it has not answered for {silent:.0f} seconds"
        return ""


if __name__ == "__main__":
    main()
