"""The commands around the bank's service; the service itself is tested in `tests/clients/serving`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from clients.serving.keys import Keys, new_key
from experiments import cli, serving
from experiments.backends.simulation import RunFederation
from experiments.serving import score_queue, seconds_of
from fl.config.run import RunConfig, TrainingConfig
from fl.errors import ConfigError
from server.exchange import FederationError
from server.progress import Progress, Report
from server.tracking.registry import TrainedModel


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    output: str
    errors: str


@pytest.fixture
def siloscore(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., Ended]:
    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["siloscore", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Ended(ended.value.code, said.out, " ".join(said.err.split()))

    return run


def test_a_key_is_printed_and_nothing_else(siloscore: Callable[..., Ended], tmp_path: Path) -> None:
    ended = siloscore("serve", tmp_path, "--new-key", "loans")
    assert ended.code == 0
    assert Keys(tmp_path).client_of(ended.output.strip()) == "loans"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Name the model by --run STUDY/CONTENDER/SEED, or a client by --new-key."),
        (
            ("--run", "s/federated-boosting/1", "--host", "0.0.0.0"),
            "keys and applicants would travel unencrypted",
        ),
        (("--run", "s/federated-boosting/1", "--key", "key.pem"), "TLS needs both --certificate and --key."),
        (
            ("--run", "s/federated-boosting"),
            "'model' must be STUDY/CONTENDER/SEED, not 's/federated-boosting'",
        ),
        (
            ("--run", "s/federated-boosting/1"),
            "does not keep the model s/federated-boosting/1 and its reserve model",
        ),
    ],
)
def test_what_a_person_can_mend_is_said(
    siloscore: Callable[..., Ended], tables: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "party.toml").write_text((tables / "bank" / "party.toml").read_text("utf-8"), "utf-8")
    new_key(tmp_path, "loans")
    ended = siloscore("serve", tmp_path, *arguments)
    assert ended.code == 2
    assert said in ended.errors


def test_a_service_that_nobody_has_a_key_for_does_not_start(
    siloscore: Callable[..., Ended], tmp_path: Path
) -> None:
    ended = siloscore("serve", tmp_path, "--run", "s/federated-boosting/1")
    assert ended.code == 2
    assert "has no clients.toml" in ended.errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--every", "60s", "--out", "scores.csv"), "name no files"),
        (("--every", "1 minute"), "An interval is a number with s, m or h, such as 60s, and not '1 minute'."),
        (("--out", "scores.csv"), "or give --every"),
    ],
)
def test_scoring_takes_a_file_or_the_queue(
    siloscore: Callable[..., Ended], arguments: tuple[str, ...], said: str
) -> None:
    ended = siloscore("score", "--run", "s/federated-boosting/1", *arguments)
    assert ended.code == 2
    assert said in ended.errors


@pytest.mark.parametrize("text", ["", "s", "60", "0s", "-5m", "nans", "infh", "1 minute"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="such as 60s"):
        seconds_of(text)


def test_every_interval_has_a_run_of_its_own_and_one_that_fails_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, tables: Path
) -> None:
    configs: list[RunConfig] = []
    outcomes = iter(
        ["12 applicants scored by federated-boosting", "", FederationError("Party tax was away.")]
    )

    def run_federation(config: RunConfig, report: Report) -> None:
        configs.append(config)
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        report(Progress("done", text=outcome))

    class Opened:
        def __enter__(self) -> RunFederation:
            return run_federation

        def __exit__(self, *_: object) -> None: ...

    training = TrainingConfig(data=str(tables), parties=("bank", "tax"), study="s")
    model = TrainedModel("0123", "federated-boosting", 1, training)
    monkeypatch.setattr("server.tracking.registry.find_model", lambda uri, run: model)
    monkeypatch.setattr("experiments.backends.open_backend", lambda name, parties: Opened())
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(serving.time, "sleep", sleep)
    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        score_queue("sqlite://", "s/federated-boosting/1", 60, None, (), "inline", told.append)

    assert [line.split(" ", 2)[2] for line in told] == [
        "12 applicants scored by federated-boosting",
        "Party tax was away.",
    ]
    assert all(59 < nap <= 60 for nap in naps)
    assert len({config.study for config in configs}) == 3
    assert all(config.to_mapping()["queued"] for config in configs)
