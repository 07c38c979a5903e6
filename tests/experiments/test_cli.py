import json
import re
import shlex
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
import typer

from clients.data.declaration import read_declaration
from clients.data.errors import DataError
from experiments import cli, mlflow_page
from experiments.estimate import calibration
from server.tracking.study import Study

pytestmark = pytest.mark.usefixtures("quick_tracking")


class Ended(NamedTuple):
    """How the command ended."""

    code: int
    output: str
    errors: str


@pytest.fixture
def siloscore(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> Callable[..., Ended]:
    """The command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["siloscore", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Ended(ended.value.code, said.out, said.err)

    return run


def test_help_shows_every_command_in_its_group_on_one_screen(
    siloscore: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = siloscore("--help").output.splitlines()

    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if line.endswith("...") and "Usage" not in line], (
        "a first sentence is too long"
    )
    groups = ["Studies", "Parties", "Trust", "Deploy"]
    assert [line.split()[0] for line in lines[1:] if line[0] != " "] == groups
    listed = [line.split()[line[0] != " "] for line in lines[1:]]
    assert sorted(listed) == sorted(typer.main.get_command(cli.app).commands)


def test_generate_makes_a_dataset_that_every_party_can_open(
    siloscore: Callable[..., Ended], tmp_path: Path
) -> None:
    ended = siloscore("generate", "--businesses", 300, "--seed", 7, "--out", "small")

    assert ended.code == 0, ended.errors
    assert "300 applicants, world base, seed 7" in ended.output
    for party in ("bank", "tax", "supply_chain"):
        assert read_declaration(tmp_path / "small" / party).type == party


def test_generate_makes_several_banks(siloscore: Callable[..., Ended], tmp_path: Path) -> None:
    options = ("--banks", 2, "--bank-shares", "0.7,0.3", "--bank-skew", "sector")
    ended = siloscore("generate", "--businesses", 200, *options, "--parties", "bank", "--out", "small")

    assert ended.code == 0, ended.errors
    assert {path.name for path in (tmp_path / "small").iterdir()} == {
        "bank_a",
        "bank_b",
        "truth",
        "dataset.toml",
    }
    ended = siloscore("generate", "--bank-skew", "sector", "--out", "other")
    assert (ended.code, ended.errors) == (
        2,
        "Error: One bank has all firms, so none chooses by sector; ask for several banks.\n",
    )


def test_a_simulated_file_that_has_changed_is_told_before_any_work(
    siloscore: Callable[..., Ended], tmp_path: Path
) -> None:
    siloscore("generate", "--businesses", 200, "--out", "small")
    changed = tmp_path / "small" / "bank" / "accounts.parquet"
    pd.read_parquet(changed).iloc[:-1].to_parquet(changed, index=False)

    ended = siloscore("compare", "--data", "small", "--set", "no-such=1")

    assert "Warning: bank/accounts.parquet changed after the economy was simulated" in ended.errors


def test_run_trains_one_model_and_tells_where_it_is(
    siloscore: Callable[..., Ended], tables: Path, tmp_path: Path
) -> None:
    ended = siloscore(
        *("run", "--contender", "federated-network", "--data", tables, "--backend", "inline"),
        *("--set", "network.batches=4", "--set", "network.batch-size=64", "--json", "out.json"),
        *("--set", f"state={tmp_path / 'state'}", "--parties", "tax,bank", "--set", "boosting.trees=2"),
    )

    assert ended.code == 0, ended.errors
    assert "federated-network" in ended.output
    assert "siloscore ui" in ended.output
    assert "workflowType=machine_learning" in ended.output
    (found,) = json.loads((tmp_path / "out.json").read_text())["contenders"].items()
    assert found[0] == "federated-network"
    assert found[1]["round_trips"] == 12
    assert {path.name for path in (tmp_path / "state").iterdir()} == {"bank", "tax"}
    assert (tmp_path / "mlflow.db").exists()


def test_compare_estimates_what_it_would_take_and_trains_nothing(
    siloscore: Callable[..., Ended], tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "REHEARSED_ROWS", (300, 600, 600))

    ended = siloscore(
        *("compare", "--estimate", "--data", tables, "--contenders", "federated-scorecard"),
        *("--encryption", "plain", "--set", "scorecard.exchanges=5"),
    )

    assert ended.code == 0, ended.errors
    assert re.search(r"federated-scorecard +5 +27 ", ended.output)
    # What it said is kept for the log of the run, and nothing else.
    assert [path.name for path in tmp_path.iterdir()] == ["estimates"]
    unknown = siloscore("compare", "--estimate", "--data", tables, "--contenders", "x")
    assert (unknown.code, "There is no contender 'x'" in unknown.errors) == (2, True)


def test_compare_goes_on_without_a_refused_model_and_says_how_to_score_by_the_best(
    siloscore: Callable[..., Ended], tables: Path, tmp_path: Path
) -> None:
    data, store = tmp_path / "the bank's data", tmp_path / "my runs.db"
    shutil.copytree(tables, data, ignore=shutil.ignore_patterns("state", "ml*"))
    ended = siloscore(
        *("compare", "--contenders", "federated-network,federated-boosting"),
        *("--data", data, "--store", store),
        *("--backend", "inline", "--set", "network.learning-rate=1e30", "--set", "boosting.trees=2"),
        *("--encryption", "plain"),
    )

    assert ended.code == 2
    assert re.search(r"\nfederated-network +failed +– .*\n", ended.output)
    assert re.search(r"\nfederated-boosting +0\.\d+ ", ended.output)
    assert ended.errors == (
        "Error: federated-network failed: Party bank refused train.network_backward: embeddings of "
        "supply must be numbers up to 1e+12; if training diverged, lower network.learning-rate.\n"
    )
    command, *arguments = shlex.split(ended.output.splitlines()[-1])
    assert (command, arguments[0]) == ("siloscore", "score")
    ended = siloscore(*arguments)
    assert ended.code == 0, ended.errors
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 400


def test_a_folder_with_a_table_and_no_declaration_is_named(
    siloscore: Callable[..., Ended], tables: Path, tmp_path: Path
) -> None:
    shutil.copytree(tables, tmp_path / "data", ignore=shutil.ignore_patterns("state", "ml*"))
    (tmp_path / "data" / "tax" / "party.toml").unlink()
    ended = siloscore("compare", "--data", "data", "--contenders", "x", "--backend", "inline")
    assert ended.errors.startswith(
        "Warning: The folder tax has no party.toml and takes no part. To let it take"
    )


def test_a_study_of_several_banks_ends_with_the_table_of_each_and_how_one_of_them_scores(
    siloscore: Callable[..., Ended], banks_tables: Path, tmp_path: Path
) -> None:
    settings = ("boosting.trees=2", "boosting.min-leaf-count=5", f"state={tmp_path / 'state'}")
    ended = siloscore(
        *("compare", "--data", banks_tables, "--contenders", "banks-boosting,bank-only-boosting"),
        *(
            "--backend",
            "inline",
            "--json",
            "out.json",
            *(word for each in settings for word in ("--set", each)),
        ),
    )

    assert ended.code == 0, ended.errors
    assert "AUC on each bank's own test rows" in ended.output
    line = next(line for line in ended.output.splitlines() if line.startswith("siloscore score"))
    assert "/banks-boosting/1" in line
    assert line.endswith("--bank bank_a")
    told = json.loads((tmp_path / "out.json").read_text("utf-8"))["contenders"]["banks-boosting"]["banks"]
    assert {*told} == {"bank_a", "bank_b", "bank_c"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("ablation",),
        ("attack",),
        ("attack", "--role", "active"),
        ("report", "--out", "r"),
        ("compare", "--estimate"),
    ],
)
def test_what_is_for_one_bank_names_the_parties_of_its_study(
    siloscore: Callable[..., Ended], banks_tables: Path, arguments: tuple[str, ...]
) -> None:
    ended = siloscore(*arguments, "--data", banks_tables)

    assert ended.code == 2
    assert ended.errors.endswith(
        "has several banks (bank_a, bank_b, bank_c), and this is for a study of one. Name one and the parties without "
        "labels: --parties bank_a,supply,tax.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("run", "--contender", "x", "--data", "nowhere"),
            "is no dataset: it needs a folder with a party.toml",
        ),
        (("run", "--contender", "x"), "There is no contender 'x'; there are"),
        (("compare", "--contenders", "pooled-trees,y"), "There is no contender 'y'; there are"),
        (
            ("compare", "--set", "network.noize=1"),
            "no setting 'network.noize'. Did you mean 'network.noise'?",
        ),
        (("compare", "--set", "network.noise"), "'network.noise' has no equals sign."),
        (("compare", "--set", "network.noise=loud"), "Setting 'network.noise' must be a number, not 'loud'."),
        (("compare", "--set", "seeds=1"), "cannot be --set: use the option --seeds."),
        (
            ("compare", "--seeds", "one"),
            "Setting 'seeds' must be a text of whole numbers with commas, not 'one'.",
        ),
        (("compare", "--set", "state=here"), "Setting 'state' must be an absolute path"),
        (("compare", "--test-ids", "none.csv"), "There is no file of test ids none.csv."),
        (("compare", "--parties", "bank,customs"), "has no party 'customs'; it has bank, supply, tax."),
        (("compare", "--parties", "tax,supply"), "a party must hold the label; none of tax, supply does"),
        (("report", "--out", "r"), "The bank has no numeric column 'inflow_12m', which the policy names"),
        (("report", "--out", "r", "--worlds", "base"), "A report is on --worlds or on --data; name one"),
        (("report", "--out", "r", "--policy", "p.toml"), "There is no policy file p.toml."),
        (
            ("report", "--out", "r", "--contenders", "true-pd"),
            "A report compares two contenders, such as A,B;",
        ),
        (("report", "--out", "r", "--algorithm", "x"), "There is no contender 'bank-only-x'; there are"),
        (("ui",), "There is no MLflow store mlflow.db; `siloscore compare` makes one."),
    ],
)
def test_what_a_person_can_mend_is_one_sentence(
    siloscore: Callable[..., Ended], tables: Path, arguments: tuple[str, ...], said: str
) -> None:
    if arguments[0] != "ui" and "--data" not in arguments:
        arguments += ("--data", str(tables), "--backend", "inline")

    ended = siloscore(*arguments)

    assert ended.code == 2
    assert ended.errors.startswith("Error: ")
    assert said in " ".join(ended.errors.split())
    assert ended.errors.count("\n") == 1


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a study that `siloscore ui` can show."""
    store = tmp_path_factory.mktemp("store") / "mlflow.db"
    with Study.start(f"sqlite:///{store}", "siloscore", "a study"):
        return store


def test_ui_says_that_its_port_is_taken(siloscore: Callable[..., Ended], store: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = siloscore("ui", "--store", store, "--port", port)

    assert ended.code == 2
    assert f"Error: Port {port} is taken by another program. Name another with --port;" in ended.errors
    assert "Open" not in ended.output


@pytest.mark.parametrize(("code", "passed_on"), [(3, 3), (0, 1)])
def test_ui_passes_on_how_its_server_died(
    siloscore: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, store: Path, code: int, passed_on: int
) -> None:
    program = [sys.executable, "-c", f"raise SystemExit({code})"]
    monkeypatch.setattr(mlflow_page, "server_command", lambda uri, port: program)

    ended = siloscore("ui", "--store", store, "--port", 0)

    assert ended.code == passed_on
    assert f"Error: MLflow's server has ended by itself with exit code {code};" in ended.errors


def test_attack_names_what_it_can_attack(siloscore: Callable[..., Ended], tables: Path) -> None:
    ended = siloscore("attack", "--contender", "pooled-trees", "--data", tables)

    assert ended.code == 2
    attacked = [
        f"{who}-{what}" for who in ("banks", "federated") for what in ("boosting", "network", "scorecard")
    ]
    assert f"attacks on {', '.join(attacked)}, not on 'pooled-trees'." in ended.errors


def test_an_error_that_looks_like_markup_is_shown_whole(
    siloscore: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise DataError("columns must be tables such as [columns.inflow], one for each column.")

    monkeypatch.setattr(cli, "app", fail)
    assert "such as [columns.inflow], one" in siloscore().errors


def test_what_nobody_foresaw_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_ended_from_outside_cleans_up(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    cleaned = []

    def work() -> None:
        try:
            signal.raise_signal(number)
            time.sleep(60)
        finally:
            cleaned.append(True)

    monkeypatch.setattr(cli, "app", work)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 128 + number
    assert cleaned


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """The command takes over signals; give them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
