"""How many applicants a second the bank's service answers, and how long a request takes, over real connections.

`python -m experiments.benchmarks.serving` simulates an economy, trains a model in it, starts `siloscore serve` as a
process, and lets clients in this process post applicants with their columns, each as soon as it has the last answer.
The reserve model answers, and every answer waits until its applicant is on the disk in the queue.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import pandas as pd
import typer

from clients.parties import open_party
from clients.serving.keys import new_key
from experiments.backends import open_backend
from experiments.dataset import Dataset
from experiments.economies import economy
from experiments.servers import free_port, running
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from server.progress import ignore
from server.tracking.pages import markdown_table

CASES = ((1, 1), (8, 1), (32, 1), (4, 100))
"""Clients, and applicants of a request."""
_START_SECONDS = 120

command = typer.Typer()


def trained(dataset: Dataset, folder: Path) -> str:
    """A model trained with the default settings, but for the encryption, which changes no model; its name."""
    config = TrainingConfig.from_mapping(
        {
            "data": str(dataset.folder),
            "parties": ",".join(dataset.parties),
            "study": "serving",
            "contenders": "federated-boosting",
            "boosting.encryption": "plain",
            "tracking-uri": f"sqlite:///{folder}/mlflow.db",
        }
    )
    with open_backend("inline", len(dataset.parties)) as run_federation:
        run_federation(config, ignore)
    return "serving/federated-boosting/1"


@contextmanager
def served(bank: Path, model: str) -> Iterator[httpx.Client]:
    """The service as a process; gives a client with a key."""
    key, port = new_key(bank, "benchmark"), free_port()
    arguments = ["serve", str(bank), "--run", model, "--port", str(port)]
    program = "import sys; from experiments.cli import main; sys.argv[0] = 'siloscore'; main()"
    with (
        running([sys.executable, "-c", program, *arguments], stdout=subprocess.DEVNULL) as process,
        httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}, timeout=60
        ) as client,
    ):
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                client.get("/health")
                break
            except httpx.TransportError:
                time.sleep(0.2)
        else:
            raise ConfigError("The service did not start; what it says stands above.")
        yield client


def seconds_of_posts(
    client: httpx.Client, clients: int, batches: Iterator[bytes], seconds: float
) -> list[float]:
    """How long each request took, by so many clients at the same time for so many seconds."""
    took, lock, ends = list[float](), threading.Lock(), time.monotonic() + seconds

    def work() -> None:
        while time.monotonic() < ends:
            with lock:
                body = next(batches)
            began = time.perf_counter()
            answer = client.post("/applicants", content=body, headers={"Content-Type": "application/json"})
            answer.raise_for_status()
            with lock:
                took.append(time.perf_counter() - began)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


def bodies(columns: Sequence[dict[str, Any]], size: int, mark: str) -> Iterator[bytes]:
    """Requests of so many applicants each, none of whom was posted before, with the columns of the bank's in turn."""
    numbers = count()
    while True:
        batch = [
            {"id": f"{mark}{number}", "month": "2023-06", "columns": columns[number % len(columns)]}
            for number in islice(numbers, size)
        ]
        yield json.dumps({"applicants": batch}).encode()


def rows_of(bank: Path) -> list[dict[str, Any]]:
    """The declared columns of the bank's applicants, as a client posts them."""
    party = open_party(bank, labelled=False)
    applications = party.applications()
    months = applications["month"].to_numpy().astype("datetime64[M]")
    frame = party.matrix(applications.index.to_numpy().astype(np.str_), months, special=True).astype(object)
    return frame.where(frame.notna(), None).to_dict("records")


@command.command(help=__doc__)
def main(
    businesses: Annotated[int, typer.Option(help="Applicants in the bank's records.")] = 20_000,
    seconds: Annotated[float, typer.Option(help="Length of each measurement.")] = 15.0,
) -> None:
    """Measure every case and print a table."""
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="siloscore-") as folder,
        economy("base", 1, businesses) as dataset,
    ):
        bank = dataset.folder / dataset.holder
        columns = rows_of(bank)
        with served(bank, trained(dataset, Path(folder))) as client:
            seconds_of_posts(client, 1, bodies(columns, 1, "first"), 1.0)
            for number, (clients, size) in enumerate(CASES):
                took = seconds_of_posts(client, clients, bodies(columns, size, f"case{number}-"), seconds)
                rows.append(summary(clients, size, took, seconds))
    print(markdown_table(pd.DataFrame(rows)))


def summary(clients: int, size: int, took: Sequence[float], seconds: float) -> dict[str, float]:
    """A row of the table, of requests that took so many seconds each."""
    return {
        "clients": clients,
        "applicants of a request": size,
        "requests": len(took),
        "applicants per second": round(len(took) * size / seconds, 1),
        "median, ms": round(1000 * float(np.median(took)), 1),
        "p99, ms": round(1000 * float(np.quantile(took, 0.99)), 1),
    }


if __name__ == "__main__":
    command()
