"""The backend of a deployment without one: what it refuses, and what ends a run, in sentences that say what to do."""

from pathlib import Path

import pytest

from experiments.backends import deployment, open_backend
from experiments.backends.deployment import Pulse
from experiments.backends.flower import BackendError
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from server.journal import Journal
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


def test_a_dead_coordinator_is_seen_within_seconds_of_its_death(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployment, "_LAST_WORDS_SECONDS", 0.0)
    config = TrainingConfig(
        data=str(tmp_path), parties=("bank",), study="s", journal=str(tmp_path / "journal")
    )
    pulse = Pulse(config)
    pulse.require()  # it has not begun
    coordinator = Journal(config.journal, "s", 0)
    pulse.require()

    coordinator.close()  # as the kernel does for a process that has died

    with pytest.raises(BackendError, match=r"coordinator has died\. `siloscore resume s` goes on"):
        pulse.require()
