"""`siloscore challenge` and `siloscore score --calibration`, on models of a small federation."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from experiments import cli
from experiments.backends import inline
from experiments.challenge.measures import SIDES
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from server.progress import ignore

pytestmark = pytest.mark.slow

MODELS = ("--champion", "trained/bank-only-boosting", "--challenger", "trained/federated-scorecard")
TEXTS = [f"text_{number}" for number in range(1, 5)]
CHANGES = r"If both approve (\S+) %.* decline, (\S+) % are told another first reason, and (\S+) % of"
POLICY = '[cut-off]\nchoose = "approval-rate"\ntarget = 0.6\n[cash-flow]\ncolumn = ""\n'


@pytest.fixture(scope="module")
def study(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    """A trained scorecard, boosting and their blend, and the bank's reserve model."""
    folder = tmp_path_factory.mktemp("challenged")
    config = TrainingConfig(
        data=str(tables),
        parties=("bank", "tax", "supply"),
        contenders=("federated-scorecard", "federated-boosting", "federated-blend"),
        study="trained",
        state=str(folder / "state"),
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
    )
    config = config.with_section(
        BoostingConfig(trees=4, depth=3, min_leaf_count=10, l2=1.0, encryption="plain")
    ).with_section(ScorecardConfig(bins=5, min_group=5, max_p=1.0, exchanges=3, encryption="plain"))
    with inline.opened(3) as run_federation:
        run_federation(config, ignore)
    return config


@pytest.fixture
def siloscore(
    study: TrainingConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> Callable[..., tuple[int, str]]:
    """A command on the study's store, in a folder with a file of applicants: its exit code, and what it says."""
    monkeypatch.chdir(tmp_path)
    bank = pd.read_csv(Path(study.data, "bank", "table.csv"))[["business_id", "default"]]
    # Every third has been declined, so nobody knows how it would have paid.
    bank["paid"] = np.where(np.arange(len(bank)) % 3 == 0, "", bank["default"].astype(str))
    bank.drop(columns="default").to_csv("new.csv", index=False)
    Path("policy.toml").write_text(POLICY, "utf-8")
    store = study.tracking_uri.removeprefix("sqlite:///")

    def run(*arguments: object) -> tuple[int, str]:
        fixed = ("--backend", "inline", "--store", store, "--applicants", "new.csv")
        monkeypatch.setattr(sys, "argv", ["siloscore", *map(str, (*arguments, *fixed))])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code, " ".join((said.out + said.err).split())

    return run


def test_both_models_answer_and_the_page_compares_them(siloscore: Callable[..., tuple[int, str]]) -> None:
    options = ("--outcomes", "paid", "--reject-inference", "parcelling", "--recalibrate")
    code, said = siloscore("challenge", *MODELS, *options, "--policy", "policy.toml", "--out", "out")

    assert code == 0, said
    assert "Rank correlation of the PDs: Spearman 0." in said
    assert "If both approve" in said
    assert "known outcomes: +" in said  # of a bank that knows one table of three
    champion, challenger = (pd.read_csv(f"out/{side}.csv") for side in ("champion", "challenger"))
    assert champion["business_id"].tolist() == challenger["business_id"].tolist()
    assert set(champion["model"]) == {"bank-only-boosting"}
    assert set(challenger["model"]) == {"federated-scorecard"}
    page = Path("out/challenge.md").read_text("utf-8")
    for word in (
        "population stability index",
        "approved by the challenger only",
        "expected profit per applicant at equal approval",
        "AUC, all applicants by reject inference",
        "The outcomes of 134 applicants are unknown",
        "--reject-inference parcelling",
    ):
        assert word in page
    assert Path("out/challenge.html").is_file()

    code, said = siloscore(
        "score", "--run", MODELS[3], "--calibration", "out/challenger.toml", "--out", "scores.csv"
    )
    assert code == 0, said
    scores = pd.read_csv("scores.csv")
    assert (scores["pd_recalibrated"] == challenger["pd_recalibrated"]).all()
    odds = logit(scores["pd_recalibrated"].to_numpy())
    slope, intercept = np.polyfit(logit(scores["pd"]), odds, 1)
    np.testing.assert_allclose(expit(slope * logit(scores["pd"]) + intercept), scores["pd_recalibrated"])


@pytest.mark.parametrize("blend", ["champion", "challenger"])
def test_a_blend_may_be_either_and_changed_reasons_are_those_of_the_files(
    siloscore: Callable[..., tuple[int, str]], blend: str
) -> None:
    names = {side: "federated-blend" if side == blend else "federated-scorecard" for side in SIDES}
    models = (word for side, name in names.items() for word in (f"--{side}", f"trained/{name}"))
    code, said = siloscore("challenge", *models, "--policy", "policy.toml", "--out", "out")

    assert code == 0, said
    told = {side: pd.read_csv(f"out/{side}.csv", keep_default_na=False) for side in SIDES}
    assert told[blend]["model"].isin(["federated-blend", "federated-blend + bank-only-boosting"]).all()
    approved, first, new = map(float, re.search(CHANGES, said).groups())
    most = {side: np.sort(rows["pd"])[round(approved / 100 * len(rows)) - 1] for side, rows in told.items()}
    declined = np.all([told[side]["pd"] > most[side] for side in SIDES], axis=0)
    before, after = (told[side].loc[declined, TEXTS].to_numpy().tolist() for side in SIDES)
    others = [one[0] != another[0] for one, another in zip(before, after, strict=True)]
    assert 100 * np.mean(others) == pytest.approx(first, abs=0.006)
    added = [text not in one for one, another in zip(before, after, strict=True) for text in another if text]
    assert 100 * np.mean(added) == pytest.approx(new, abs=0.006)
    assert first > 0
    assert 0 < new < 100


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--recalibrate",), "go by outcomes; name them by --outcomes"),
        (("--outcomes", "nowhere"), "new.csv has no column 'nowhere'"),
        (
            ("--outcomes", "business_id"),
            "line 2, column 'business_id': an outcome is 0 (repaid), 1 (default)",
        ),
        (("--champion", MODELS[3]), "are the same model, trained/federated-scorecard/1; name two"),
        (("--champion", "trained/bank-only-trees"), "There is no finished run 'trained/bank-only-trees'"),
        (("--policy", "none.toml"), "There is no policy file none.toml"),
    ],
)
def test_what_a_person_can_mend_is_said(
    siloscore: Callable[..., tuple[int, str]], arguments: tuple[str, ...], said: str
) -> None:
    options = ("--policy", "policy.toml", "--out", "out")
    code, output = siloscore("challenge", *MODELS, *options, *arguments)
    assert code == 2
    assert said in output
    assert not Path("out").exists()
