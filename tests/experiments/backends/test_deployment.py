"""The backend of a deployment without one: what it refuses, and what ends a run, in sentences that say what to do."""

import os
from pathlib import Path

import pytest

from experiments.backends import open_backend
from experiments.backends.deployment import Pulse, broken_off
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from server.locks import hold, serverapp_lock
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


def test_the_death_of_a_serverapp_is_seen_when_its_last_words_can_be_read(tmp_path: Path) -> None:
    pulse, lock = Pulse(), serverapp_lock(tmp_path, "1")
    assert [pulse.is_lost(lock) for _ in range(3)] == [False, False, False]  # it has not been started
    serverapp = hold(lock)
    assert [pulse.is_lost(lock) for _ in range(3)] == [False, False, False]

    os.close(serverapp)  # as the kernel does for a process that has died

    assert [pulse.is_lost(lock) for _ in range(2)] == [False, True]


def test_after_the_death_of_a_coordinator_one_is_told_what_to_type(tmp_path: Path) -> None:
    config = TrainingConfig(study="s", journal=str(tmp_path))
    assert broken_off(config, "") == (
        "The run's coordinator has died. It had done nothing yet; type the command again."
    )

    (tmp_path / "s").mkdir()

    assert broken_off(config, "Task failed with unknown error.") == (
        "The run's coordinator has died: Task failed with unknown error. `siloscore resume s` goes on from its last "
        "step."
    )
