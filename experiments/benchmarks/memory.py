"""The memory of a run: the peak of each process that takes part, as Linux counts it (VmHWM of /proc/<pid>/status).

A peak is that of a process's whole life, so what is to be measured runs in a process of its own.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """Megabytes of resident memory at their peak, of this process and of all that it starts, in no order."""
    peaks: dict[int, float] = {}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.25):
            peaks.update(_peaks())

    watcher, found = threading.Thread(target=watch), [0.0]
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()
        peaks.update(_peaks())
        found[:] = peaks.values()


def _peaks() -> dict[int, float]:
    """By process id: the VmHWM of this process and its descendants, in megabytes. A process may end meanwhile."""
    parents, sizes = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            lines = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(folder.name)] = int(lines["PPid"])
        sizes[int(folder.name)] = int(lines.get("VmHWM", "0 kB").split()[0]) / 1024
    family = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return {process: sizes[process] for process in family if process in sizes}
