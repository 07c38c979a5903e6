import itertools

import numpy as np
import pytest
from mlflow import MlflowClient

from experiments.comparison import overlays
from experiments.comparison.publishing import label_new_children, nest, publish_comparison, publish_report
from server.tracking import leaderboard
from server.tracking.study import Study
from server.tracking.tracked_run import FINAL_METRICS

FIGURES = {f"figures/{name}.png" for name in ("roc", "ks", "calibration", "gain", "distribution")}

pytestmark = pytest.mark.usefixtures("quick_tracking")


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture(scope="module")
def client(uri):
    return MlflowClient(uri)


@pytest.fixture
def study(uri, request):
    return Study.start(uri, request.node.name, "demo")


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
    publish_comparison(study, toy_study.comparison, toy_study.evaluations)
    for run, name in zip(runs, toy_study.evaluations, strict=True):
        expected = set(FINAL_METRICS) - ({"uplift_auc"} if name == "bank-only-network" else set())
        assert set(client.get_run(run).data.metrics) == expected
    artefacts = [files(client, run) for run in runs]
    assert all(found == artefacts[0] for found in artefacts)
    assert artefacts[0] > FIGURES | {"tables/deciles.json", "tables/segments.json", "tables/costs.json"}


def test_the_summary_puts_winner_and_margin_where_everyone_looks(study, client, toy_study):
    for name, seed in itertools.product(("bank-only-network", "federated-network"), (1, 2)):
        log_contender(study, toy_study, name, seed, rounds=(0.6, 0.7))
    publish_comparison(study, toy_study.comparison, toy_study.evaluations)
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
    publish_comparison(study, toy_study.comparison, toy_study.evaluations)
    metrics = {key: client.get_run(run).data.metrics for key, run in runs.items()}
    difference = metrics["federated-network", 1]["auc"] - metrics["bank-only-network", 1]["auc"]
    assert metrics["federated-network", 1]["uplift_auc"] == pytest.approx(difference)
    assert "uplift_auc" not in metrics["bank-only-network", 1]
    assert "uplift_auc" not in metrics["federated-network", 2]


def test_summarising_twice_keeps_the_study_s_own_name(study, client, toy_study):
    publish_comparison(study, toy_study.comparison, toy_study.evaluations)
    publish_comparison(study, toy_study.comparison, toy_study.evaluations)
    assert "Study: demo." in note(client, study.run_id)


def test_unknown_values_are_not_logged(study, client, toy_study):
    comparison = toy_study.comparison.assign(round_trips=np.nan)
    publish_comparison(study, comparison, toy_study.evaluations)
    assert "round_trips" not in client.get_run(study.run_id).data.metrics
    assert FINAL_METRICS[0] in client.get_run(study.run_id).data.metrics


def test_a_report_stands_above_the_studies_it_is_on(study, uri, client, toy_study, tmp_path):
    below = Study.start(uri, "below a report", "one of several")
    below.finish()
    page = tmp_path / "report.html"
    page.write_text("<!doctype html>")
    figure = overlays.roc_overlay(toy_study.evaluations)
    with study:
        nest(below.run_id, study)
        publish_report(
            study,
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


def test_children_are_labelled_once(study, client):
    early = study.contender("federated-network", 1).run_id
    label_new_children(study, "parties", "bank, tax")
    late = study.contender("federated-network", 1).run_id
    label_new_children(study, "parties", "bank")
    runs = [client.get_run(run_id) for run_id in (early, late)]
    assert [run.data.tags["parties"] for run in runs] == ["bank, tax", "bank"]
    assert [run.info.run_name.rpartition(" · ")[2] for run in runs] == ["bank, tax", "bank"]
