"""A party's worker: one long-lived process that answers its SuperNode's tasks by the code that the party installed.

Flower's own way is a process for every message, which runs the code that the coordinator has shipped. This worker never
opens what was shipped, and answers at once instead of after the imports. It needs a SuperNode that was started with
`--isolation process`, and speaks an interface of Flower's that is internal, so it works with one minor version only.

`clients/node.py` starts it together with its SuperNode.
"""

import argparse
import logging
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import httpx

from fl.errors import ConfigError

if TYPE_CHECKING:
    from clients.tasks import Tasks

log = logging.getLogger(__name__)

FLOWER = "1.41"
"""The version of Flower whose internals `clients/tasks.py` speaks."""

_SHORTEST_PAUSE, _LONGEST_PAUSE, _RETRY_SECONDS = 0.05, 1.0, 1.0
"""The pause between two looks for a task is a twentieth of the time without one, within these bounds."""


def require_flower(installed: str) -> None:
    """Raises ConfigError unless this is the version of Flower that the worker was written for.

    >>> require_flower("1.41.3")
    >>> require_flower("1.42.0")
    Traceback (most recent call last):
    fl.errors.ConfigError: The worker needs Flower 1.41, and 1.42.0 is installed. Install that version, or start a \
plain SuperNode with --plain; docs/threat-model.md says what that means.
    """
    if not installed.startswith(f"{FLOWER}."):
        raise ConfigError(
            f"The worker needs Flower {FLOWER}, and {installed} is installed. Install that version, or start a plain "
            "SuperNode with --plain; docs/threat-model.md says what that means."
        )


def work(tasks: "Tasks") -> NoReturn:
    """Answer tasks until something fails that no later task can mend.

    A task without a message is forgotten. After any other error this ends, and its SuperNode has to be restarted with
    it: what has reached the SuperNode of a reply is of no use, and the coordinator asks again.
    """
    from clients.tasks import Forgotten

    last = time.monotonic()
    while True:
        try:
            token = tasks.acquire()
        except httpx.TransportError as error:
            log.info("The SuperNode does not answer: %s", error)
            time.sleep(_RETRY_SECONDS)
            continue
        if token:
            try:
                tasks.answer(token)
            except Forgotten as error:
                log.warning("A task has no message any more: %s", error)
            last = time.monotonic()
        else:
            time.sleep(min(max(_SHORTEST_PAUSE, (time.monotonic() - last) / 20), _LONGEST_PAUSE))


def main() -> None:
    """Answer tasks until the process is ended."""
    parser = argparse.ArgumentParser(
        "python -m clients.worker", description="Answer the tasks of a SuperNode."
    )
    parser.add_argument("--supernode", required=True, help="HOST:PORT of the SuperNode's Runtime API.")
    parser.add_argument(
        "--secret", type=Path, required=True, help="File with the secret that it shares with it."
    )
    parser.add_argument(
        "--beat", type=Path, required=True, help="File to touch whenever the SuperNode has answered."
    )
    given = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        require_flower(version("flwr"))
    except ConfigError as error:
        sys.exit(str(error))

    from clients import answering  # noqa: F401  (so that the first message need not wait for what answers it)
    from clients.app import app
    from clients.tasks import Tasks

    work(Tasks(given.supernode, given.secret.read_bytes(), app, given.beat.touch))


if __name__ == "__main__":
    main()
