"""Where a federation runs: all in one process (`inline`), or in Flower's Simulation Engine (`simulation`)."""

from experiments.engines import inline, simulation
from fl.config import RunConfig
from server.progress import Report

BACKENDS = {"simulation": simulation.run, "inline": inline.run}


def run_federation(backend: str, config: RunConfig, report: Report) -> None:
    """Run the configuration on a backend of `BACKENDS`; afterwards the parties' stores hold what was trained."""
    BACKENDS[backend](config, report)
