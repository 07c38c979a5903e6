"""The commands around the bank's service; the service itself is tested in `tests/clients/serving`."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from clients.serving.keys import Keys, new_key
from experiments import cli


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


@pytest.fixture
def bank(tables: Path, tmp_path: Path) -> Path:
    """A bank's folder of the test's own, without data."""
    shutil.copy(tables / "bank" / "party.toml", tmp_path)
    return tmp_path


def test_a_key_is_printed_and_nothing_else(siloscore: Callable[..., Ended], bank: Path) -> None:
    ended = siloscore("serve", bank, "--new-key", "loans")
    assert ended.code == 0
    assert Keys(bank).client_of(ended.output.strip()) == "loans"


def test_only_a_bank_serves(siloscore: Callable[..., Ended], tables: Path, tmp_path: Path) -> None:
    assert "declares no label" in siloscore("serve", tables / "tax", "--new-key", "loans").errors
    assert "party.toml does not exist" in siloscore("serve", tmp_path / "nowhere", "--new-key", "x").errors


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
    siloscore: Callable[..., Ended], bank: Path, arguments: tuple[str, ...], said: str
) -> None:
    new_key(bank, "loans")
    ended = siloscore("serve", bank, "--port", 0, *arguments)
    assert ended.code == 2
    assert said in ended.errors


def test_a_service_that_nobody_has_a_key_for_does_not_start(
    siloscore: Callable[..., Ended], bank: Path
) -> None:
    ended = siloscore("serve", bank, "--run", "s/federated-boosting/1")
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
