"""A party's node: its SuperNode and its worker, kept running as one unit.

`python -m clients.node DIR …` is what a party runs, under its own service manager. The SuperNode speaks with the
coordinator's front door, and the worker answers for the party (`clients/worker.py`). They are restarted together, since
each keeps half of a message that is being answered. With `--plain`, Flower's SuperNode runs alone, and answers by
whatever code the coordinator ships.

Files in the node's own folder:

    superexec.secret        shared by the SuperNode and the worker; made at the first start
    worker.beat             touched whenever the worker has heard of its SuperNode
    status.json             how the two are (`clients.supervisor.Health`)
    supernode.log, worker.log
"""

import argparse
import os
import secrets
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from clients.supervisor import Program, Unit, supervise

UNIT = "node"
STATUS, BEAT, SECRET = "status.json", "worker.beat", "superexec.secret"

_SILENCE_SECONDS = 120.0
"""A worker hears of its SuperNode every 30 seconds while it computes, unless that keeps all of Python waiting."""
_FLOWER = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
}


def main() -> None:
    """Keep the node running until the process is ended."""
    parser = argparse.ArgumentParser(
        "python -m clients.node", description="Run a party's SuperNode and its worker."
    )
    parser.add_argument("data", type=Path, metavar="DIR", help="The party's folder, with its party.toml.")
    parser.add_argument("--coordinator", required=True, help="HOST:PORT of the coordinator's front door.")
    parser.add_argument(
        "--root-certificates", type=Path, required=True, help="PEM file that signs the coordinator's."
    )
    parser.add_argument(
        "--key", type=Path, required=True, help="Private key that the coordinator has registered."
    )
    parser.add_argument("--folder", type=Path, required=True, help="Folder for the node's own files.")
    parser.add_argument("--port", type=int, default=9094, help="Local port between the two. Default: 9094.")
    parser.add_argument("--plain", action="store_true", help="Answer by the code that the coordinator ships.")
    given = parser.parse_args()
    if "'" in str(given.data):
        parser.error("the path of the party's folder has an apostrophe in it, which Flower cannot read")
    given.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    supervise([node(given)], given.folder / STATUS)


def node(given: argparse.Namespace) -> Unit:
    """The unit of a node that was started with these arguments."""
    folder: Path = given.folder.resolve()
    secret, beat, address = folder / SECRET, folder / BEAT, f"127.0.0.1:{given.port}"
    # -P: the working folder may have packages that are called like ours.
    python = (sys.executable, "-P", "-m")
    supernode = (
        *(*python, "clients.supernode", "--superlink", given.coordinator),
        *("--root-certificates", str(given.root_certificates.resolve())),
        *("--auth-supernode-private-key", str(given.key.resolve())),
        *("--host", "127.0.0.1", "--port", str(given.port)),
        *("--node-config", f"party-folder='{given.data.resolve()}'"),
    )
    environment = {
        **_FLOWER,
        "FLWR_HOME": str(folder / "flower"),
        # Flower starts its programs by name: those of this environment must come first.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    if given.plain:
        alone = (Program("supernode", supernode, environment),)
        return Unit(UNIT, alone, folder, lambda started: _answers(address))
    if not secret.exists():
        with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
    isolated = (*supernode, "--isolation", "process", "--superexec-auth-secret-file", str(secret))
    worker = (*python, "clients.worker", "--supernode", address, "--secret", str(secret), "--beat", str(beat))
    both = (Program("supernode", isolated, environment), Program("worker", worker, environment))

    def has_beaten(started: float) -> bool:
        return bool(beat.exists() and beat.stat().st_mtime > started)

    def silence(started: float) -> str:
        seconds = time.time() - beat.stat().st_mtime
        return (
            f"its worker has not heard of it for {seconds:.0f} seconds" if seconds > _SILENCE_SECONDS else ""
        )

    return Unit(UNIT, both, folder, has_beaten, silence)


def _answers(address: str) -> bool:
    """Whether a SuperNode serves at an address."""
    with suppress(OSError), urllib.request.urlopen(f"http://{address}/health", timeout=1):
        return True
    return False


if __name__ == "__main__":
    main()
