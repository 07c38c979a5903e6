"""What all tests share: no time limits, a small study of contenders that differ in strength, small federations."""

import gc
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from experiments.backends.inline import InlineGrid
    from fl.config.run import TrainingConfig
    from server.coordinator import Federation

# How long an example takes depends on the machine and on its other users, so it says nothing about the code.
settings.register_profile("quick", deadline=None, max_examples=40)
settings.load_profile("quick")


# A fifth of the time in which the tests are collected would go to looking for garbage among what only grows.
gc.disable()


def pytest_collection_finish() -> None:
    """What is loaded now stays to the end, and is no longer looked through for garbage."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def no_wait_for_the_disk() -> Iterator[None]:
    """No test loses power, and to wait until the disk has every file of every party's store takes minutes in all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


class ToyStudy(NamedTuple):
    """Evaluations by contender, and the comparison of them as `experiments.comparison.summary` describes it."""

    evaluations: dict
    comparison: pd.DataFrame


@pytest.fixture(scope="session")
def toy_study() -> ToyStudy:
    from fl import metrics
    from fl.evaluation.measures import evaluate

    generator = np.random.default_rng(5)
    logit = -2.2 + 1.3 * generator.normal(size=2_000)
    labels = (generator.random(2_000) < 1 / (1 + np.exp(-logit))).astype(int)
    region = generator.choice(["island", "county", "urban"], size=2_000, p=[0.01, 0.3, 0.69])
    noise = {"bank-only-network": 2.0, "federated-network": 0.9, "pooled-trees": 0.8, "true-pd": 0.0}
    pds = {
        name: 1 / (1 + np.exp(-(logit + scale * generator.normal(size=2_000))))
        for name, scale in noise.items()
    }
    evaluations = {name: evaluate(labels, values, {"region": region}) for name, values in pds.items()}
    baseline = "bank-only-network"
    rows = []
    for name, values in pds.items():
        test = metrics.delong_test(labels, values, pds[baseline])
        row = {
            key: evaluations[name].metrics[key]
            for key in ("auc", "auc_low", "auc_high", "gini", "ks", "brier")
        }
        row |= {"contender": name, "approval_rate": 0.7, "recovered": np.nan, "cpu_seconds": 9.0}
        row |= {"uplift_auc": test.difference, "uplift_gini_relative": 0.2, "p_value": test.p_value}
        if name == baseline:
            row |= {"uplift_auc": np.nan, "uplift_gini_relative": np.nan, "p_value": np.nan}
        if name == "federated-network":
            row["recovered"] = 0.93
        rows.append(row | {"round_trips": 40, "megabytes": 12.5, "seconds": 6.0})
    return ToyStudy(evaluations, pd.DataFrame(rows))


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store without a run."""
    from mlflow import MlflowClient

    store = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{store}").search_experiments()
    return store


@pytest.fixture(scope="module")
def quick_tracking(empty_store: Path) -> Iterator[None]:
    """For tests of what is logged rather than how: stores are copies of an empty one, and figures are empty files.

    Making the tables of a store takes 1.5 seconds, and drawing the figures of a contender 0.7. Nor does SQLite wait for
    the disk.
    """
    from sqlalchemy import Engine, event

    from server.tracking import drawing, registry, study

    def no_wait(connection: Any, _: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    open_experiment = study.open_experiment

    def open_copy(uri: str, name: str) -> object:
        store = study.local_store(uri)
        if store is not None and not store.exists():
            store.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(empty_store, store)
        return open_experiment(uri, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "open_experiment", open_copy)
        patch.setattr(registry, "open_experiment", open_copy)
        patch.setattr(drawing, "save", lambda figure, file: file.touch())
        event.listen(Engine, "connect", no_wait)
        yield
        event.remove(Engine, "connect", no_wait)


@pytest.fixture(scope="session")
def make_tables(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes datasets of ready tables: a bank and passive parties, partial overlap, missing values, categories."""
    numbers = itertools.count()

    def make(passive: tuple[str, ...] = ("tax", "supply"), rows: int = 400, months: bool = False) -> Path:
        folder = tmp_path_factory.mktemp("tables") / f"tables{next(numbers)}"
        rng = np.random.default_rng(3)
        ids = np.array([f"业{number:05d}" for number in rng.permutation(rows)])
        strangers = np.array([f"x{number}" for number in range(rows // 5)])
        risk, frames = np.zeros(rows), {}
        for party in ("bank", *passive):
            values = rng.normal(size=(rows, 3))
            risk += values[:, 0] + np.abs(values[:, 1])
            values[rng.random(values.shape) < 0.15] = np.nan
            frame = pd.DataFrame(values, columns=["a", "b", "c"])
            frame["kind"] = rng.choice(["coal", "纺织", "food"], rows)
            frame.insert(0, "business_id", ids)
            known = frame[rng.random(rows) < 0.7]
            unknown = frame.sample(len(strangers), random_state=1).assign(business_id=strangers)
            frames[party] = pd.concat([known, unknown]).sample(frac=1, random_state=2)
            if party == "bank":
                frames[party] = frame
        noisy = risk + rng.logistic(size=rows)
        frames["bank"]["default"] = (noisy > np.quantile(noisy, 0.7)).astype(int)
        if months:
            first = np.datetime64("2023-01", "M") + rng.integers(0, 8, rows)
            frames["bank"]["observation_month"] = first.astype("datetime64[s]")
        for party, frame in frames.items():
            (folder / party).mkdir(parents=True)
            frame.to_csv(folder / party / "table.csv", index=False)
            write_table_declaration(folder / party, label=party == "bank", months=months)
        return folder

    return make


def write_table_declaration(folder: Path, label: bool, months: bool) -> None:
    from clients.data.column import Column
    from clients.data.declaration import Declaration, write_declaration

    columns = (*(Column(name, "numeric") for name in "abc"), Column("kind", "categorical"))
    held = {"label": "default", "segments": ("kind",)} if label else {}
    if label and months:
        held["month"] = "observation_month"
    held |= {"publish_bins": True}
    declaration = Declaration("table", folder.name, columns=columns, file="table.csv", **held)
    write_declaration(folder, declaration)


@pytest.fixture(scope="session")
def tables(make_tables: Callable[..., Path]) -> Path:
    """A bank with 400 applicants, and two passive parties that know 70 % of them."""
    return make_tables()


@pytest.fixture(scope="session")
def banks_tables(make_tables: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Banks `bank_a`, `bank_b` and `bank_c` with 400, 240 and 160 applicants; passive parties know firms of all."""
    import shutil
    from dataclasses import replace

    from clients.data.declaration import read_declaration, write_declaration

    folder = tmp_path_factory.mktemp("banks") / "data"
    shutil.copytree(make_tables(rows=800), folder)
    frame, declared = pd.read_csv(folder / "bank" / "table.csv", dtype=str), read_declaration(folder / "bank")
    columns = tuple(
        column if column.is_numeric else replace(column, levels=("coal", "纺织", "food"))
        for column in declared.columns
    )
    shutil.rmtree(folder / "bank")
    for bank, rows in zip("abc", np.split(np.arange(len(frame)), [400, 640]), strict=True):
        (folder / f"bank_{bank}").mkdir()
        frame.iloc[rows].to_csv(folder / f"bank_{bank}" / "table.csv", index=False)
        write_declaration(folder / f"bank_{bank}", replace(declared, name=f"bank_{bank}", columns=columns))
    return folder


class Run(NamedTuple):
    """A federation in this process after its alignment, and what it runs by."""

    config: "TrainingConfig"
    grid: "InlineGrid"
    federation: "Federation"


@pytest.fixture
def federate(tmp_path: Path) -> Callable[..., Run]:
    """Connects and aligns the parties of a dataset in this process, each call with a state of its own.

    The coordinator's side sees open letters (`tests/open_letters.py`), unless they are to stay `sealed`.
    """
    from experiments.backends.inline import InlineGrid
    from experiments.dataset import party_names
    from fl.config.boosting import BoostingConfig
    from fl.config.network import NetworkConfig
    from fl.config.run import TrainingConfig
    from fl.config.scorecard import ScorecardConfig
    from server.coordinator import connect
    from server.progress import ignore
    from tests.open_letters import OpenLetters

    numbers = itertools.count()

    def run(
        data: Path,
        network: dict | None = None,
        boosting: dict | None = None,
        scorecard: dict | None = None,
        sealed: bool = False,
        **settings: object,
    ) -> Run:
        card = {"bins": 5, "min_group": 5, "max_p": 1.0, "exchanges": 5, "encryption": "plain"} | (
            scorecard or {}
        )
        quick = {"trees": 4, "depth": 3, "min_leaf_count": 10, "l2": 1.0, "encryption": "plain"}
        quick |= {"parallel": 1, "row_share": 1.0, "column_share": 1.0, "bins": 16, "learning_rate": 0.25}
        small = {"batches": 8, "batch_size": 64, "evaluate_every": 2} | (network or {})
        settings = {"state": str(tmp_path / f"state{next(numbers)}"), "study": "s"} | settings
        config = TrainingConfig(**{"data": str(data), "parties": party_names(data)} | settings)
        for section in (
            NetworkConfig(**small),
            BoostingConfig(**quick | (boosting or {})),
            ScorecardConfig(**card),
        ):
            config = config.with_section(section)
        grid = InlineGrid(config, None if sealed else OpenLetters(config))
        return Run(config, grid, connect(grid, config, ignore))

    return run


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset of the base world, with its parties' declarations."""
    from clients.parties import write_default
    from synthetic_data import generate

    folder = tmp_path_factory.mktemp("generated") / "small"
    generate(folder, 900, "base", seed=1, truth=False)
    for party in ("bank", "tax", "supply_chain"):
        write_default(folder / party, party)
    return folder
