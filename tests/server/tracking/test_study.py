import json
import subprocess
import sys

import pytest
from mlflow import MlflowClient

from server.tracking import leaderboard
from server.tracking.provenance import DatasetFacts
from server.tracking.study import Study


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


def test_the_digests_of_simulated_files_and_those_that_have_changed_are_logged(uri, client):
    facts = DatasetFacts(
        "base-200-1", "0123", "data/x", 200, {"a.parquet": "5a", "b.parquet": "0c"}, ("b.parquet",)
    )
    (logged,) = client.get_run(Study.start(uri, "digests", "x", dataset=facts).run_id).inputs.dataset_inputs
    profile = json.loads(logged.dataset.profile)
    assert profile == {"rows": 200, "files": {"a.parquet": "5a", "b.parquet": "0c"}, "changed": ["b.parquet"]}


def test_another_process_can_add_contenders(study, uri, toy_study):
    elsewhere = Study.attach(uri, study.run_id)
    with elsewhere.contender("federated-network", 1) as run:
        run.log_evaluation(toy_study.evaluations["federated-network"])
    assert [child.contender for child in study.children()] == ["federated-network"]


def test_a_study_that_fails_leaves_no_child_running(study, client, toy_study):
    with study.contender("true-pd", 1) as run:
        run.log_evaluation(toy_study.evaluations["true-pd"])
    done, left = run.run_id, study.contender("federated-network", 1).run_id
    study.finish("FAILED", "the simulation ended early")
    assert [client.get_run(run).info.status for run in (study.run_id, done, left)] == [
        "FAILED",
        "FINISHED",
        "FAILED",
    ]
    assert "ended before this run did" in client.get_run(left).data.tags["mlflow.note.content"]


@pytest.mark.parametrize(
    ("pinned", "tag", "sentence"),
    [
        (True, "pinned", "Every party knew the public keys of the others before the run"),
        (False, "exchanged at first use", "could have put others in their place."),
    ],
)
def test_a_study_says_once_how_its_parties_knew_each_other(study, client, pinned, tag, sentence):
    study.mark_identities(pinned)
    study.describe("A result.")
    study.finish("FAILED", "at last")
    told = client.get_run(study.run_id).data.tags
    assert told["identities"] == tag
    assert told["mlflow.note.content"].startswith("**FAILED** at last\n\nA result.")
    assert told["mlflow.note.content"].count(sentence) == 1


def test_studies_of_one_name_share_an_experiment(uri):
    first, second = Study.start(uri, "shared", "a"), Study.start(uri, "shared", "b")
    assert first.experiment_id == second.experiment_id
    assert first.run_id != second.run_id


START = """
import sys
from server.tracking.study import Study
print("ready", flush=True)
sys.stdin.readline()
print(Study.start(sys.argv[1], "shared", "a").experiment_id)
"""


@pytest.mark.slow
def test_two_processes_that_start_at_once_share_a_new_store(tmp_path):
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    command = [sys.executable, "-c", START, uri]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    first, second = (process.communicate(timeout=120) for process in processes)

    assert [process.returncode for process in processes] == [0, 0], first[1] + second[1]
    assert first[0] == second[0]
    assert len(MlflowClient(uri).search_runs([first[0].strip()])) == 2


def test_artefacts_lie_beside_the_store_whatever_the_current_folder(uri, client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    location = client.get_experiment(Study.start(uri, "from elsewhere", "a").experiment_id).artifact_location
    store = uri.removeprefix("sqlite:///").removesuffix("/mlflow.db")
    assert location == f"file://{store}/mlartifacts/from%20elsewhere"
    assert not list(tmp_path.iterdir())


def test_the_leaderboard_is_that_of_the_latest_study_until_another_leads(uri, client):
    first, second = Study.start(uri, "led", "a"), Study.start(uri, "led", "b")
    assert second.run_id in client.get_experiment(first.experiment_id).tags[leaderboard.TAG]
    first.lead()
    assert first.run_id in client.get_experiment(first.experiment_id).tags[leaderboard.TAG]
