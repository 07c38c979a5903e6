"""A federation of separate organisations on this machine, as `siloscore federation` starts it: one for all tests here.

They run in their order: parties train and score, their processes are looked at, one stops and one is killed, and at
last nothing is left.
"""

import http.client
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from clients.scores import Scores
from clients.store import Store
from clients.supervisor import read_health
from experiments.federation.coordinator import FRONT_DOOR
from experiments.federation.layout import Layout, read_record
from experiments.federation.processes import Process, processes, wait_until

pytestmark = pytest.mark.slow

CONTENDERS = ("federated-scorecard", "federated-boosting")
SMALL = (
    *("--contenders", ",".join(CONTENDERS), "--set", "boosting.trees=4", "--set", "boosting.patience=0"),
    *("--set", "scorecard.exchanges=2", "--set", "scorecard.max-p=1", "--set", "party-timeout=60"),
)


class Ended(NamedTuple):
    """An ended command."""

    code: int
    output: str


class Here(NamedTuple):
    """The federation, and the command `siloscore` with its dataset."""

    layout: Layout
    siloscore: Callable[..., Ended]

    def of(self, organisation: str, program: str = "") -> list[Process]:
        """The processes of an organisation."""
        return [one for one in processes(self.layout, organisation) if program in ("", one.program)]

    def states(self) -> dict[str, str]:
        """What `status` says of everybody."""
        rows = self.siloscore("federation", "status").output.splitlines()
        return dict(match.groups() for row in rows if (match := re.match(r"^([\w-]+) +([a-z]+) ", row)))


