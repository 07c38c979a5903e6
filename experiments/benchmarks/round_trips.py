"""What a round trip costs on each backend, and what the coordinator's exchange adds to Flower's own.

`python -m experiments.benchmarks.round_trips --data data/demo` asks every party the cheapest question there is (its
description, with the party's data in memory) many times: in turn by Flower's `send_and_receive` and by `Exchange`,
so that both meet the same noise. Medians, in milliseconds of wall time.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import typer
from flwr.app import Context, Message
from flwr.serverapp import Grid, ServerApp

from experiments.backends import simulation
from experiments.backends.inline import InlineGrid
from experiments.dataset import open_dataset
from experiments.options import Data
from fl.config.run import TrainingConfig, read_config
from fl.handshake import DescribeRequest
from fl.protocols import message_type
from fl.wire import Envelope, pack
from server.exchange import Exchange
from server.progress import Progress, append_to

REPEATS = 100

app = ServerApp()
command = typer.Typer()


@app.main()
def main_of_app(grid: Grid, context: Context) -> None:
    """Measure within Flower's Simulation Engine and report through the progress file."""
    config = read_config(context.run_config)
    append_to(Path(config.progress))(Progress("done", metrics=measure(grid, config)))


def measure(grid: Grid, config: TrainingConfig) -> dict[str, float]:
    """Median milliseconds per round trip: `flower` by its own call, `exchange` by ours."""
    exchange = Exchange(grid, config.study, config.party_timeout)
    names = exchange.connect(len(config.parties), config.connect_timeout)
    nodes, action = list(grid.get_node_ids()), message_type(DescribeRequest)

    def flower() -> None:
        content = pack(DescribeRequest(), Envelope(config.study))
        list(grid.send_and_receive([Message(content, node, action) for node in nodes]))

    def ours() -> None:
        exchange.ask(dict.fromkeys(names, DescribeRequest()))

    times = [(_seconds(flower), _seconds(ours)) for _ in range(REPEATS)]
    medians = (1000 * statistics.median(values) for values in zip(*times, strict=True))
    return dict(zip(("flower", "exchange"), medians, strict=True))


def _seconds(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


@command.command(help=__doc__)
def main(data: Data = Path("data/demo")) -> None:
    """Measure both backends and print a table."""
    dataset, events = open_dataset(data), list[Progress]()
    with (
        tempfile.TemporaryDirectory() as state,
        simulation.opened(len(dataset.parties), "experiments.benchmarks.round_trips:app") as run_federation,
    ):
        config = TrainingConfig(
            data=str(dataset.folder), parties=dataset.parties, state=state, study="round-trips"
        )
        run_federation(config, events.append)
        rows = {"simulation": events[-1].metrics, "inline": measure(InlineGrid(config), config)}
    print(
        "| backend | Flower's `send_and_receive`, ms | `Exchange`, ms | added, ms |\n| --- | ---: | ---: | ---: |"
    )
    for backend, row in rows.items():
        flower, ours = row["flower"], row["exchange"]
        print(f"| {backend} | {flower:.1f} | {ours:.1f} | {ours - flower:+.1f} |")


if __name__ == "__main__":
    command()
