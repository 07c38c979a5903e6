"""The backend of a deployment, before there is one: what it refuses, in sentences that say what to do."""

from pathlib import Path

import pytest

from experiments.backends import open_backend
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from server.progress import ignore


def test_without_a_federation_it_says_how_to_start_one(tmp_path: Path) -> None:
    config = TrainingConfig(data=str(tmp_path), parties=("bank",), study="s")
    with (
        open_backend("deployment", 1) as run_federation,
        pytest.raises(
            ConfigError, match=rf"No federation runs on {tmp_path}; start one with `siloscore federation up"
        ),
    ):
        run_federation(config, ignore)
