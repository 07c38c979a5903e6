import re
from pathlib import Path

import pytest
from flwr.app import Context, RecordDict
from mlflow import MlflowClient

from experiments.backends.inline import InlineGrid
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import ScoringConfig, TrainingConfig
from fl.errors import ConfigError
from server.app import app, conduct
from server.progress import ProgressReader, ignore

pytestmark = pytest.mark.usefixtures("quick_tracking")


def context(settings: dict) -> Context:
    return Context(1, 1, {}, RecordDict(), settings)


def test_the_app_runs_what_the_run_configuration_says(tables: Path, tmp_path: Path) -> None:
    config = TrainingConfig(
        data=str(tables),
        parties=("bank", "tax"),
        state=str(tmp_path / "state"),
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
        contenders=(),
        progress=str(tmp_path / "progress.jsonl"),
    )

    app(InlineGrid(config), context(config.to_mapping()))

    stages = [event.stage for event in ProgressReader(tmp_path / "progress.jsonl").read()]
    assert stages == ["connect", "align", "done"]


def test_the_result_tells_how_good_the_model_is_what_it_cost_and_what_to_do_next(
    tables: Path, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    config = TrainingConfig(
        data=str(tables), parties=("bank", "tax"), state=str(tmp_path / "state"), tracking_uri=uri, study="s"
    ).with_section(NetworkConfig(batches=4, batch_size=64))
    config = config.with_section(BoostingConfig(trees=2))

    (result,) = conduct(InlineGrid(config), config, ignore)

    client = MlflowClient(uri)
    (run,) = client.search_runs(
        [client.get_experiment_by_name("siloscore").experiment_id], "tags.contender = 'federated-network'"
    )
    run_id, megabytes = run.info.run_id, run.data.metrics["megabytes"]
    quality, stored = result.split("), trained with ")
    assert quality.startswith("federated-network, seed 1: AUC 0.")
    told = [float(word) for word in re.findall(r"0\.\d{3}", quality)]
    assert told == pytest.approx([run.data.metrics[key] for key in ("auc", "auc_low", "auc_high")], abs=6e-4)
    assert stored == (
        f"12 round trips and {megabytes:.1f} MB moved. It is MLflow's run 'federated-network · seed 1' ({run_id}) in "
        f"{uri}. Next: siloscore score --run {run_id} --applicants FILE --out scores.csv --store {tmp_path}/mlflow.db"
    )

    (tmp_path / "new.csv").write_text("business_id\n业00001\n业00002\n", "utf-8")
    scoring = {"model": "s/federated-network/1", "model_run": run_id, "applicants": f"{tmp_path}/new.csv"}
    config = ScoringConfig(
        data=config.data, parties=config.parties, state=config.state, tracking_uri=uri, **scoring
    )
    (result,) = conduct(InlineGrid(config), config, ignore)
    assert result.startswith("2 applicants scored by federated-network, with 10 round trips and 0.")
    assert "The bank keeps the scores. It is MLflow's run 'scoring by s/federated-network/1' (" in result


def test_a_setting_that_is_none_is_refused(tables: Path) -> None:
    config = TrainingConfig(data=str(tables), parties=("bank",))
    with pytest.raises(ConfigError, match=r"no setting 'netwrk\.noise'\. Did you mean 'network.noise'"):
        app(InlineGrid(config), context({"netwrk.noise": 1.0}))


def test_the_task_decides_whether_the_run_trains_or_scores(tables: Path, tmp_path: Path) -> None:
    config = ScoringConfig(
        data=str(tables), parties=("bank",), tracking_uri=f"sqlite:///{tmp_path}/mlflow.db"
    )
    with pytest.raises(ConfigError, match="'model' must be STUDY/CONTENDER/SEED"):
        app(InlineGrid(config), context(config.to_mapping()))
