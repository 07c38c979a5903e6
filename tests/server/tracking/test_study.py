import itertools
import json
import logging
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from server.tracking import leaderboard
from server.tracking import study as tracking
from server.tracking.provenance import DatasetFacts
from server.tracking.study import Study
from server.tracking.tracked_run import FINAL_METRICS

FIGURES = {f"figures/{name}.png" for name in ("roc", "ks", "calibration", "gain", "distribution")}


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture(scope="module")
def client(uri):
    return MlflowClient(uri)


@pytest.fixture
def study(uri, request):
    facts = DatasetFacts("demo", "0123abcd", "data/demo", 20_000)
    return Study.start(uri, request.node.name, "demo", params={"rows": 5000}, world="base", dataset=facts)


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


def test_every_contender_has_the_same_final_metrics_and_artefacts(study, client, toy_study):
    assert len(FINAL_METRICS) <= 10
    runs = [log_contender(study, toy_study, name, 1) for name in toy_study.evaluations]
    study.summarise(toy_study.comparison, toy_study.evaluations)
    for run, name in zip(runs, toy_study.evaluations, strict=True):
        expected = set(FINAL_METRICS) - ({"uplift_auc"} if name == "bank-only-network" else set())
        assert set(client.get_run(run).data.metrics) == expected
    artefacts = [files(client, run) for run in runs]
    assert all(found == artefacts[0] for found in artefacts)
    assert artefacts[0] > FIGURES | {"tables/deciles.json", "tables/segments.json", "tables/costs.json"}


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


def test_children_carry_what_tells_them_apart_and_what_they_share(study, client):
    run = client.get_run(study.contender("pooled-trees", 7, {"depth": 3}).run_id)
    assert run.info.run_name == "pooled-trees · seed 7"
    assert run.data.params == {"contender": "pooled-trees", "seed": "7", "depth": "3"}
    parent = client.get_run(study.run_id)
    for tag in {"world", "git"} & parent.data.tags.keys():
        assert run.data.tags[tag] == parent.data.tags[tag]
    assert run.data.tags["world"] == "base"
    assert run.data.tags["mlflow.parentRunId"] == study.run_id
    assert (run.data.tags["contender"], run.data.tags["seed"]) == ("pooled-trees", "7")


def test_the_dataset_is_an_input_of_the_study_and_of_each_child(study, client):
    for run_id in (study.run_id, study.contender("true-pd", 1).run_id):
        (logged,) = client.get_run(run_id).inputs.dataset_inputs
        assert (logged.dataset.name, logged.dataset.digest) == ("demo", "0123abcd")
        assert json.loads(logged.dataset.profile) == {"rows": 20_000}


def test_another_process_can_add_contenders(study, uri, toy_study):
    elsewhere = Study.attach(uri, study.run_id)
    log_contender(elsewhere, toy_study, "federated-network", 1)
    assert [child.contender for child in study.children()] == ["federated-network"]


def test_the_summary_puts_winner_and_margin_where_everyone_looks(study, client, toy_study):
    for name, seed in itertools.product(("bank-only-network", "federated-network"), (1, 2)):
        log_contender(study, toy_study, name, seed, rounds=(0.6, 0.7))
    study.summarise(toy_study.comparison, toy_study.evaluations)
    study.finish()
    parent = client.get_run(study.run_id)
    row = toy_study.comparison.set_index("contender").loc["federated-network"]
    said = f"federated-network {row.uplift_auc:+.3f} AUC over bank-only"
    assert parent.info.run_name == said
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["auc"] == round(row.auc, 4)
    assert parent.data.metrics["uplift_auc"] == round(row.uplift_auc, 4)
    experiment = client.get_experiment(study.experiment_id)
    for text in (note(client, study.run_id), experiment.tags["mlflow.note.content"]):
        assert text.startswith(f"{said}\n")
        assert "**federated-network**" in text
    assert study.run_id in experiment.tags[leaderboard.TAG]
    overlays = {f"figures/{name}.png" for name in ("auc", "roc", "calibration", "gain", "training")}
    assert files(client, study.run_id) == overlays | {"tables/comparison.json"}


def test_uplift_is_over_the_baseline_of_the_same_seed(study, client, toy_study):
    runs = {
        (name, seed): log_contender(study, toy_study, name, seed)
        for name, seed in (("bank-only-network", 1), ("federated-network", 1), ("federated-network", 2))
    }
    study.summarise(toy_study.comparison, toy_study.evaluations)
    metrics = {key: client.get_run(run).data.metrics for key, run in runs.items()}
    difference = metrics["federated-network", 1]["auc"] - metrics["bank-only-network", 1]["auc"]
    assert metrics["federated-network", 1]["uplift_auc"] == pytest.approx(difference)
    assert "uplift_auc" not in metrics["bank-only-network", 1]
    assert "uplift_auc" not in metrics["federated-network", 2]


