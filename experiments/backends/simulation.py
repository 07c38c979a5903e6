"""Flower's Simulation Engine, as `flwr run` starts it, in surroundings of its own.

Every run gets a SuperLink on a free local port and a `FLWR_HOME` of its own: the SuperLink that `flwr run` would
start by itself outlives the run and keeps the interpreter and the folder of its first launch. The app that is
submitted is a pyproject.toml which points to the installed packages, launched from a folder with nothing else in it,
so that no folder of the user's that happens to be called `clients` comes first.
"""

import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from experiments.backends.flower import BackendError, Flower, RunFederation, flower_environment, tail
from experiments.servers import free_port, running
from fl.config.run import RunConfig
from server.progress import Report

_START_SECONDS = 60


@dataclass(frozen=True)
class _Link:
    """A running SuperLink."""

    process: subprocess.Popen[bytes]
    port: int
    flower: Flower

    def check(self, number: str) -> None:
        """Raises BackendError when it has ended."""
        if self.process.poll() is not None:
            raise BackendError(f"Flower's SuperLink ended by itself.\n{tail(self.flower.log)}")


@contextmanager
def opened(parties: int, serverapp: str = "server.app:app") -> Iterator[RunFederation]:
    """A SuperLink, which starts while the caller goes on: gives a function that runs configurations on it.

    parties is the most among which a run shares the cores. The function raises BackendError as `Flower.run` does.
    """
    with (
        tempfile.TemporaryDirectory(prefix="siloscore-", ignore_cleanup_errors=True) as folder,
        _superlink(Path(folder), parties) as link,
    ):

        def run(config: RunConfig, report: Report) -> None:
            _wait_until_healthy(link)
            link.flower.run(config, report, serverapp, _resources(config), link.check)

        yield run


def _resources(config: RunConfig) -> tuple[str, str]:
    parties = len(config.parties)
    processors = max(1, min(parties, os.cpu_count() or 1))
    return (
        "--federation-config",
        f"num-supernodes={parties} client-resources-num-cpus=1 init-args-num-cpus={processors} "
        "init-args-log-to-driver=false",
    )


@contextmanager
def _superlink(home: Path, parties: int) -> Iterator[_Link]:
    port, cores = free_port(), os.cpu_count() or 1
    environment = {
        **flower_environment(home),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Passive parties work at the same time: each may use its part of the cores.
        "LOKY_MAX_CPU_COUNT": os.environ.get("LOKY_MAX_CPU_COUNT", str(max(1, cores // max(1, parties - 1)))),
    }
    flower = Flower(home, home / "superlink.log", environment)
    flower.connect(f"127.0.0.1:{port}")
    command = [
        *("flower-superlink", "--insecure", "--simulation", "--isolation", "subprocess"),
        *("--host", "127.0.0.1", "--port", str(port), "--log-file", str(flower.log)),
    ]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with running(command, env=environment, cwd=home, **silent) as process:
        yield _Link(process, port, flower)


def _wait_until_healthy(link: _Link) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and link.process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{link.port}/health", timeout=1):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise BackendError(f"Flower's SuperLink did not start.\n{tail(link.flower.log)}")
