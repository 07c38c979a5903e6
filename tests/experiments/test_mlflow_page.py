import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments import mlflow_page
from experiments.mlflow_page import latest_link, leaderboard_link, serve, server_command
from fl.errors import ConfigError
from server.tracking.study import Study

pytestmark = pytest.mark.usefixtures("quick_tracking")


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


@pytest.fixture
def signals() -> Iterator[None]:
    """Serving takes over signals; give them back."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_a_server_that_dies_has_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    program = [sys.executable, "-c", "import sys; sys.stderr.write('no space left'); sys.exit(3)"]
    monkeypatch.setattr(mlflow_page, "server_command", lambda uri, port: program)
    (tmp_path / "mlflow.db").touch()

    assert serve(tmp_path / "mlflow.db", 5000) == 3
    assert capfd.readouterr().err == "no space left"
