"""Real data for the baselines, where it is at hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

DATA = Path(__file__).parents[4] / "shared" / "data" / "default_credit"


@pytest.fixture
def default_credit() -> tuple[dict[str, pd.DataFrame], np.ndarray, np.ndarray]:
    """Both parties' columns, the labels, and the roles with the fixed test set, in the order of the ids."""
    from fl.splits import split_given_test

    if not DATA.is_dir():
        pytest.skip(f"the data set is not at {DATA}")
    bank, partner = (pd.read_csv(DATA / f"{name}.csv", index_col="id") for name in ("bank", "partner"))
    bank, partner = bank.sort_index(), partner.sort_index()
    labels = bank.pop("default").to_numpy(np.int8)
    test = bank.index.isin(pd.read_csv(DATA / "test_ids.csv")["id"])
    roles = split_given_test(labels, test, 0.05, np.random.default_rng(1))
    return {"bank": bank, "partner": partner}, labels, roles


@pytest.fixture
def join() -> Callable:
    """Makes the joined table of some parties' frames, all of them knowing every row."""
    from clients.aligned import Applications
    from clients.data.column import Column
    from experiments.joined import Joined
    from fl.tables import Table

    def as_table(frame: pd.DataFrame) -> Table:
        none = np.empty((len(frame), 0), np.int32)
        return Table(frame.to_numpy(np.float64), tuple(frame), none, (), (), np.ones(len(frame), bool))

    def make(frames: dict[str, pd.DataFrame], labels: np.ndarray, parties: tuple[str, ...]) -> Joined:
        tables = {party: as_table(frames[party]) for party in parties}
        coverage = {party: tables[party].known for party in parties[1:]}
        columns = {party: {name: Column(name, "numeric") for name in frames[party]} for party in parties}
        applications = Applications(
            ids=np.empty(0, np.str_), labels=labels, months=np.empty(0, "datetime64[M]"), segments={}
        )
        return Joined(parties[0], tables, applications, coverage, columns)

    return make
