"""Where a federation runs: all in one process (`inline`), or in Flower's Simulation Engine (`simulation`)."""

from contextlib import AbstractContextManager

from experiments.backends import inline, simulation
from experiments.backends.simulation import RunFederation

BACKENDS = {"simulation": simulation.opened, "inline": inline.opened}


def open_backend(name: str, parties: int) -> AbstractContextManager[RunFederation]:
    """A backend of `BACKENDS` for the length of a `with`: gives a function that runs a configuration to its end.

    parties is the most of any run. Afterwards the parties' stores hold what was trained. Open it early: what it needs
    starts in the background.
    """
    return BACKENDS[name](parties)
