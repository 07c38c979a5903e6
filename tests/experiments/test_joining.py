"""The command by which a bank joins others: what it compares, what the bank can do then, and what it is told."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import cli
from experiments.dataset import open_dataset
from experiments.scoring import score_applicants
from experiments.study import run_study
from fl.config.banks import BanksConfig
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig

pytestmark = pytest.mark.usefixtures("quick_tracking")

BANKS = ("bank_a", "bank_b")


@pytest.fixture(scope="module")
def trained(banks_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    """A study of two banks and a passive party, on data in which there is a third bank."""
    folder = tmp_path_factory.mktemp("join")
    shutil.copytree(banks_tables, folder / "data")
    config = TrainingConfig(
        data=str(folder / "data"),
        parties=(*BANKS, "tax"),
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
        study="two",
    )
    for section in (
        BoostingConfig(trees=4, depth=2, min_leaf_count=10, encryption="plain"),
        ScorecardConfig(bins=5, min_group=5, max_p=1.0),
        BanksConfig(allow_two=True),
    ):
        config = config.with_section(section)
    contenders = ("banks-boosting", "banks-scorecard", "hybrid-boosting")
    run_study(open_dataset(Path(config.data), config.parties), config, contenders).complete()
    return config


@pytest.fixture
def command(
    trained: TrainingConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> Callable[..., str]:
    """`siloscore compare` on that study's data and store: what it says."""

    def run(*arguments: str) -> str:
        store = trained.tracking_uri.removeprefix("sqlite:///")
        fixed = ("compare", "--data", trained.data, "--store", store, "--backend", "inline")
        monkeypatch.setattr(sys, "argv", ["siloscore", *fixed, *arguments])
        with pytest.raises(SystemExit):
            cli.main()
        said = capsys.readouterr()
        return " ".join((said.out + said.err).split())

    return run


def test_a_bank_compares_the_models_of_others_with_its_own_and_scores_by_them(
    trained: TrainingConfig, command: Callable[..., str], tmp_path: Path
) -> None:
    said = command("--join", "two", "--bank", "bank_c", "--json", str(tmp_path / "table.json"))

    contenders = json.loads((tmp_path / "table.json").read_text("utf-8"))["contenders"]
    names = ("bank-only-boosting", "bank-only-scorecard", "banks-boosting", "banks-scorecard")
    assert set(contenders) == {*names}
    line = said[said.index("siloscore score --run ") :].split()
    study = line[3].split("/")[0]
    assert line[line.index("--bank") + 1] == "bank_c"

    ids = pd.read_csv(Path(trained.data, "bank_c", "table.csv"), dtype=str)["business_id"]
    ids.to_csv(tmp_path / "new.csv", index=False)
    files = tmp_path / "new.csv", tmp_path / "scores.csv"
    for contender in ("banks-boosting", "banks-scorecard"):
        run = f"{study}/{contender}/1"
        of_newcomer = score_applicants(trained.tracking_uri, run, *files, bank="bank_c").answers
        assert len(of_newcomer) == len(ids)
        assert of_newcomer["pd"].nunique() > 5

    # The new bank leaves, and takes its folder along; the others score as before.
    shutil.move(Path(trained.data, "bank_c"), tmp_path / "bank_c")
    try:
        ids = pd.read_csv(Path(trained.data, "bank_a", "table.csv"), dtype=str)["business_id"]
        ids.to_csv(tmp_path / "new.csv", index=False)
        answers = score_applicants(trained.tracking_uri, "two/banks-boosting", *files, bank="bank_a").answers
    finally:
        shutil.move(tmp_path / "bank_c", Path(trained.data, "bank_c"))
    assert np.isfinite(answers["pd"]).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--join", "two"), "Name the study by --join, and by --bank the folder of the bank that joins."),
        (("--join", "none", "--bank", "bank_c"), "There is no study 'none' in this store"),
        (
            ("--join", "two", "--bank", "bank_c", "--contenders", "hybrid-boosting"),
            "two has no model hybrid-boosting that could be handed over; it has banks-boosting, banks-scorecard. For "
            "any other model train anew with bank_c",
        ),
        (
            ("--join", "two", "--bank", "bank_c", "--set", "boosting.trees=7"),
            "Setting 'boosting.trees' is that of the training of two; leave it out.",
        ),
        (
            ("--join", "two", "--bank", "bank_c", "--parties", "bank_c"),
            "By --parties, name another bank than bank_c, which hands the models over.",
        ),
        (("--join", "two", "--bank", "bank_x"), "has no party 'bank_x'"),
        (("--set", "joins=two"), "Setting 'joins' cannot be --set: use the option --join."),
    ],
)
def test_what_cannot_be_joined_is_said(
    command: Callable[..., str], arguments: tuple[str, ...], said: str
) -> None:
    assert said in command(*arguments)
