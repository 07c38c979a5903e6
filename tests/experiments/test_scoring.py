"""The command `siloscore score` and what MLflow knows of it."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from clients.aligned import read_applications
from clients.scores import Scores
from clients.store import Store
from experiments import cli
from experiments.backends import inline
from experiments.scoring import is_near, write_whole
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError
from server.progress import ignore
from server.tracking.registry import find_model

pytestmark = pytest.mark.usefixtures("quick_tracking")
COLUMNS = [
    *("business_id", "score", "pd", "parties", "model", "review"),
    *(f"{name}_{k}" for k in range(1, 5) for name in ("reason", "adds", "text", "text_zh")),
    "base",
]


class Study(NamedTuple):
    """A study with boosting and a scorecard under two seeds, and an MLflow store that has it; runs are of boosting."""

    config: TrainingConfig
    store: Path
    client: MlflowClient
    runs: dict[str, Run]

    @property
    def pds(self) -> "pd.Series[float]":
        """The evaluation's PD of each business under seed 1."""
        return self.pds_of("federated-boosting")

    def pds_of(self, contender: str) -> "pd.Series[float]":
        """The same under another contender."""
        study = Store(Path(self.config.state, "bank", "trained"))
        scores = Store(study.folder / contender / "1").read(Scores).pd
        return pd.Series(scores, read_applications(study).ids)