def test_summarising_twice_keeps_the_study_s_own_name(study, client, toy_study):
    study.summarise(toy_study.comparison, toy_study.evaluations)
    study.summarise(toy_study.comparison, toy_study.evaluations)
    assert "Study: demo." in note(client, study.run_id)


def test_a_child_describes_itself_in_two_lines(study, client, toy_study):
    lines = note(client, log_contender(study, toy_study, "true-pd", 1)).split("\n\n")
    assert len(lines) == 2
    assert lines[0].startswith("**true-pd: AUC ")
    assert "40 round trips and 2.5 MB" in lines[1]


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


def test_a_study_that_fails_leaves_no_child_running(study, client, toy_study):
    done, left = log_contender(study, toy_study, "true-pd", 1), study.contender("federated-network", 1).run_id
    study.finish("FAILED", "the simulation ended early")
    assert [client.get_run(run).info.status for run in (study.run_id, done, left)] == [
        "FAILED",
        "FINISHED",
        "FAILED",
    ]
    assert "ended before this run did" in note(client, left)


def test_studies_of_one_name_share_an_experiment(uri):
    first, second = Study.start(uri, "shared", "a"), Study.start(uri, "shared", "b")
    assert first.experiment_id == second.experiment_id
    assert first.run_id != second.run_id


def test_artefacts_lie_beside_the_store_whatever_the_current_folder(uri, client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    location = client.get_experiment(Study.start(uri, "from elsewhere", "a").experiment_id).artifact_location
    store = uri.removeprefix("sqlite:///").removesuffix("/mlflow.db")
    assert location == f"file://{store}/mlartifacts/from%20elsewhere"
    assert not list(tmp_path.iterdir())


def test_nothing_is_reported_to_the_makers_of_mlflow_and_nothing_needless_to_the_user():
    assert leaderboard.ENVIRONMENT.keys() <= os.environ.keys()
    assert not logging.getLogger("mlflow.store.db.utils").isEnabledFor(logging.INFO)


@pytest.mark.parametrize("module", ["registry", "tracked_run", "tracking"])
def test_mlflow_is_told_to_report_nothing_before_it_is_imported(module: str) -> None:
    # In a process of its own, where nothing has imported MLflow yet.
    program = f"""
import os, sys
class Watch:
    def find_spec(self, name, path, target=None):
        if name == "mlflow":
            print(os.environ.get("MLFLOW_DISABLE_TELEMETRY"))
sys.meta_path.insert(0, Watch())
import server.{module}
"""
    clean = {name: value for name, value in os.environ.items() if name not in leaderboard.ENVIRONMENT}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=clean, check=False
    )
    assert (run.returncode, run.stdout.strip()) == (0, "true"), run.stderr


def test_unknown_values_are_not_logged(study, client, toy_study):
    comparison = toy_study.comparison.assign(round_trips=np.nan)
    study.summarise(comparison, toy_study.evaluations)
    assert "round_trips" not in client.get_run(study.run_id).data.metrics
    assert FINAL_METRICS[0] in client.get_run(study.run_id).data.metrics


def test_a_report_stands_above_the_studies_it_is_on(study, uri, client, toy_study, tmp_path):
    below = Study.start(uri, "below a report", "one of several")
    below.finish()
    page = tmp_path / "report.html"
    page.write_text("<!doctype html>")
    figure = tracking.overlays.roc_overlay(toy_study.evaluations)
    with study:
        study.adopt(below.run_id)
        study.report(
            "**base**: a gain",
            {"base/uplift": 0.25},
            {"gains": figure},
            {"base-measures": toy_study.comparison},
            [page],
        )
    run = client.get_run(study.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"base/uplift": 0.25}
    assert note(client, study.run_id) == "**base**: a gain"
    assert files(client, study.run_id) == {"report.html", "figures/gains.png", "tables/base-measures.json"}
    assert client.get_run(below.run_id).data.tags["mlflow.parentRunId"] == study.run_id
    experiment = client.get_experiment(study.experiment_id)
    assert experiment.tags["mlflow.note.content"] == "**base**: a gain"
    assert study.run_id in experiment.tags[leaderboard.TAG]
