"""Synthetic economies that last as long as a study of them: for sweeps over worlds and seeds."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clients.parties import write_default
from experiments.dataset import Dataset, open_dataset
from synthetic_data import STANDARD, generate
from synthetic_data.dataset import Progress


def write_economy(
    folder: Path,
    businesses: int,
    world: str,
    seed: int,
    truth: bool,
    progress: Progress | None = None,
    parties: tuple[str, ...] = STANDARD,
) -> None:
    """Simulate an economy into a new folder (`synthetic_data.generate`), and declare every party's columns there."""
    generate(folder, businesses, world, seed, truth, progress, parties)
    for party in parties:
        write_default(folder / party, party)


@contextmanager
def economy(world: str, seed: int, businesses: int, truth: bool = False) -> Iterator[Dataset]:
    """The dataset of an economy in a temporary folder, which also holds what the parties keep; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="siloscore-") as folder:
        data = Path(folder, "data")
        write_economy(data, businesses, world, seed, truth)
        yield open_dataset(data)