@pytest.fixture(scope="module")
def study(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    config = TrainingConfig(
        data=str(tables),
        parties=("bank", "tax", "supply"),
        contenders=("federated-boosting", "federated-scorecard"),
        seeds=(1, 2),
        study="trained",
        state=str(folder / "state"),
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
    )
    config = config.with_section(
        BoostingConfig(trees=4, depth=3, min_leaf_count=10, l2=1.0, encryption="plain")
    ).with_section(ScorecardConfig(bins=5, min_group=5, max_p=1.0, exchanges=3, encryption="plain"))
    with inline.opened(3) as run_federation:
        run_federation(config, ignore)
    client = MlflowClient(config.tracking_uri)
    found = client.search_runs([client.get_experiment_by_name("siloscore").experiment_id])
    runs = {
        run.data.tags.get("seed", "parent"): run
        for run in found
        if run.data.tags.get("contender") != "federated-scorecard"
    }
    return Study(config, folder / "mlflow.db", client, runs)


class Ended(NamedTuple):
    """How the command ended."""

    code: int
    output: str
    errors: str


@pytest.fixture
def score(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path
) -> Callable[..., Ended]:
    """The command in this process, in an empty folder, on the study's store."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, run: str = "trained/federated-boosting/1") -> Ended:
        fixed = (
            "score",
            "--store",
            study.store,
            "--run",
            run,
            "--backend",
            "inline",
            "--applicants",
            "new.csv",
        )
        monkeypatch.setattr(sys, "argv", ["siloscore", *map(str, (*fixed, *arguments))])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Ended(ended.value.code, said.out, said.err)

    return run


def test_a_trained_contender_is_a_model_version_without_weights(study: Study) -> None:
    versions = study.client.search_model_versions("name = 'siloscore-federated-boosting'")
    assert {version.run_id for version in versions} == {study.runs[seed].info.run_id for seed in "12"}
    first = next(version for version in versions if version.tags["seed"] == "1")
    told = {"study": "trained", "contender": "federated-boosting", "seed": "1"}
    assert first.tags == told | {"run_id": study.runs["1"].info.run_id}
    assert "No weights are here" in first.description
    assert first.source == study.runs["1"].info.artifact_uri


@pytest.mark.parametrize("by_name", [True, False])
def test_a_model_is_found_with_the_settings_of_its_training(study: Study, by_name: bool) -> None:
    words = "trained/federated-boosting/2" if by_name else study.runs["2"].info.run_id
    found = find_model(study.config.tracking_uri, words)
    trained = replace(study.config, contenders=("federated-boosting",), seeds=(2,))
    assert found.config == trained
    assert found.name == "trained/federated-boosting/2"
    assert found.run_id == study.runs["2"].info.run_id


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("trained/federated-boosting", "was trained under the seeds 1, 2; name one"),
        ("trained/federated-network", "There is no finished run 'trained/federated-network'"),
        ("0123", "There is no finished run '0123'"),
        ("parent", r"is no federated contender \(none\)"),
    ],
)
def test_what_is_no_model_is_said(study: Study, words: str, said: str) -> None:
    words = study.runs["parent"].info.run_id if words == "parent" else words
    with pytest.raises(ConfigError, match=said):
        find_model(study.config.tracking_uri, words)


def test_the_file_has_what_the_evaluation_computed(
    study: Study, score: Callable[..., Ended], tmp_path: Path
) -> None:
    ids = study.pds.index[[5, 50, 7]]
    (tmp_path / "new.csv").write_text("\n".join(["business_id", *ids]), "utf-8")

    ended = score("--out", "scores.csv")
    cut_off = study.pds[ids[0]]
    again = score("--out", "scores.parquet", "--cut-off", cut_off, run=study.runs["1"].info.run_id)

    assert ended.code == again.code == 0, ended.errors + again.errors
    assert "scores.csv: 3 applicants scored by federated-boosting (bank 3" in " ".join(ended.output.split())
    found = pd.read_csv("scores.csv")
    assert found.columns[: len(COLUMNS)].tolist() == COLUMNS
    assert all(name.startswith("adds ") for name in found.columns[len(COLUMNS) :])
    assert found["business_id"].tolist() == ids.tolist()
    np.testing.assert_array_equal(pd.read_parquet("scores.parquet")["pd"], study.pds[ids])
    np.testing.assert_array_equal(found["pd"].astype(str), study.pds[ids].astype(str))
    assert found["review"].tolist() == found["model"].str.contains("bank-only").tolist()
    marked = pd.read_parquet("scores.parquet")["review"]
    assert marked[0]
    assert marked.tolist() == (found["review"] | is_near(study.pds[ids].to_numpy(), cut_off)).tolist()


def test_the_file_of_a_scorecard_has_points_and_reasons(
    study: Study, score: Callable[..., Ended], tmp_path: Path
) -> None:
    pds = study.pds_of("federated-scorecard")
    (tmp_path / "new.csv").write_text("\n".join(["business_id", *pds.index]), "utf-8")

    ended = score("--out", "scores.csv", run="trained/federated-scorecard/1")
    again = score("--out", "scores.parquet", run="trained/federated-scorecard/1")
    alone = score("--out", "alone.csv", "--parties", "bank,tax", run="trained/federated-scorecard/1")

    assert ended.code == again.code == alone.code == 0, ended.errors + again.errors + alone.errors
    found = pd.read_csv("scores.csv", keep_default_na=False)
    assert found.columns[: len(COLUMNS)].tolist() == COLUMNS
    assert found["pd"].astype(str).tolist() == pds[found["business_id"]].astype(str).tolist()
    assert found["score"].dtype == np.int64
    # More points are less risk, and equal points equal risk.
    by_score = found.sort_values("score")
    assert (np.diff(by_score["pd"]) <= 0).all()
    assert set(found["model"]) == {"federated-scorecard"}
    adds = found[[f"adds_{k}" for k in range(1, 5)]].to_numpy()
    assert (np.diff(adds, axis=1) <= 0).all()
    assert (adds > 0).any()
    assert {code[:3] for code in found["reason_1"]} <= {"BAN", "SUP", "TAX"}
    pd.testing.assert_frame_equal(pd.read_parquet("scores.parquet"), found, check_dtype=False)
    # The bank's own model has log odds, and reasons from the bank's columns; a person has to look at what it says.
    by_bank = pd.read_csv("alone.csv", keep_default_na=False)
    assert by_bank.columns[: len(COLUMNS)].tolist() == COLUMNS
    assert {code[:3] for code in by_bank["reason_1"]} <= {"BAN", ""}
    assert by_bank["review"].all()
    assert not found["review"].any()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_finding_9_no_answer_in_a_csv_file_is_a_formula(tmp_path: Path, suffix: str) -> None:
    answers = pd.DataFrame({"business_id": ["=1+1", "-5"], "score": [-0.5, 0.25], "parties": ["bank", "@x"]})
    out = tmp_path / f"scores{suffix}"
    write_whole(answers, out)
    read = pd.read_csv(out, dtype={"business_id": str}) if suffix == ".csv" else pd.read_parquet(out)
    mark = "'" if suffix == ".csv" else ""
    assert read["business_id"].tolist() == [f"{mark}=1+1", "-5"]
    assert read["score"].tolist() == [-0.5, 0.25]
    assert read["parties"].tolist() == ["bank", f"{mark}@x"]


def test_both_runs_tell_of_each_other_and_no_run_of_an_applicant(
    study: Study, score: Callable[..., Ended], tmp_path: Path
) -> None:
    ids = study.pds.index[:4]
    (tmp_path / "new.csv").write_text("\n".join(["business_id", *ids]), "utf-8")
    ended = score("--out", "scores.csv", "--parties", "bank,tax")
    assert ended.code == 0, ended.errors

    trained = study.client.get_run(study.runs["1"].info.run_id)
    latest = study.client.get_run(trained.data.tags["scoring_runs"].split()[0])
    assert latest.data.tags["trained_run"] == trained.info.run_id
    assert latest.info.experiment_id == trained.info.experiment_id
    assert latest.info.status == "FINISHED"
    assert latest.data.tags["answered_by"] == "bank-only-boosting"
    assert (
        "4 applicants scored by bank-only-boosting**; absent: supply"
        in latest.data.tags["mlflow.note.content"]
    )
    assert latest.data.metrics["applicants"] == 4
    everything = str(latest.to_dictionary())
    assert not any(one in everything for one in ids)


@pytest.mark.parametrize(
    ("file", "arguments", "said"),
    [
        ("id\nx", (), "new.csv has no column 'business_id'."),
        ("business_id\nnobody", (), "new.csv, line 2, column 'business_id': bank has no application of"),
        (None, (), "There is no file of applicants new.csv."),
        ("business_id\n业00001", ("--out", "scores.txt"), "The answers go to a .csv or a .parquet file"),
        (
            "business_id\n业00001",
            ("--out", "no/where.csv"),
            "cannot be written to no/where.csv: there is no folder",
        ),
        ("business_id\n业00001", ("--cut-off", "1.5"), "The cut-off must be a PD between 0 and 1, not 1.5"),
        ("business_id\n业00001", ("--parties", "tax"), "a party must hold the label; none of tax does"),
        ("business_id\n业00001", ("--store", "none.db"), "There is no MLflow store none.db"),
        ("business_id\n业00001", ("--data", "nowhere"), "nowhere is no dataset"),
    ],
)
def test_what_a_person_can_mend_is_said_and_nothing_is_written(
    score: Callable[..., Ended], tmp_path: Path, file: str | None, arguments: tuple[str, ...], said: str
) -> None:
    if file is not None:
        (tmp_path / "new.csv").write_text(file, "utf-8")
    arguments = arguments if "--out" in arguments else ("--out", "scores.csv", *arguments)

    ended = score(*arguments)

    assert ended.code == 2
    assert said in " ".join(ended.errors.split())
    # What is wrong with the bank's records stands in its own log alone, which the command quotes in a second line.
    assert ended.errors.count("\n") == (2 if "party.log" in ended.errors else 1)
    assert {path.name for path in tmp_path.iterdir()} <= {"new.csv"}


def test_a_failure_in_the_middle_leaves_the_old_file_and_a_failed_run(
    study: Study, score: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new.csv").write_text(f"business_id\n{study.pds.index[0]}", "utf-8")
    (tmp_path / "scores.csv").write_text("old")
    (Path(study.config.state) / "tax" / "trained").rename(Path(study.config.state) / "tax" / "hidden")
    try:
        ended = score("--out", "scores.csv")
    finally:
        (Path(study.config.state) / "tax" / "hidden").rename(Path(study.config.state) / "tax" / "trained")

    assert ended.code == 2
    assert "Party tax refused train.scoring_prepare: it does not keep the model" in ended.errors
    assert (tmp_path / "scores.csv").read_text() == "old"
    trained = study.client.get_run(study.runs["1"].info.run_id)
    latest = study.client.get_run(trained.data.tags["scoring_runs"].split()[0])
    assert latest.info.status == "FAILED"
