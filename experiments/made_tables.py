"""Tables made up for measurements: numbers with a known signal at every party."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from clients.parties import write_default


def write_tables(
    folder: Path,
    rows: int,
    columns: Mapping[str, int],
    bads: float = 0.2,
    seed: int = 1,
    noise: float = 1.0,
) -> None:
    """A dataset of parties with so many columns each, all of which know all rows; the first one has the labels.

    Default depends on all columns of all parties, by as much on each party's, and on chance by so much `noise`; `bads`
    is the bad rate.
    """
    rng = np.random.default_rng(seed)
    ids = np.array([f"{number:09d}" for number in range(rows)])
    tables = {party: rng.normal(size=(rows, count)) for party, count in columns.items()}
    # Effects that bend and interact are what trees are for.
    signals = [x.sum(axis=1) + np.abs(x[:, 0]) * x[:, -1] for x in tables.values()]
    risk = sum(signal / signal.std() for signal in signals) + noise * rng.logistic(size=rows)
    labels = (risk > np.quantile(risk, 1 - bads)).astype(int)
    holder = next(iter(columns))
    for party, numbers in tables.items():
        frame = pd.DataFrame(numbers).add_prefix("x")
        if party == holder:
            frame = frame.assign(default=labels)
        (folder / party).mkdir(parents=True)
        frame.assign(id=ids).sample(frac=1, random_state=rng).to_csv(
            folder / party / "table.csv", index=False
        )
        write_default(folder / party, "table")
