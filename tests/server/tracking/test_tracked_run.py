import json

import pandas as pd
import pytest

from server.tracking.tracked_run import cost_line, quality_line


def files(client, run_id, folder=None):
    found = client.list_artifacts(run_id, folder)
    return {path for f in found for path in (files(client, run_id, f.path) if f.is_dir else {f.path})}


def note(client, run_id):
    return client.get_run(run_id).data.tags["mlflow.note.content"]


def log_contender(study, toy_study, name, seed, rounds=()):
    with study.contender(name, seed) as run:
        for step, auc in enumerate(rounds):
            run.log_round(step, {"valid.auc": auc, "valid.loss": 1 - auc})
        run.log_evaluation(toy_study.evaluations[name])
        run.log_costs(
            {
                "round_trips": 40,
                "bytes_up": 2_000_000,
                "bytes_down": 500_000,
                "seconds": 6.1,
                "cpu_seconds": 9.5,
                "cpu_seconds.coordinator": 0.5,
            }
        )
    return run.run_id


def test_final_metrics_are_rounded_and_tables_exact(study, client, toy_study, tmp_path):
    run = log_contender(study, toy_study, "federated-network", 1)
    exact = toy_study.evaluations["federated-network"].metrics
    assert client.get_run(run).data.metrics["auc"] == round(exact["auc"], 4)
    path = client.download_artifacts(run, "tables/metrics.json", str(tmp_path))
    table = pd.read_json(path, orient="split").set_index("metric")["value"]
    assert table["auc"] == pytest.approx(exact["auc"], abs=1e-9)
    assert table["calibration_error"] == pytest.approx(exact["calibration_error"], abs=1e-9)


def test_the_browser_is_told_which_artefacts_to_show_as_tables(study, client, toy_study):
    run = log_contender(study, toy_study, "federated-network", 1)
    shown = json.loads(client.get_run(run).data.tags["mlflow.loggedArtifacts"])
    tables = {path for path in files(client, run) if path.startswith("tables/")}
    assert {table["path"] for table in shown} == tables
    assert {table["type"] for table in shown} == {"table"}


def test_withheld_segments_stay_withheld_in_the_tables(study, client, toy_study, tmp_path):
    run = log_contender(study, toy_study, "true-pd", 1)
    with open(client.download_artifacts(run, "tables/segments.json", str(tmp_path))) as file:
        table = json.load(file)
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    auc = {row["level"]: row["auc"] for row in rows}
    assert auc["island"] is None
    assert auc["urban"] > 0.5


def test_curves_have_one_point_for_each_round(study, client):
    with study.contender("federated-network", 1) as run:
        for step, auc in enumerate((0.6, 0.7, 0.75), start=1):
            run.log_round(step, {"valid.auc": auc, "valid.loss": 1 - auc})
    history = client.get_metric_history(run.run_id, "valid.auc")
    assert [(point.step, point.value) for point in history] == [(1, 0.6), (2, 0.7), (3, 0.75)]
    assert len(client.get_metric_history(run.run_id, "valid.loss")) == 3


def test_a_curve_cannot_take_a_final_metric_s_name(study):
    with (
        study.contender("federated-network", 1) as run,
        pytest.raises(ValueError, match=r"dotted name.*not auc"),
    ):
        run.log_round(1, {"auc": 0.5, "valid.loss": 0.1})


def test_a_child_describes_itself_in_two_lines(study, client, toy_study):
    lines = note(client, log_contender(study, toy_study, "true-pd", 1)).split("\n\n")
    assert len(lines) == 2
    assert lines[0].startswith("**true-pd: AUC ")
    assert "40 round trips and 2.5 MB" in lines[1]


def test_two_lines_tell_quality_and_cost():
    quality = quality_line(
        "x", {"auc": 0.8, "auc_low": 0.77, "auc_high": 0.83, "gini": 0.6, "ks": 0.45, "brier": 0.04}
    )
    assert quality.startswith("**x: AUC 0.800** (95 % interval 0.770 to 0.830)")
    costs = cost_line({"seconds": 41.2, "cpu_seconds": 60.0, "round_trips": 1212, "megabytes": 48.26})
    assert costs == "Trained in 41 s (60 s of CPU) with 1,212 round trips and 48.3 MB moved."


def test_finding_9_the_reason_of_a_failure_is_no_markup(study, client):
    run = study.contender("federated-network", 1)
    with pytest.raises(RuntimeError):
        fail(run, RuntimeError("party <img src=x>[a](javascript:b)\n# c refused"))
    told = "**FAILED** RuntimeError: party &lt;img src=x>\\[a\\](javascript:b) # c refused"
    assert note(client, run.run_id) == told


def fail(run, error):
    with run:
        raise error


def test_a_failed_run_says_so_and_why(study, client):
    run = study.contender("federated-network", 1)
    with pytest.raises(RuntimeError):
        fail(run, RuntimeError("tax did not answer within 60 s"))
    assert client.get_run(run.run_id).info.status == "FAILED"
    assert note(client, run.run_id) == "**FAILED** RuntimeError: tax did not answer within 60 s"


def test_an_interrupted_run_counts_as_killed(study, client):
    run = study.contender("federated-network", 1)
    with pytest.raises(KeyboardInterrupt):
        fail(run, KeyboardInterrupt())
    assert client.get_run(run.run_id).info.status == "KILLED"
