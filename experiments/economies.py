"""Synthetic economies that last as long as a study of them: for sweeps over worlds and seeds."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from clients.data.declaration import write_declaration
from clients.parties import party_type, write_default
from experiments.dataset import Dataset, open_dataset
from experiments.settings import words
from fl.errors import ConfigError
from synthetic_data import STANDARD, Banks, generate
from synthetic_data.bank_records import LEVELS
from synthetic_data.dataset import ONE_BANK, Progress


def write_economy(
    folder: Path,
    businesses: int,
    world: str,
    seed: int,
    truth: bool,
    progress: Progress | None = None,
    parties: tuple[str, ...] = STANDARD,
    banks: Banks = ONE_BANK,
) -> None:
    """Simulate an economy into a new folder (`synthetic_data.generate`), and declare every party's columns there.

    Several banks declare the levels of their categorical columns, so that all have the same.
    """
    generate(folder, businesses, world, seed, truth, progress, parties, banks)
    for party in parties:
        if party != "bank" or len(banks) == 1:
            write_default(folder / party, party)
            continue
        for bank in banks.names:
            declared = party_type(party).default_declaration(folder / bank)
            columns = tuple(replace(one, levels=LEVELS.get(one.name, ())) for one in declared.columns)
            write_declaration(folder / bank, replace(declared, columns=columns))


def banks_of(count: int, shares: str, skew: str) -> Banks:
    """The banks that are asked for on the command line; without shares, which are written with commas, all are alike.

    Raises ConfigError.

    >>> banks_of(2, "0.8, 0.2", "region")
    Banks(shares=(0.8, 0.2), skew='region')
    """
    try:
        given = tuple(map(float, words(shares)))
    except ValueError:
        raise ConfigError(
            f"Shares of banks are numbers with commas, such as 0.7,0.2,0.1; not {shares!r}."
        ) from None
    if given and len(given) != count:
        raise ConfigError(
            f"{len(given)} shares do not fit --banks {count}; give a share for each bank, or none for equal ones."
        )
    return Banks(given or (1 / max(count, 1),) * count, skew)


@contextmanager
def economy(world: str, seed: int, businesses: int, truth: bool = False) -> Iterator[Dataset]:
    """The dataset of an economy in a temporary folder, which also holds what the parties keep; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="siloscore-") as folder:
        data = Path(folder, "data")
        write_economy(data, businesses, world, seed, truth)
        yield open_dataset(data)
