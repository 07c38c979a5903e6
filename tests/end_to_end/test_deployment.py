"""Flower's deployment engine: a SuperLink, and a SuperNode for each party, which is killed at last."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clients.aligned import read_applications
from clients.data.declaration import read_declaration, write_declaration
from clients.identity import make_identity, read_identity
from clients.policy import Policy
from clients.scores import Scores
from clients.scoring import read_answers
from clients.store import Store
from experiments.backends.flower import write_app
from experiments.guard import groups_below
from experiments.scoring import scoring_config
from experiments.servers import free_port
from fl.config.boosting import BoostingConfig
from fl.config.run import RunConfig, TrainingConfig
from server.tracking.registry import find_model

PROGRAMS = Path(sys.executable).parent


class Deployment:
    """Processes on this machine that know each other by network addresses alone."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._address = folder, f"127.0.0.1:{free_port()}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "config.toml").write_text(
            f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "{self._address}"\ninsecure = true\n'
        )
        host, port = self._address.split(":")
        self._start("superlink", "flower-superlink", "--insecure", "--host", host, "--port", port)

    def join(self, party: Path) -> None:
        """Start a party's SuperNode."""
        own = "--host", "127.0.0.1", "--port", str(free_port())
        told = f"party-folder='{party}'"
        self._start(
            party.name,
            *("flower-supernode", "--insecure", "--superlink", self._address, *own, "--node-config", told),
        )

    def run(self, config: RunConfig, timeout: float = 400) -> str:
        """Run a configuration to its end: Flower's status."""
        app = self._folder / config.study
        write_app(app, config, "server.app:app")
        number, deadline = self._flwr("run", str(app), "here")["run-id"], time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = self._flwr("list", "here", "--run-id", str(number))["runs"][0]
            if found["status"].startswith("finished"):
                return str(found["status"])
            time.sleep(1)
        raise TimeoutError((self._folder / "superlink.log").read_text()[-3000:])

    def kill(self, name: str) -> None:
        """End a process and all that it has started, at once."""
        process = self._processes.pop(name)
        for group in {process.pid} | groups_below(process.pid):
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.killpg(group, signal.SIGKILL)
        process.wait(10)

    def stop(self) -> None:
        """End all of them."""
        for name in list(self._processes):
            self.kill(name)

    def _start(self, name: str, program: str, *arguments: str) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [PROGRAMS / program, *arguments],
                env=self._environment,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def _environment(self) -> dict[str, str]:
        quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "OMP_NUM_THREADS": "1"}
        path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, **quiet, "FLWR_HOME": str(self._folder), "PATH": path}

    def _flwr(self, *arguments: str) -> dict:
        for _ in range(20):  # until the SuperLink listens
            done = subprocess.run(
                [PROGRAMS / "flwr", *arguments, "--format", "json"],
                env=self._environment,
                cwd=self._folder,
                capture_output=True,
                text=True,
                check=False,
            )
            if "{" in done.stdout:
                answer = json.loads(done.stdout[done.stdout.index("{") : done.stdout.rindex("}") + 1])
                if answer.get("success"):
                    return answer
            time.sleep(1)
        raise RuntimeError(done.stdout + done.stderr)


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    folder = tmp_path / "flower"
    folder.mkdir()
    found = Deployment(folder)
    yield found
    found.stop()


def work_together(*parties: Path) -> None:
    """What the people of deployed parties do first: make keys, pin those of the partners, and write a policy."""
    for party in parties:
        make_identity(party)
    keys = {party.name: read_identity(party).public.text for party in parties}
    for party in parties:
        partners = {name: key for name, key in keys.items() if name != party.name}
        policy = Policy(least_leaf_count=10)
        write_declaration(party, replace(read_declaration(party), partners=partners, policy=policy))


@pytest.mark.slow
def test_deployed_parties_train_and_score_and_one_may_die(
    make_tables: Callable[..., Path], deployment: Deployment, tmp_path: Path
) -> None:
    data = make_tables(("tax",))
    work_together(data / "bank", data / "tax")
    for party in ("bank", "tax"):
        deployment.join(data / party)
    config = TrainingConfig(
        data=str(data),
        parties=("bank", "tax"),
        contenders=("federated-boosting",),
        study="deployed",
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
        timeout=60,
    ).with_section(BoostingConfig(trees=1, depth=2, min_leaf_count=10, patience=0))

    assert deployment.run(config) == "finished:completed"

    store = Store(data / "bank" / "state" / "deployed")
    pds = pd.Series(
        Store(store.folder / "federated-boosting" / "1").read(Scores).pd, read_applications(store).ids
    )
    model = find_model(config.tracking_uri, "deployed/federated-boosting")
    applicants = data / "bank" / "applicants.csv"
    pds.index[:50].to_frame(name="business_id").to_csv(applicants, index=False)
    scoring = scoring_config(model, config.tracking_uri, data, config.parties, applicants)

    assert deployment.run(scoring) == "finished:completed"

    answers = read_answers(scoring, data / "bank").frame().set_index("business_id")
    np.testing.assert_array_equal(answers["pd"], pds[answers.index])
    known = answers["parties"] == "bank; tax"
    assert 0 < known.sum() < len(answers)
    assert (
        answers["model"].tolist()
        == np.where(known, "federated-boosting", "federated-boosting + bank-only-boosting").tolist()
    )

    deployment.kill("tax")
    alone = replace(scoring, study="alone", timeout=15, connect_timeout=5)

    assert deployment.run(alone) == "finished:completed"

    answers = read_answers(alone, data / "bank").frame()
    assert set(answers["model"]) == {"bank-only-boosting"}
