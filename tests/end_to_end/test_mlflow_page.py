"""What a person sees who follows the link to MLflow: its pages, rendered by a real browser."""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from experiments.comparison.publishing import publish_comparison
from experiments.mlflow_page import leaderboard_link, server_command
from server.tracking import ENVIRONMENT
from server.tracking.study import Study

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.usefixtures("quick_tracking"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, toy_study):
    """The store of a finished study, and the study."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    with Study.start(uri, "demo", "demo study") as study:
        for name, evaluation in toy_study.evaluations.items():
            with study.contender(name, 1) as run:
                run.log_evaluation(evaluation)
        publish_comparison(study, toy_study.comparison, toy_study.evaluations)
    return uri, study


@pytest.fixture(scope="module")
def server(finished, tmp_path_factory):
    """The address of an MLflow server on that store."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            server_command(finished[0], port),
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | ENVIRONMENT,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/health", process, log)
        yield address
    finally:
        # The server starts its workers as children of its own.
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def wait_for(url, process, log, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    pytest.fail(f"MLflow did not answer at {url}:\n{log.read_text()}")


def rendered(url, profile):
    """The page's document after its scripts have run, without a trace of earlier visits."""
    quiet = ["--disable-gpu", "--disable-quic", "--disable-sync", "--disable-background-networking"]
    first = ["--no-first-run", "--disable-component-update", "--window-size=1600,1000"]
    command = [CHROMIUM, "--headless", "--no-sandbox", *quiet, *first, f"--user-data-dir={profile}"]
    page = subprocess.run(
        [*command, "--virtual-time-budget=20000", "--dump-dom", url],
        capture_output=True,
        check=True,
        text=True,
        timeout=120,
    )
    return page.stdout


@pytest.fixture(scope="module")
def margin(toy_study):
    row = toy_study.comparison.set_index("contender").loc["federated-network"]
    return f"federated-network {row.uplift_auc:+.3f} AUC over bank-only"


def test_the_link_shows_who_won_and_by_how_much(finished, server, margin, toy_study, tmp_path):
    page = rendered(leaderboard_link(server, finished[1].experiment_id), tmp_path)
    assert margin in page
    for name, evaluation in toy_study.evaluations.items():
        assert f"{name} · seed 1" in page
        assert f"{round(evaluation.metrics['auc'], 4)}" in page
    assert "uplift_auc" in page


def test_the_plain_list_of_runs_says_it_as_well(finished, server, margin, tmp_path):
    url = f"{server}/#/experiments/{finished[1].experiment_id}/runs?workflowType=machine_learning"
    assert margin in rendered(url, tmp_path)
