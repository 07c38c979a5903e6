"""Flower's SuperNode as a process that ends when the SuperNode has given up, and that passes replies on without delay.

`flower-supernode` serves its worker from a thread of its own. When its connection to the coordinator has failed for
good, or a thread of it has died, it goes on serving, looks alive, and answers no message any more. A process that has
ended can be restarted (`clients/supervisor.py`). And it looks for its worker's reply, and for each part of that, only
twice a second, which is changed here where there is a worker, and thus a known version of Flower.
"""

import os
import sys
import threading
import time
from importlib import import_module
from importlib.metadata import entry_points
from types import SimpleNamespace
from typing import NoReturn

_FLOWERS_REPLY_SECONDS, _REPLY_SECONDS = 0.5, 0.05
"""Between two looks for a reply of the worker's: by default, and here."""


def main() -> NoReturn:
    """Run `flower-supernode` with this process's arguments."""
    usual = threading.excepthook

    def end(failed: threading.ExceptHookArgs) -> None:
        usual(failed)
        _end(1)

    threading.excepthook = end
    if "process" in sys.argv:
        vars(import_module("flwr.supernode.start_client_internal"))["time"] = SimpleNamespace(sleep=_sleep)
    (program,) = entry_points(group="console_scripts", name="flower-supernode")
    try:
        program.load()()
    except SystemExit as left:
        _end(left.code if isinstance(left.code, int) else 1)
    _end(1)


def _sleep(seconds: float) -> None:
    time.sleep(_REPLY_SECONDS if seconds == _FLOWERS_REPLY_SECONDS else seconds)


def _end(code: int) -> NoReturn:
    """End at once, whatever other threads do."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