@pytest.fixture(scope="module")
def here(make_tables: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    data, folder = make_tables(("tax",), rows=1200), tmp_path_factory.mktemp("deployment")

    def siloscore(*arguments: str) -> Ended:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "siloscore"), *arguments, "--data", str(data)],
            cwd=folder,
            env={**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1", "SECRET_OF_THE_USER": "7"},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        return Ended(done.returncode, done.stdout + done.stderr)

    simulated = siloscore("compare", "--backend", "inline", *SMALL, "--json", "inline.json")
    assert simulated.code == 0, simulated.output
    up = siloscore("federation", "up")
    try:
        assert up.code == 0, up.output
        assert "tax: made private keys" in up.output
        assert "tax: pinned the keys of bank" in up.output
        yield Here(Layout(data), siloscore)
    finally:
        siloscore("federation", "down")


def scores(here: Here, study: str, contender: str) -> Scores:
    """What the bank has kept of a contender."""
    return Store(here.layout.data / "bank" / "state" / study / contender / "1").read(Scores)


def studies(here: Here) -> list[str]:
    """The studies in the bank's state, in their order: their names begin with the time."""
    return sorted(path.name for path in (here.layout.data / "bank" / "state").glob("tables*"))


def test_a_study_on_separate_organisations_is_that_of_one_process_bit_for_bit(
    here: Here, tmp_path: Path
) -> None:
    ended = here.siloscore("compare", "--backend", "deployment", *SMALL, "--json", "deployment.json")

    assert ended.code == 0, ended.output
    inline, deployed = studies(here)
    for contender in CONTENDERS:
        expected, answered = (scores(here, study, contender).pd for study in (inline, deployed))
        np.testing.assert_array_equal(answered, expected)
    assert "siloscore score" in ended.output


def test_the_code_that_answers_is_the_partys_own_and_sees_nothing_of_the_user(here: Here) -> None:
    # Nothing of the app that was shipped was installed at a party, and one worker answered all messages.
    for party in ("bank", "tax"):
        node = here.layout.party(party)
        assert not list(node.folder.rglob("*.fab")) + list(node.folder.rglob("pyproject.toml"))
        assert read_health(node.status)["node"].restarts == 0
        assert len(here.of(party, "worker")) >= 1
        for one in here.of(party):
            environment = Path(f"/proc/{one.number}/environ").read_text()
            assert "SECRET_OF_THE_USER" not in environment
            assert Path(f"/proc/{one.number}/cwd").resolve() == node.folder
    groups = {
        name: {os.getpgid(one.number) for one in here.of(name)} for name in ("coordinator", "bank", "tax")
    }
    assert all(len(group) == 1 for group in groups.values())
    assert len(set.union(*groups.values())) == 3


@pytest.mark.parametrize(
    "path",
    [
        "/v1/control/list-runs",
        "/v1/runtime/acquire-task",
        "/health",
        "/v1/fleet/../control/list-runs",
        "/v1/fleet/%2e%2e/control/list-runs",
        "//v1/control/list-runs",
        "/v1/fleet/pull-messages/../../control/list-runs",
        "/v1/fleet/register-node",
    ],
)
def test_the_front_door_shows_nothing_but_the_fleet(path: str, here: Here) -> None:
    record = read_record(here.layout)
    trust = ssl.create_default_context(cafile=str(here.layout.party("tax").authority))
    connection = http.client.HTTPSConnection("127.0.0.1", record.ports[FRONT_DOOR], context=trust, timeout=20)
    connection.request("POST", path, body=b"")
    assert connection.getresponse().status == 404
    connection.close()


def test_a_party_that_stops_is_told_and_comes_back(here: Here) -> None:
    states = here.states()
    assert {name: states[name] for name in ("superlink", "front-door", "bank", "tax")} == {
        **dict.fromkeys(("superlink", "front-door"), "running"),
        **dict.fromkeys(("bank", "tax"), "connected"),
    }

    assert here.siloscore("federation", "stop", "tax").output == "tax has stopped.\n"
    assert here.of("tax") == []
    assert here.states()["tax"] == "stopped"
    assert here.siloscore("federation", "status").code == 1

    assert here.siloscore("federation", "start", "tax").output.endswith("tax is connected.\n")
    assert here.states()["tax"] == "connected"


def test_a_worker_that_is_killed_comes_back_with_its_supernode(here: Here) -> None:
    before = {one.number for one in here.of("tax", "supernode")}
    for one in here.of("tax", "worker"):
        os.kill(one.number, signal.SIGKILL)

    def is_back() -> bool:
        numbers = {one.number for one in here.of("tax", "supernode")}
        return bool(numbers) and not numbers & before and here.states()["tax"] == "connected"

    assert wait_until(is_back, 120)
    assert "worker has ended with exit code -9" in here.siloscore("federation", "status").output


def test_a_coordinator_that_is_killed_before_it_has_done_anything_is_seen_within_seconds(here: Here) -> None:
    flower = here.layout.coordinator.flower
    before = set(flower.glob("*.lock"))
    with ThreadPoolExecutor() as pool:
        running = pool.submit(here.siloscore, "compare", "--backend", "deployment", *SMALL)
        assert wait_until(lambda: set(flower.glob("*.lock")) != before, 120)
        for one in here.of("coordinator", "executor"):
            if b"flwr-serverapp" in Path(f"/proc/{one.number}/cmdline").read_bytes():
                os.kill(one.number, signal.SIGKILL)
        killed = time.monotonic()
        ended = running.result()

    assert time.monotonic() - killed < 30  # Flower itself takes a minute
    assert ended.code == 2
    assert "coordinator has died. It had done nothing yet; type the command again." in ended.output
    assert "No run goes on." in here.siloscore("federation", "status").output


def test_down_leaves_nothing_but_keys_logs_and_states(here: Here) -> None:
    assert here.siloscore("federation", "down").code == 0

    assert processes(here.layout) == []
    left = {path.name for path in (here.layout.folder / "tax").iterdir()} - {"flower"}
    assert left == {
        *("ca.crt", "supernode.key", "supernode.pub", "superexec.secret"),
        *("supernode.log", "worker.log", "supervisor.log"),
    }
    ended = here.siloscore("compare", "--backend", "deployment", *SMALL)
    assert ended.code == 2
    assert f"start one with `siloscore federation up --data {here.layout.data}`" in ended.output
