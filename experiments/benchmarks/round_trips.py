"""What a round trip costs on each backend, and what the coordinator's exchange adds to Flower's own.

`python -m experiments.benchmarks.round_trips --data data/demo` asks every party the cheapest question there is (its
description, with the party's data in memory) many times: in turn by Flower's `send_and_receive` and by `Exchange`,
so that both meet the same noise. Medians, in milliseconds of wall time. With `--backend deployment` it asks the parties
of the federation that `siloscore federation up` has started there, by `Exchange` alone, and first tells what that
federation takes of the machine while nothing happens.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import typer
from flwr.app import Context, Message
from flwr.serverapp import Grid, ServerApp

from experiments.backends import deployment, simulation
from experiments.backends.inline import InlineGrid
from experiments.dataset import open_dataset, party_names
from experiments.federation.layout import Layout
from experiments.federation.processes import processes
from experiments.options import Backend, Data
from fl.config.run import TrainingConfig, read_config
from fl.handshake import DescribeRequest
from fl.protocols import message_type
from fl.wire import Envelope, pack
from server.exchange import Exchange
from server.progress import Progress, append_to
from server.remote_grid import bounded

REPEATS, DEPLOYED_REPEATS = 100, 50
IDLE_SECONDS = 30.0

app = ServerApp()
deployed = ServerApp()
command = typer.Typer()


@app.main()
def main_of_app(grid: Grid, context: Context) -> None:
    """Measure within Flower's Simulation Engine and report through the progress file."""
    config = read_config(context.run_config)
    append_to(Path(config.progress))(Progress("done", metrics=measure(grid, config)))


@deployed.main()
def main_of_deployed(grid: Grid, context: Context) -> None:
    """Measure within a deployment, and report through the progress file."""
    config = read_config(context.run_config)
    exchange = Exchange(bounded(grid), config.study, config.party_timeout)
    names = exchange.connect(config.parties, config.connect_timeout)
    times = [
        _seconds(lambda: exchange.ask(dict.fromkeys(names, DescribeRequest())))
        for _ in range(DEPLOYED_REPEATS)
    ]
    metrics = {"median": statistics.median(times), "least": min(times), "most": max(times)}
    append_to(Path(config.progress))(Progress("done", metrics=metrics))


def measure(grid: Grid, config: TrainingConfig) -> dict[str, float]:
    """Median milliseconds per round trip: `flower` by its own call, `exchange` by ours."""
    exchange = Exchange(grid, config.study, config.party_timeout)
    names = exchange.connect(config.parties, config.connect_timeout)
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
def main(data: Data = Path("data/demo"), backend: Backend = Backend.simulation) -> None:
    """Measure and print a table."""
    if backend is Backend.deployment:
        measure_deployment(data.resolve())
    else:
        measure_here(data)


def measure_deployment(data: Path) -> None:
    """Print what the federation of a dataset takes when it is idle, and what a round trip takes."""
    seconds, bytes_ = idle(Layout(data))
    print(f"Idle: {bytes_ / 2**20:,.0f} MiB of memory, {seconds:.2f} of a core")
    events = list[Progress]()
    with deployment.opened(0, "experiments.benchmarks.round_trips:deployed") as run_federation:
        run_federation(
            TrainingConfig(data=str(data), parties=party_names(data), study="round-trips"), events.append
        )
    found = events[-1].metrics
    print(f"Round trip, {DEPLOYED_REPEATS} times: median {found['median']:.2f} s, ", end="")
    print(f"from {found['least']:.2f} to {found['most']:.2f} s")


def idle(layout: Layout) -> tuple[float, int]:
    """CPU seconds per second that a federation takes for a while, and bytes of memory, shared pages counted once."""

    def spent() -> float:
        stats = (Path(f"/proc/{one.number}/stat").read_bytes().rpartition(b")")[2].split() for one in those)
        return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")

    those = processes(layout)
    before = spent()
    time.sleep(IDLE_SECONDS)
    memory = 0
    for one in those:
        lines = Path(f"/proc/{one.number}/smaps_rollup").read_text().splitlines()
        memory += next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return (spent() - before) / IDLE_SECONDS, memory


def measure_here(data: Path) -> None:
    """Print what the simulation and the exchange in this process take."""
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
