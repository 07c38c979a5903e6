import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from clients.reserve import reserve_model
from clients.store import Store
from experiments.backends.inline import InlineGrid
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.errors import ConfigError, ProtocolError
from fl.reserve import RESERVE
from fl.splits import Split
from server.coordinator import connect, coordinate, new_study_name
from server.exchange import FederationError
from server.progress import Progress

pytestmark = pytest.mark.usefixtures("quick_tracking")


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture
def config(tables: Path, tmp_path: Path, uri: str) -> TrainingConfig:
    config = TrainingConfig(
        data=str(tables),
        parties=("bank", "tax", "supply"),
        state=str(tmp_path / "state"),
        tracking_uri=uri,
    )
    quick = NetworkConfig(batches=4, batch_size=64, evaluate_every=2)
    return config.with_section(quick).with_section(BoostingConfig(trees=2, encryption="plain"))


def children(uri: str, config: TrainingConfig) -> list:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(config.experiment)
    runs = client.search_runs([experiment.experiment_id])
    return [run for run in runs if "contender" in run.data.tags]


def test_a_run_trains_every_contender_under_every_seed(config: TrainingConfig, uri: str) -> None:
    config = replace(config, seeds=(1, 2), experiment="whole")
    events: list[Progress] = []

    trained = coordinate(InlineGrid(config), config, events.append)

    assert [(one.contender, one.seed) for one in trained] == [("federated-network", s) for s in (1, 2)]
    assert [event.stage for event in events][:2] == ["connect", "align"]
    assert events[-1] == Progress("done")
    costs = [(event.stage, event.costs["round_trips"]) for event in events if event.costs]
    assert costs == [(RESERVE, 1), ("federated-network", 12)] * 2
    runs = children(uri, config)
    assert {run.info.status for run in runs} == {"FINISHED"}
    client = MlflowClient(uri)
    for run in runs:
        curve = client.get_metric_history(run.info.run_id, "valid.auc")
        assert [point.step for point in curve] == [2, 4]
    parent = client.get_run(runs[0].data.tags["mlflow.parentRunId"])
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["identities"] == "exchanged at first use"
    assert "Not every party knew the public keys" in parent.data.tags["mlflow.note.content"]
    # A run that was given no name makes one up; the parties keep its models under it.
    assert [path.name for path in Path(config.state, "tax").glob("*/")] == [parent.data.tags["study"]]


def test_without_contenders_the_parties_align_and_the_rows_are_split(config: TrainingConfig) -> None:
    config = replace(config, contenders=(), study="s", experiment="none")
    assert coordinate(InlineGrid(config), config, lambda event: None) == []
    bank = Store(Path(config.state, "bank", "s"))
    assert Store(bank.folder / "splits" / "1").has(Split)
    assert not reserve_model(bank, 1).folder.exists()


def test_two_runs_without_a_name_do_not_meet(config: TrainingConfig) -> None:
    config = replace(config, contenders=(), experiment="twice")
    for _ in range(2):
        coordinate(InlineGrid(config), config, lambda event: None)
    assert len(list(Path(config.state, "bank").glob("*/"))) == 2


