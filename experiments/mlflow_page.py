"""The address of a study's leaderboard in MLflow's browser interface, and the server that shows it."""

import os
import signal
import sys
from pathlib import Path

from experiments.servers import running
from fl.errors import ConfigError
from server.tracking import ENVIRONMENT
from server.tracking.leaderboard import KEY


def latest_link(store: Path, experiment: str, port: int = 5000) -> str:
    """The address of an experiment's latest study, once MLflow serves the store on the port.

    Raises ConfigError when there is no such store or experiment.
    """
    from mlflow import MlflowClient

    entity = MlflowClient(store_uri(store)).get_experiment_by_name(experiment)
    if entity is None:
        raise ConfigError(f"The MLflow store {store} has no experiment {experiment!r}.")
    return leaderboard_link(f"http://127.0.0.1:{port}", entity.experiment_id)


def leaderboard_link(base_url: str, experiment_id: str) -> str:
    """The address of an experiment's leaderboard at an MLflow server.

    Without the workflow type, MLflow opens its pages for language-model applications instead.
    """
    query = f"workflowType=machine_learning&viewStateShareKey={KEY}"
    return f"{base_url.rstrip('/')}/#/experiments/{experiment_id}/runs?{query}"


def server_command(uri: str, port: int) -> list[str]:
    """The command that serves the store `uri` to browsers on this machine only; run it in `ENVIRONMENT`."""
    address = ["--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--workers", "1", *address]


def serve(store: Path, port: int) -> int:
    """Run MLflow's server on a store until this process is told to end (Ctrl-C, SIGTERM), which raises SystemExit.

    Returns only if the server ends by itself: its exit code, which MLflow also lets be 0 when it has failed.
    """
    command = server_command(store_uri(store), port)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    with running(command, env=os.environ | ENVIRONMENT) as server:
        return server.wait()


def store_uri(store: Path) -> str:
    """The tracking URI of a store. Raises ConfigError when it does not exist."""
    if not store.exists():
        raise ConfigError(f"There is no MLflow store {store}; `siloscore compare` makes one.")
    return f"sqlite:///{store.resolve()}"
