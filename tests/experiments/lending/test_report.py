import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from clients.data.declaration import read_declaration, write_declaration
from experiments import economies
from experiments.dataset import Dataset, open_dataset
from experiments.lending import report as report_module
from experiments.lending.cases import FIRST_TIME, ON_PLATFORM, read_cases
from experiments.lending.policy import CashFlow, Policy
from experiments.lending.report import Task, cases_from, make_report, of_dataset, of_worlds
from experiments.study import run_study
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from fl.splits import TEST
from server.progress import Progress, ignore
from server.tracking.leaderboard import TAG
from synthetic_data import generate

PAIR = ("bank-only-network", "federated-network")
BY_TREES = ("bank-only-boosting", "federated-boosting")
NETWORK, BOOSTING = NetworkConfig(batches=4, batch_size=64), BoostingConfig(trees=2)

pytestmark = pytest.mark.usefixtures("quick_tracking")


def task(store: Path, **changes: object) -> Task:
    config = TrainingConfig(
        seeds=(3,),
        experiment="report",
        tracking_uri=f"sqlite:///{store}/mlflow.db",
        state=str(store / "state"),
    )
    config = config.with_section(NETWORK).with_section(BOOSTING)
    return replace(Task(PAIR, config, Policy(), CashFlow(), "inline", "siloscore report --out x"), **changes)


class Made(NamedTuple):
    """A report of a ready table."""

    out: Path
    found: list[str]
    client: MlflowClient
    run: Run
    events: list[Progress]


@pytest.fixture(scope="module")
def made(make_tables: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("report")
    events: list[Progress] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.lending.intervals.RESAMPLES", 10)
        sources = of_dataset(open_dataset(make_tables()))
        found = make_report(sources, task(folder), folder / "out", events.append)
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("report").experiment_id
    (run,) = client.search_runs([experiment], "tags.study LIKE 'report%'")
    return Made(folder / "out", found, client, run, events)


def test_pages_and_figures_are_written(made: Made) -> None:
    assert (made.out / "report.html").stat().st_size > 50_000
    text = (made.out / "report.md").read_text("utf-8")
    (said,) = made.found
    assert said in text
    assert ": 1 training seed and 100 test applicants." in text
    assert len(list((made.out / "figures").glob("*.png"))) == 4


def test_mlflow_has_the_report_above_its_studies(made: Made) -> None:
    client, run = made.client, made.run
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.note.content"] == "\n\n".join(made.found)
    assert run.data.params["challenger"] == "federated-network"
    assert run.data.params["policy.loss-given-default"] == "0.6"
    assert {name.split("/")[1] for name in run.data.metrics} >= {"uplift_gini_relative", "uplift_ks_relative"}
    artefacts = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert artefacts == {"report.md", "report.html", "figures", "tables"}

    below = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'")
    assert len(below) == 1
    experiment = client.get_experiment(run.info.experiment_id)
    assert run.info.run_id in experiment.tags[TAG]


def test_the_watcher_hears_of_the_studies(made: Made) -> None:
    stages = [event.stage for event in made.events]
    assert {"align", "bank-only-network", "federated-network", "done"} <= set(stages)
    assert not [stage for stage in stages if stage.startswith("Simulating")]


def test_cases_hold_what_the_bank_knows_of_each_row(generated: Path, tmp_path: Path) -> None:
    data = shutil.copytree(generated, tmp_path / "data")
    declared = read_declaration(data / "bank")
    columns = tuple(column for column in declared.columns if column.name != "purpose")
    write_declaration(data / "bank", replace(declared, columns=columns, sensitive=("purpose",)))
    dataset = open_dataset(data)
    config = TrainingConfig(
        data=str(data),
        parties=dataset.parties,
        study="cases",
        state=str(tmp_path),
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
    )
    config = config.with_section(NETWORK).with_section(BOOSTING)
    outcome = run_study(dataset, config, PAIR, "inline", ignore)

    (case,) = read_cases(dataset, outcome, PAIR, CashFlow("inflow_12m"), economy=7)

    test = outcome.roles[1] == TEST
    ids, months = (getattr(outcome.joined.applications, name)[test] for name in ("ids", "months"))
    assert (case.economy, case.seed) == (7, 1)
    np.testing.assert_array_equal(case.test.challenger, outcome.results[1].pd)
    np.testing.assert_array_equal(case.test.labels, outcome.results[1].labels)
    form = pd.read_parquet(generated / "bank" / "applications.parquet").set_index("business_id").loc[ids]
    np.testing.assert_array_equal(case.test.groups[FIRST_TIME], form["first_time_borrower"] == "yes")
    assert set(case.test.segments) == {*declared.segments, "purpose"}
    for name, levels in case.test.segments.items():
        np.testing.assert_array_equal(levels, form[name])
    assert case.test.true_pd is None
    on_platform = pd.read_parquet(generated / "supply_chain" / "orders.parquet")["business_id"].unique()
    np.testing.assert_array_equal(case.test.groups[ON_PLATFORM], np.isin(ids, on_platform))
    accounts = pd.read_parquet(generated / "bank" / "accounts.parquet")
    own = accounts[accounts["business_id"] == ids[0]]
    month = own["month"].to_numpy().astype("datetime64[M]").astype(int)
    lag = months[0].astype(int) - month
    assert case.test.cash_flow[0] == pytest.approx(own["inflow"][(lag >= 0) & (lag < 12)].mean())


def test_a_bank_without_the_column_is_told_before_anything_is_trained(tables: Path, tmp_path: Path) -> None:
    events: list[Progress] = []
    with pytest.raises(ConfigError, match=r"no numeric column 'inflow_12m'.* It has a, b, c"):
        make_report(
            of_dataset(open_dataset(tables)),
            task(tmp_path, cash_flow=CashFlow("inflow_12m")),
            tmp_path / "out",
            events.append,
        )
    assert events == []
    assert not (tmp_path / "out").exists()
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("report").experiment_id])
    assert run.info.status == "FAILED"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"policy": Policy(groups="area")}, r"groups must be a segment or .* bank \(kind\), not 'area'"),
        ({"reweigh": "area"}, r"'boosting.reweigh' must be one of the bank's segments \(kind\), not 'area'"),
    ],
)
def test_a_segment_that_the_bank_has_not_is_told_before_anything_is_trained(
    tables: Path, tmp_path: Path, changes: dict, said: str
) -> None:
    events: list[Progress] = []
    wanted = task(tmp_path, pair=BY_TREES)
    if segment := changes.pop("reweigh", ""):
        wanted = replace(wanted, config=wanted.config.with_section(BoostingConfig(reweigh=segment)))
    (source,) = of_dataset(open_dataset(tables))
    with pytest.raises(ConfigError, match=said):
        cases_from(source, replace(wanted, **changes), SimpleNamespace(), events.append)
    assert events == []


