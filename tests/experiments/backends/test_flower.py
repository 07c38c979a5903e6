"""How a run is watched by Flower's command line, when its SuperLink is away for a while."""

from pathlib import Path

import pytest

from experiments.backends import flower
from experiments.backends.flower import BackendError, Flower
from fl.config.run import TrainingConfig
from server.progress import Progress, ProgressReader, append_to, ignore


class Away(Flower):
    """Flower's command line, which finds no SuperLink at the first looks, and then a run that goes on."""

    looks = 0

    def _status(self, number: str) -> tuple[str, str]:
        type(self).looks += 1
        if self.looks < 4:
            raise BackendError("`flwr list` failed: Connection refused")
        return "running", ""


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Away:
    monkeypatch.setattr(flower, "_STATUS_EVERY_SECONDS", 0.0)
    Away.looks = 0
    return Away(tmp_path, tmp_path / "superlink.log", {})


def test_a_run_goes_on_while_its_superlink_is_away(away: Away, tmp_path: Path) -> None:
    progress = tmp_path / "s.jsonl"

    def check(number: str) -> None:
        if Away.looks == 6:
            append_to(progress)(Progress("done"))

    away._watch("1", ProgressReader(progress), ignore, check, patience=60.0)

    assert Away.looks >= 6


def test_an_interrupted_command_ends_when_its_run_has_ended_before(
    away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(flower: Flower, command: str, *arguments: str) -> dict[str, str]:
        if command == "stop":
            raise BackendError("`flwr stop` failed: Run is already finished.")
        return {"run-id": "1"}

    def interrupt(event: Progress) -> None:
        raise SystemExit(143)

    def check(number: str) -> None:
        append_to(away.home / "s.jsonl")(Progress("align"))

    monkeypatch.setattr(Flower, "call", call)
    with pytest.raises(SystemExit):
        away.run(TrainingConfig(study="s"), interrupt, "server.app:app", check=check)


def test_a_superlink_that_stays_away_ends_the_run_with_its_reason(away: Away, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="Connection refused"):
        away._watch("1", ProgressReader(tmp_path / "s.jsonl"), ignore, lambda number: None, patience=0.1)
