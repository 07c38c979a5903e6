"""Which runs of a store can go on."""

from dataclasses import replace
from pathlib import Path

import pytest

from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from server.tracking.registry import find_broken_off
from server.tracking.study import Study


def test_a_study_of_which_a_contender_failed_goes_on_while_it_has_its_journal(
    uri: str, tmp_path: Path
) -> None:
    config = TrainingConfig(study="with-failure", journal=str(tmp_path), tracking_uri=uri)
    study = Study.start(uri, "registry", config.study, params=config.to_mapping())
    (tmp_path / config.study).mkdir()
    study.finish("FINISHED")
    assert replace(find_broken_off(uri, config.study), tracking_uri=uri) == config

    (tmp_path / config.study).rmdir()
    with pytest.raises(ConfigError, match="The study with-failure has come to its end"):
        find_broken_off(uri, config.study)
