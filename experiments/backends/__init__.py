"""Where a federation runs: in one process (`inline`), in Flower's Simulation Engine (`simulation`), or in processes of
separate organisations (`deployment`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clients.session import party_log
from experiments.backends import deployment, inline, simulation
from experiments.backends.flower import BackendError, RunFederation
from fl.config.run import RunConfig
from server.exchange import FederationError
from server.progress import Report

BACKENDS = {"simulation": simulation.opened, "inline": inline.opened, "deployment": deployment.opened}


@contextmanager
def open_backend(name: str, parties: int) -> Iterator[RunFederation]:
    """A backend of `BACKENDS` for the length of a `with`: gives a function that runs a configuration to its end.

    parties is the most among which a run shares the cores. Open it early: what it needs starts in the background.
    Afterwards the parties' stores hold what was trained. An error of a run has as notes what the parties have written
    to their own logs meanwhile: other parties are not told, but whoever runs all of them here may read it.
    """
    with BACKENDS[name](parties) as run_federation:

        def run(config: RunConfig, report: Report) -> None:
            logs = [party_log(config, config.data_folder / party) for party in config.parties]
            before = {log: len(_content(log)) for log in logs}
            try:
                run_federation(config, report)
            except (BackendError, FederationError) as error:
                for log in logs:
                    if written := _content(log)[before[log] :].decode(errors="replace").strip():
                        error.add_note(f"{log}: {written}")
                raise

        yield run


def _content(log: Path) -> bytes:
    return log.read_bytes() if log.exists() else b""