def test_a_reweighed_challenger_is_trained_beside_the_plain_pair(
    tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies: list[tuple[str, tuple[str, ...]]] = []

    def train(
        dataset: Dataset, config: TrainingConfig, contenders: tuple[str, ...], *_: object
    ) -> SimpleNamespace:
        studies.append((config.section(BoostingConfig).reweigh, contenders))
        pds = {(name, 3): np.full(9, len(studies) / 10) for name in contenders}
        study = SimpleNamespace(run_id="", roles={3: None}, pds=pds)
        return SimpleNamespace(complete=lambda: study)

    def read(*arguments: object) -> None:
        np.testing.assert_array_equal(arguments[-1][3], np.full(9, 0.2))

    monkeypatch.setattr(report_module, "run_study", train)
    monkeypatch.setattr(report_module, "nest", lambda *_: None)
    monkeypatch.setattr(report_module, "read_cases", read)
    wanted = task(tmp_path, pair=BY_TREES)
    wanted = replace(wanted, config=wanted.config.with_section(BoostingConfig(reweigh="kind")))
    (source,) = of_dataset(open_dataset(tables))
    cases_from(source, wanted, SimpleNamespace(), ignore)
    assert studies == [("", BY_TREES), ("kind", BY_TREES[1:])]


def test_every_world_has_every_economy_in_turn() -> None:
    sources = of_worlds(("base", "recession"), (3, 4), 1_000)
    assert [(source.world, source.economy) for source in sources] == [
        ("base", 3),
        ("base", 4),
        ("recession", 3),
        ("recession", 4),
    ]
    with pytest.raises(ConfigError, match="world"):
        of_worlds(("bass",), (1,), 1_000)


@pytest.mark.parametrize("truth", [False, True])
def test_an_economy_is_simulated_when_its_turn_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, truth: bool
) -> None:
    opened: list[Dataset] = []
    simulated: list[bool] = []

    def without_futures(
        folder: Path, count: int, world: str, seed: int, truth: bool, *others: object
    ) -> None:
        simulated.append(truth)
        generate(folder, count, world, seed, False, *others)

    def stop(dataset: Dataset, *_: object) -> None:
        opened.append(dataset)
        raise ConfigError("enough")

    monkeypatch.setattr(report_module, "run_study", stop)
    monkeypatch.setattr(economies, "generate", without_futures)
    events: list[Progress] = []
    with pytest.raises(ConfigError, match="enough"):
        make_report(of_worlds(("base",), (5, 6), 300, truth), task(tmp_path), tmp_path / "out", events.append)
    (dataset,) = opened
    assert dataset.facts.name == "base-300-5"
    assert simulated == [truth]
    assert not dataset.folder.exists()
    assert [(event.stage, event.seed) for event in events] == [("Simulating base", 5)]
