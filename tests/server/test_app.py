from pathlib import Path

import pytest
from flwr.app import Context, RecordDict

from experiments.backends.inline import InlineGrid
from fl.config.run import ScoringConfig, TrainingConfig
from fl.errors import ConfigError
from server.app import app
from server.progress import ProgressReader


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
