"""Flower's SuperNode as a process that ends when the SuperNode has given up, and that passes replies on without delay.

`flower-supernode` serves its worker from a thread of its own. When its connection to the coordinator has failed for
good, or a thread of it has died, it goes on serving, looks alive, and answers no message any more. A process that has
ended can be restarted (`clients/supervisor.py`). Two more things are changed here where there is a worker, and thus a
known version of Flower: it looks for its worker's reply, and for each part of that, only twice a second; and it may
wait for ever for the rest of a message.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from types import SimpleNamespace
from typing import Any, NoReturn

_FLOWERS_REPLY_SECONDS, _REPLY_SECONDS = 0.5, 0.05
"""Between two looks for a reply of the worker's: by default, and here."""
_MESSAGE_SECONDS = 120.0
"""After these no part of a message may be missing at the SuperLink, which holds it whole soon after it announced it."""


def main() -> NoReturn:
    """Run `flower-supernode` with this process's arguments."""
    usual = threading.excepthook

    def end(failed: threading.ExceptHookArgs) -> None:
        usual(failed)
        _end(1)

    threading.excepthook = end
    if "process" in sys.argv:
        loop = vars(import_module("flwr.supernode.start_client_internal"))
        loop["time"] = SimpleNamespace(sleep=_sleep)
        loop["pull_objects"] = whole(loop["pull_objects"])
    (program,) = entry_points(group="console_scripts", name="flower-supernode")
    try:
        program.load()()
    except SystemExit as left:
        _end(left.code if isinstance(left.code, int) else 1)
    _end(1)


def whole(pull: Callable[..., dict[str, bytes]]) -> Callable[..., dict[str, bytes]]:
    """Flower's way to get the parts of a message, which now fails when the rest will not come.

    That happens when the coordinator's process dies while it sends the message. Flower waits until the run has ended,
    and then leaves the message as it is, for whose rest the worker waits for ever. A failure takes the message back.
    """
    from flwr.supercore.run import RunNotRunningException

    def pull_whole(parts: list[str], **options: Any) -> dict[str, bytes]:
        try:
            return pull(parts, max_time=_MESSAGE_SECONDS, **options)
        except RunNotRunningException as error:
            raise RuntimeError("the run has ended") from error

    return pull_whole


def _sleep(seconds: float) -> None:
    time.sleep(_REPLY_SECONDS if seconds == _FLOWERS_REPLY_SECONDS else seconds)


def _end(code: int) -> NoReturn:
    """End at once, whatever other threads do."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
