import shutil
from pathlib import Path

import pytest

from experiments.configuration import logged, open_study
from fl.config.boosting import BoostingConfig
from fl.errors import ConfigError


def test_a_study_is_opened_with_settings_by_their_names(tables: Path) -> None:
    dataset, config = open_study(tables, {"seeds": "1,2", "boosting.trees": 3}, parties=("tax", "bank"))

    assert (config.parties, config.data) == (("bank", "tax"), str(dataset.folder))
    assert config.seeds == (1, 2)
    assert config.section(BoostingConfig).trees == 3
    assert open_study(tables)[1].study != config.study
    with pytest.raises(ConfigError, match=r"no setting 'boosting\.treez'"):
        open_study(tables, {"boosting.treez": 3})


def test_what_is_doubtful_is_told_to_whom_the_caller_wants(tables: Path, tmp_path: Path) -> None:
    shutil.copytree(tables, tmp_path / "data", ignore=shutil.ignore_patterns("state", "ml*"))
    (tmp_path / "data" / "tax" / "party.toml").unlink()
    told: list[str] = []

    open_study(tmp_path / "data", warn=told.append)

    assert [sentence.partition(" has no ")[0] for sentence in told] == ["The folder tax"]


def test_a_study_is_logged_to_a_store_that_can_be_written(tables: Path, tmp_path: Path) -> None:
    dataset, config = open_study(tables)

    config = logged(config, dataset, tmp_path / "new" / "runs.db", "mine")

    assert (config.tracking_uri, config.experiment) == (f"sqlite:///{tmp_path}/new/runs.db", "mine")
    with pytest.raises(ConfigError, match="it is a folder"):
        logged(config, dataset, tmp_path)
