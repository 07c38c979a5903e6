"""The report as a credit analyst makes it: simulated worlds, real federations, pages and MLflow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

pytestmark = pytest.mark.slow

WORLDS = ("base", "no-partner-signal")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a report on two economies of each world was made."""
    folder = tmp_path_factory.mktemp("report")
    policy = folder / "policy.toml"
    policy.write_text('[cut-off]\nchoose = "approval-rate"\ntarget = 0.7\n', "utf-8")
    command = (
        *("report", "--worlds", ",".join(WORLDS), "--economies", "1,2", "--businesses", "5000"),
        *("--algorithm", "boosting", "--set", "boosting.encryption=plain"),
        *("--policy", str(policy), "--out", "out"),
    )
    ended = subprocess.run(
        [str(Path(sys.executable).parent / "siloscore"), *command],
        cwd=folder,
        env=os.environ | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "out/report.html" in ended.stdout
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder}/mlflow.db")


@pytest.fixture(scope="module")
def report_id(client: MlflowClient) -> str:
    experiment = client.get_experiment_by_name("siloscore-report").experiment_id
    (run,) = client.search_runs([experiment], "tags.study LIKE 'report%'")
    return run.info.run_id


def test_federation_gains_where_partners_know_something_and_only_there(
    client: MlflowClient, report_id: str
) -> None:
    found = client.get_run(report_id).data.metrics
    base, bare = (found[f"{world}/uplift_gini_relative"] for world in WORLDS)
    assert base > 0.08
    # Of so few test rows the gain has a standard error of a tenth.
    assert bare < base


def test_the_pages_show_both_worlds(folder: Path) -> None:
    text = (folder / "out" / "report.md").read_text("utf-8")
    for world in WORLDS:
        assert f"## {world}" in text
        assert f"{world}: 2 economies with 1 training seed and 1,250 test applicants each" in text
    assert "to approve 70 %" in text
    assert "siloscore report --worlds base,no-partner-signal" in text
    assert (folder / "out" / "report.html").read_text("utf-8").count("data:image/png;base64,") == 9


def test_groups_are_compared_in_both_worlds(folder: Path, client: MlflowClient, report_id: str) -> None:
    text = (folder / "out" / "report.md").read_text("utf-8")
    assert (
        text.count("### Whom does it treat worse?")
        == text.count("**first_time_borrower.** Approval rate")
        == 2
    )
    metrics = client.get_run(report_id).data.metrics
    tables = {item.path for item in client.list_artifacts(report_id, "tables")}
    for world in WORLDS:
        assert 0 < metrics[f"{world}/least_approval_rate_ratio_challenger"] <= 1
        assert f"tables/{world}-fairness.json" in tables


def test_the_cut_off_of_the_policy_holds_on_later_applicants(
    client: MlflowClient, report_id: str, tmp_path: Path
) -> None:
    path = client.download_artifacts(report_id, "tables/base-measures.json", str(tmp_path))
    table = json.loads(Path(path).read_text("utf-8"))
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    (approved,) = (row for row in rows if (row["cut-offs"], row["measure"]) == ("own", "approval_rate"))
    assert approved["reference"] == pytest.approx(0.7, abs=0.08)
    assert approved["challenger"] == pytest.approx(0.7, abs=0.08)


def test_every_study_stands_below_the_report(client: MlflowClient, report_id: str) -> None:
    experiment = client.get_run(report_id).info.experiment_id
    below = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{report_id}'")
    assert sorted(run.data.tags["world"] for run in below) == ["base"] * 2 + ["no-partner-signal"] * 2
    assert {run.info.status for run in below} == {"FINISHED"}
