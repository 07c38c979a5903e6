"""The bank's service and the coordinator's scoring as processes, of which one after the other is killed."""

import os
import random
import signal
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clients.serving.keys import new_key
from experiments.backends import inline
from experiments.guard import groups_below
from experiments.servers import free_port
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from server.progress import ignore

APPLICANTS, AT_A_TIME, ROUNDS = 10_000, 100, 5
# Every answer that is ever written leaves a row, also one that takes the place of another.
TRACE = """
CREATE TABLE traces (id TEXT);
CREATE TRIGGER traced AFTER UPDATE OF federated ON applicants BEGIN INSERT INTO traces VALUES (new.id); END;
"""


class Program:
    """A `siloscore` command, which runs until it is killed, and can be started again."""

    def __init__(self, log: Path, *arguments: object) -> None:
        self._command = [
            sys.executable,
            "-c",
            "from experiments.cli import main; main()",
            *map(str, arguments),
        ]
        self._log = log
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "COLUMNS": "200"},
            )

    def kill(self) -> None:
        for group in {self._process.pid} | groups_below(self._process.pid):
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.killpg(group, signal.SIGKILL)
        self._process.wait(10)

    def kill_and_restart(self) -> None:
        assert self._process.poll() is None, self._log.read_text()[-2000:]
        self.kill()
        self.start()


class Poster:
    """A loan system that posts what has not been acknowledged, again and again."""

    def __init__(self, address: str, key: str) -> None:
        self._client = httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=30)
        self.acknowledged: dict[str, dict[str, Any]] = {}

    def post(self, applicants: list[dict[str, Any]]) -> None:
        """Post them all."""
        for first in range(0, len(applicants), AT_A_TIME):
            chunk = {"applicants": applicants[first : first + AT_A_TIME]}
            while True:
                with suppress(httpx.TransportError):  # the service is being killed
                    response = self._client.post("/applicants", json=chunk)
                    assert response.status_code == 200, response.text
                    self.acknowledged |= {one["id"]: one for one in response.json()["applicants"]}
                    break
                time.sleep(0.05)

    def get(self, id_: str) -> dict[str, Any]:
        """What the service says of one of them."""
        return dict(self._client.get(f"/applicants/{id_}").json())

    def close(self) -> None:
        """End the connections."""
        self._client.close()


@pytest.fixture(scope="module")
def trained(
    quick_tracking: None, make_tables: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A dataset whose parties keep a trained model, and its MLflow store."""
    data, store = make_tables(("tax",)), tmp_path_factory.mktemp("store") / "mlflow.db"
    config = TrainingConfig(
        data=str(data),
        parties=("bank", "tax"),
        contenders=("federated-boosting",),
        study="s",
        tracking_uri=f"sqlite:///{store}",
    ).with_section(BoostingConfig(trees=4, min_leaf_count=10, encryption="plain"))
    with inline.opened(2) as run_federation:
        run_federation(config, ignore)
    (data / "policy.toml").write_text('[cash-flow]\ncolumn = ""\n')
    return data, store


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    started: list[Program] = []
    yield started
    for program in started:
        program.kill()


def wait_for(what: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_ten_thousand_applicants_survive_ten_kills_and_each_is_answered_once(
    trained: tuple[Path, Path], programs: list[Program], tmp_path: Path
) -> None:
    data, store = trained
    bank, port, rng = data / "bank", free_port(), random.Random(7)
    policy = data / "policy.toml"
    run = "s/federated-boosting/1"
    poster = Poster(f"http://127.0.0.1:{port}", new_key(bank, "loans"))
    service = Program(tmp_path / "serve.log", "serve", bank, "--run", run, "--policy", policy, "--port", port)
    programs.append(service)
    table = pd.read_csv(bank / "table.csv")[["a", "b", "c", "kind"]].astype(object)
    rows = table.where(table.notna(), None).to_dict("records")
    applicants = [{"id": f"n{k:05d}", "columns": rows[k % len(rows)]} for k in range(APPLICANTS)]
    poster.post(applicants[:1])
    queue = bank / "state" / "@serving" / "queue.db"
    with closing(sqlite3.connect(queue, timeout=30)) as connection:
        connection.executescript(TRACE)
        scoring = Program(
            tmp_path / "score.log",
            *("score", "--run", run, "--every", "1s", "--store", store, "--backend", "inline"),
        )
        programs.append(scoring)

        def number(query: str) -> float:
            return float(connection.execute(query).fetchone()[0] or 0)

        for part in np.array_split(np.array(applicants, object), ROUNDS):
            posting = threading.Thread(target=poster.post, args=(part.tolist(),))
            last_batch = number("SELECT MAX(taken) FROM batches")
            there, goal = len(poster.acknowledged), rng.randrange(len(part))
            posting.start()
            wait_for(lambda there=there, goal=goal: len(poster.acknowledged) >= there + goal - AT_A_TIME)
            time.sleep(rng.uniform(0, 0.1))
            service.kill_and_restart()
            wait_for(lambda last=last_batch: number("SELECT MAX(taken) FROM batches") > last)
            time.sleep(rng.uniform(0, 2))
            scoring.kill_and_restart()
            posting.join()
        wait_for(lambda: number("SELECT COUNT(*) FROM applicants WHERE federated IS NULL") == 0)

        assert number("SELECT COUNT(*) FROM applicants") == APPLICANTS
        traces = dict(connection.execute("SELECT id, COUNT(*) FROM traces GROUP BY id").fetchall())
        assert traces == dict.fromkeys((one["id"] for one in applicants), 1)
        answers = pd.read_sql("SELECT id, federated FROM applicants", connection)
    # The same columns get the same answer in every batch.
    assert answers.groupby(answers["id"].str[1:].astype(int) % len(rows))["federated"].nunique().eq(1).all()
    for id_ in ("n00000", "n09999"):
        wait_for(lambda id_=id_: poster.get(id_)["federated"] is not None)
        assert poster.get(id_)["reserve"] == poster.acknowledged[id_]["reserve"]
    poster.close()


@pytest.mark.slow
def test_with_a_certificate_the_service_speaks_tls_alone(
    trained: tuple[Path, Path], programs: list[Program], tmp_path: Path
) -> None:
    data, _ = trained
    key, port = new_key(data / "bank", "loans"), free_port()
    write_certificate(tmp_path)
    programs.append(
        Program(
            tmp_path / "serve.log",
            *("serve", data / "bank", "--run", "s/federated-boosting/1", "--policy", data / "policy.toml"),
            *("--port", port, "--certificate", tmp_path / "tls.crt", "--key", tmp_path / "tls.key"),
        )
    )
    headers = {"Authorization": f"Bearer {key}"}
    context = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", headers=headers, verify=context) as client:
        wait_for(lambda: answers(client))
        assert "siloscore_applicants_waiting" in client.get("/metrics").text
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port}/health")
    assert key not in (tmp_path / "serve.log").read_text()


def answers(client: httpx.Client) -> bool:
    """Whether the service is there."""
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def write_certificate(folder: Path) -> None:
    """A certificate of this machine that it has signed itself, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "tls.crt").write_bytes(certificate.public_bytes(pem))
    (folder / "tls.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