def test_a_failure_is_reported_with_its_reason_and_fails_the_run(
    config: TrainingConfig, uri: str, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(config.data, data)
    (data / "tax" / "table.csv").write_bytes(b"\xff")
    config = replace(config, data=str(data), experiment="broken")
    events: list[Progress] = []

    with pytest.raises(FederationError, match="the data in tax are not in order"):
        coordinate(InlineGrid(config), config, events.append)

    assert events[-1].stage == "failed"
    assert "the data in tax are not in order" in events[-1].text
    client = MlflowClient(uri)
    (parent,) = client.search_runs([client.get_experiment_by_name("broken").experiment_id])
    assert parent.info.status == "FAILED"


def test_a_run_of_its_own_goes_on_without_a_refused_contender_and_fails_at_the_end(
    config: TrainingConfig, uri: str
) -> None:
    for section in (
        NetworkConfig(batches=4, batch_size=64, learning_rate=1e30),
        BoostingConfig(trees=2, encryption="plain"),
    ):
        config = config.with_section(section)
    names = ("federated-network", "federated-boosting")
    config, events = replace(config, contenders=names, experiment="refused"), list[Progress]()

    told = r"^federated-network, seed 1: Party bank refused .* federated-boosting, seed 1, is trained: run \w+\.$"
    with pytest.raises(FederationError, match=told):
        coordinate(InlineGrid(config), config, events.append)

    assert [event.stage for event in events if event.failure] == ["federated-network"]
    assert events[-1].stage == "failed"
    runs = {run.data.tags["contender"]: run for run in children(uri, config)}
    assert {name: run.info.status for name, run in runs.items()} == dict(
        zip(names, ("FAILED", "FINISHED"), strict=True)
    )
    parent = MlflowClient(uri).get_run(runs[names[0]].data.tags["mlflow.parentRunId"])
    assert parent.info.status == "FAILED"


def test_a_bug_is_reported_with_its_trace(config: TrainingConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("nobody foresaw it")

    monkeypatch.setattr("server.network.train", fail)
    config, events = replace(config, experiment="bug"), list[Progress]()
    with pytest.raises(ZeroDivisionError):
        coordinate(InlineGrid(config), config, events.append)
    assert "in fail" in events[-1].text
    assert events[-1].text.endswith("ZeroDivisionError: nobody foresaw it\n")


def test_an_unknown_contender_is_refused_before_anything_runs(config: TrainingConfig) -> None:
    config = replace(config, contenders=("federated-dreams",), experiment="unknown")
    with pytest.raises(ConfigError, match="no federated contender 'federated-dreams'; there are federated-"):
        coordinate(InlineGrid(config), config, lambda event: None)


def test_a_party_must_hold_the_label(config: TrainingConfig) -> None:
    config = replace(config, parties=("tax", "supply"), experiment="labels")
    with pytest.raises(ProtocolError, match="No party holds the label"):
        coordinate(InlineGrid(config), config, lambda event: None)


@pytest.mark.parametrize("data", ["", "demo"])
def test_without_a_place_for_the_results_the_folder_of_the_data_must_be_known(
    config: TrainingConfig, data: str
) -> None:
    grid, config = InlineGrid(config), replace(config, data=data, tracking_uri="")
    events: list[Progress] = []
    with pytest.raises(ConfigError, match="'data' must be the absolute path"):
        coordinate(grid, config, events.append)
    assert events[-1].stage == "failed"


def test_results_go_beside_the_data_by_default(make_tables: Callable[..., Path]) -> None:
    data = make_tables(("tax",), rows=100)
    config = TrainingConfig(data=str(data), parties=("bank", "tax"), contenders=())
    coordinate(InlineGrid(config), config, lambda event: None)
    assert (data / "mlflow.db").exists()
    assert (data / "tax" / "state").is_dir()


@pytest.mark.parametrize(
    ("data", "label"), [("/d/demo", "demo"), ("/d/my data", "my-data"), ("/d/数据", "study"), ("", "study")]
)
def test_a_study_is_named_after_its_data_and_never_twice(data: str, label: str) -> None:
    first, second = new_study_name(data), new_study_name(data)
    assert re.fullmatch(rf"{label}-\d{{8}}-\d{{6}}-[0-9a-f]{{4}}", first)
    assert first != second
    assert TrainingConfig(study=first).study == first


def test_a_party_that_knows_few_businesses_is_told_before_training(
    make_tables: Callable[..., Path], tmp_path: Path
) -> None:
    data = make_tables(("tax",), rows=100)
    table = data / "tax" / "table.csv"
    header, first, *rest = table.read_text("utf-8").splitlines()
    strangers = [f"stranger{number}{row[row.index(',') :]}" for number, row in enumerate(rest)]
    table.write_text("\n".join([header, first, *strangers]) + "\n", "utf-8")
    config = TrainingConfig(data=str(data), parties=("bank", "tax"), state=str(tmp_path / "state"), study="s")
    events: list[Progress] = []

    connect(InlineGrid(config), config, events.append)

    assert [event.stage for event in events] == ["connect", "align", "align"]
    assert events[-1].text.startswith("tax knows 1 of 100 businesses: ids are compared as exact text")
