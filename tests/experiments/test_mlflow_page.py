from pathlib import Path

import pytest

from experiments.mlflow_page import latest_link, leaderboard_link, server_command
from fl.errors import ConfigError
from server.tracking.study import Study


def test_the_link_leads_to_the_experiment_in_the_view_of_runs(tmp_path: Path) -> None:
    store = tmp_path / "mlflow.db"
    with Study.start(f"sqlite:///{store}", "loans", "first") as study:
        pass

    link = latest_link(store, "loans", port=5010)

    assert link.startswith("http://127.0.0.1:5010/#/experiments/")
    assert f"/experiments/{study.experiment_id}/" in link
    assert "workflowType=machine_learning" in link
    with pytest.raises(ConfigError, match="has no experiment 'other'"):
        latest_link(store, "other")


def test_without_a_store_it_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`siloscore compare` makes one"):
        latest_link(tmp_path / "none.db", "loans")
    assert not (tmp_path / "none.db").exists()


def test_the_link_opens_the_leaderboard_among_training_runs():
    link = leaderboard_link("http://127.0.0.1:5000/", "3")
    assert link == (
        "http://127.0.0.1:5000/#/experiments/3/runs?workflowType=machine_learning&viewStateShareKey=leaderboard"
    )


def test_the_server_listens_on_this_machine_only():
    command = server_command("sqlite:////data/mlflow.db", 5050)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--backend-store-uri") + 1] == "sqlite:////data/mlflow.db"
