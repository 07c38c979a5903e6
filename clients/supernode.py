"""Flower's SuperNode as a process that ends when the SuperNode has given up.

`flower-supernode` serves its worker from a thread of its own. When its connection to the coordinator has failed for
good, or a thread of it has died, it goes on serving, looks alive, and answers no message any more. A process that has
ended can be restarted (`clients/supervisor.py`).
"""

import os
import sys
import threading
from importlib.metadata import entry_points
from typing import NoReturn


def main() -> NoReturn:
    """Run `flower-supernode` with this process's arguments."""
    usual = threading.excepthook

    def end(failed: threading.ExceptHookArgs) -> None:
        usual(failed)
        _end(1)

    threading.excepthook = end
    (program,) = entry_points(group="console_scripts", name="flower-supernode")
    try:
        program.load()()
    except SystemExit as left:
        _end(left.code if isinstance(left.code, int) else 1)
    _end(1)


def _end(code: int) -> NoReturn:
    """End at once, whatever other threads do."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
