"""What it costs to read a CSV file as strictly as a party does, compared with `pandas.read_csv` as it comes.

`python -m experiments.benchmarks.reading` writes a file of ids, numbers and a few texts, and reads it by both in turn,
so that both meet the same noise. Medians, in seconds of wall time and of CPU time; Arrow reads on all cores.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from clients.data.files import open_table
from clients.data.table_file import Kind

REPEATS = 7
TEXTS = 3
"""Columns of texts beside the id; all others are numbers."""

command = typer.Typer()


def write_table(path: Path, rows: int, columns: int) -> dict[str, Kind]:
    """A CSV file of `columns` columns, the id included, and what each is to be read as."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"id": [f"B{row:07d}" for row in range(rows)]})
    texts = {f"text{k}": rng.choice(["retail", "transport", "services"], rows) for k in range(TEXTS)}
    numbers = {f"number{k}": rng.normal(size=rows) for k in range(columns - TEXTS - 1)}
    table = pd.concat([table, pd.DataFrame(texts | numbers)], axis=1)
    table.to_csv(path, index=False)
    return {"id": "id"} | dict.fromkeys(texts, "text") | dict.fromkeys(numbers, "number")


def measure(path: Path, kinds: dict[str, Kind]) -> dict[str, tuple[float, float]]:
    """Median seconds of wall and of CPU time by reader."""
    readers: dict[str, Callable[[], object]] = {
        "pandas": lambda: pd.read_csv(path),
        "siloscore": lambda: open_table(path).read(kinds, unique_id=True),
    }
    times = [{name: _seconds(read) for name, read in readers.items()} for _ in range(REPEATS)]
    return {
        name: tuple(map(statistics.median, zip(*(each[name] for each in times), strict=True)))
        for name in readers
    }


def _seconds(read: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    read()
    return time.perf_counter() - wall, time.process_time() - cpu


@command.command(help=__doc__)
def main(
    rows: Annotated[int, typer.Option(help="Rows of the file.")] = 300_000,
    columns: Annotated[int, typer.Option(help="Columns of the file.")] = 40,
) -> None:
    """Measure both readers and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        seconds = measure(path, write_table(path, rows, columns))
    print("| reader | wall, s | CPU, s |\n| --- | ---: | ---: |")
    for name, (wall, cpu) in seconds.items():
        print(f"| {name} | {wall:.2f} | {cpu:.2f} |")
    wall, cpu = (ours / theirs for ours, theirs in zip(seconds["siloscore"], seconds["pandas"], strict=True))
    print(f"| ratio | {wall:.2f} | {cpu:.2f} |")


if __name__ == "__main__":
    command()
