"""docs/deploy.md, as new administrators follow it: three organisations reach a study, each in a folder, not a host.

The commands are those of the page, and the programs those of its units, with other folders and ports. Then the
federation that stands is asked for what it must refuse.
"""

import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from flwr.proto.control_pb2 import ListNodesResponse
from flwr.proto.node_pb2 import NodeInfo

from experiments.federation.certificates import make_certificates, make_node_key
from experiments.federation.layout import Coordinator, PartyNode
from experiments.guard import groups_below
from experiments.servers import free_port

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "docs" / "deploy"
PROGRAMS = Path(sys.executable).parent
BLOCKS = re.findall(r"(?ms)^```sh (\w+)\n(.*?)^```$", (ROOT / "docs" / "deploy.md").read_text("utf-8"))
(SETTINGS,) = (block for role, block in BLOCKS if role == "everyone")
STUDY = next(block for role, block in BLOCKS if "flwr run" in block)
QUICK = (
    "boosting.trees=1 boosting.parallel=1 boosting.depth=2 boosting.patience=0 "
    "party-timeout=60.0 connect-timeout=30.0"
)
PATIENCE = 120.0

pytestmark = pytest.mark.slow


class Host:
    """An organisation's machine: a folder in place of /srv/siloscore, and the services that it has started."""

    def __init__(self, folder: Path, name: str, ports: dict[str, int]) -> None:
        folder.mkdir()
        self.folder, self.name = folder, name
        self._read = {
            "/srv/siloscore": str(folder),
            "/opt/siloscore/src": str(ROOT),
            "/opt/siloscore/bin": str(PROGRAMS),
            "coordinator.example": "localhost",
            **{port: str(ports[port]) for port in ("9092", "9443")},
        }
        self._services: dict[str, subprocess.Popen[bytes]] = {}
        self._told = iter([block for role, block in BLOCKS if role in (name, "party")])
        if name == "coordinator":
            self._told = iter([block for role, block in BLOCKS if role == name])

    def follow(self, more: str = "") -> str:
        """Type the next commands that the page has for this organisation; what they have printed."""
        commands = self.here(next(self._told))
        if self.name == "tax":
            commands = commands.replace("bank", "tax")  # as the page says
        return self.type(commands.replace("'parties=", f"'{more} parties="))

    def type(self, commands: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{self.here(SETTINGS)}{commands}"],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def here(self, text: str) -> str:
        for written, read in self._read.items():
            text = text.replace(written, read)
        return text

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("FLWR_")},
            "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "200",
            "OMP_NUM_THREADS": "1",
        }

    def start(self, unit: str, *more: str, party: str = "") -> None:
        """Start what a unit starts, as systemd would, under the host's name or another party's."""
        text = self.here((UNITS / unit).read_text("utf-8").replace("\\\n", " "))
        text = text.replace("%i", party or self.name)
        told = re.findall(r"(?m)^(\w+)=(.*)$", text)
        variables = [word for key, value in told if key == "Environment" for word in shlex.split(value)]
        for file in (value for key, value in told if key == "EnvironmentFile"):
            variables += Path(file).read_text("utf-8").split()
        environment = self.environment | dict(word.split("=", 1) for word in variables)
        ((_, command),) = [one for one in told if one[0] == "ExecStart"]
        command = re.sub(r"\$\{(\w+)\}", lambda name: environment[name[1]], command)
        with (self.folder / f"{unit}.log").open("ab") as log:
            self._services[unit] = subprocess.Popen(
                [*shlex.split(command), *more],
                cwd=dict(told)["WorkingDirectory"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=int(dict(told).get("UMask", "0022"), 8),
            )

    def stop(self, unit: str) -> None:
        """End a service, as systemd would."""
        service = self._services.pop(unit)
        groups = {service.pid} | groups_below(service.pid)
        service.terminate()
        with suppress(subprocess.TimeoutExpired):
            service.wait(20)
        for group in groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        service.wait()

    def end(self) -> None:
        for unit in reversed(list(self._services)):
            self.stop(unit)


NODE, DOOR = "siloscore-node@.service", "siloscore-front-door.service"


class Federation:
    """The three hosts, and what the page's study has printed."""

    def __init__(self, folder: Path, tables: Path) -> None:
        self.ports = {port: free_port() for port in ("9092", "9443")}
        self.tables = tables
        self.coordinator, self.bank, self.tax = (
            Host(folder / name, name, self.ports) for name in ("coordinator", "bank", "tax")
        )

    @property
    def parties(self) -> tuple[Host, Host]:
        return self.bank, self.tax

    def walk(self) -> str:
        """Follow the page to the end of the first study."""
        self.coordinator.follow()
        for unit in ("siloscore-superlink.service", "siloscore-executor.service", DOOR):
            self.coordinator.start(unit)
        held = self.coordinator.folder / "coordinator"
        for host in self.parties:
            (host.folder / host.name).mkdir()
            shutil.copy(self.tables / host.name / "table.csv", host.folder / host.name)
            shutil.copy(held / "ca.crt", host.folder)
            host.follow()
            host.follow()
            shutil.copy(host.folder / "node" / f"{host.name}.toml", held / "sent")
            shutil.copy(host.folder / "node" / "supernode.pub", held / "sent" / f"{host.name}.pub")
        for host, partner in (self.parties, self.parties[::-1]):
            (line,) = re.findall(
                r'(?m)^identity = (".+")$', (held / "sent" / f"{partner.name}.toml").read_text()
            )
            with (host.folder / host.name / "party.toml").open("a") as declaration:
                declaration.write(f"\n[partners]\n{partner.name} = {line}\n")
        until(
            lambda: self.coordinator.type(
                f"curl -sf --cacert {held}/ca.crt https://localhost:{self.ports['9092']}/health"
            )
        )
        self.coordinator.follow()
        for host in self.parties:
            host.start(NODE, "--port", str(free_port()))
        for host in self.parties:
            host.follow()
        listed = self.coordinator.follow()
        assert "failure" not in listed
        until(lambda: self.online() == {"bank", "tax"})
        return self.coordinator.follow(QUICK)

    def nodes(self) -> list[NodeInfo]:
        """What the SuperLink knows of SuperNodes, by the call of Flower's command line, which itself takes seconds."""
        reply = httpx.post(
            f"https://localhost:{self.ports['9092']}/v1/control/list-nodes",
            headers={"Content-Type": "application/protobuf"},
            verify=ssl.create_default_context(cafile=str(self.tax.folder / "ca.crt")),
        )
        return list(ListNodesResponse.FromString(reply.content).nodes_info)

    def online(self) -> set[str]:
        return {node.name for node in self.nodes() if node.status == "online"}

    def end(self) -> None:
        for host in (*self.parties, self.coordinator):
            host.end()


def until(done: Callable[[], object]) -> None:
    """Wait for something, which may fail meanwhile."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if done() is not False:
                return
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline
        time.sleep(0.5)


@pytest.fixture(scope="module")
def federation(
    make_tables: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Federation]:
    found = Federation(tmp_path_factory.mktemp("hosts"), make_tables(("tax",)))
    try:
        found.study = found.walk()
        yield found
    finally:
        found.end()


def test_new_administrators_reach_a_study(federation: Federation) -> None:
    assert re.search(r"federated-boosting, seed 1: AUC 0\.\d+ on the test rows", federation.study)
    assert (federation.coordinator.folder / "coordinator" / "mlflow.db").exists()
    assert list((federation.bank.folder / "bank" / "state").glob("*/federated-boosting/1/*.record"))
    assert all(not list(Host._told) for Host in (federation.coordinator, *federation.parties))


# Who is who.


def test_a_supernode_without_a_registered_key_of_its_own_is_refused(
    federation: Federation, tmp_path: Path
) -> None:
    stranger, another = PartyNode(tmp_path, tmp_path), Coordinator(tmp_path / "another")
    another.folder.mkdir()
    make_node_key(stranger)
    make_certificates(another)
    trusted, bank = federation.tax.folder / "ca.crt", federation.bank.folder / "node" / "supernode.key"
    tried = {
        "an unregistered key": (trusted, stranger.key, "2004"),
        "no key": (trusted, None, "404 Not Found"),  # nobody registers by himself
        "the certificate of another authority": (
            another.authority,
            stranger.key,
            "CERTIFICATE_VERIFY_FAILED",
        ),
        "the key of a party that is connected": (trusted, bank, "2004"),
    }
    processes = {}
    for what, (authority, key, _) in tried.items():
        command = [
            *(PROGRAMS / "flower-supernode", "--superlink", f"localhost:{federation.ports['9443']}"),
            *("--root-certificates", authority, "--host", "127.0.0.1", "--port", str(free_port())),
            *("--max-retries", "2", "--node-config", f"party-folder='{federation.tax.folder / 'tax'}'"),
            *([] if key is None else ["--auth-supernode-private-key", key]),
        ]
        environment = federation.tax.environment | {"FLWR_HOME": str(tmp_path / "flower")}
        with (tmp_path / what).open("wb") as log:
            processes[what] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        for what, (_, _, why) in tried.items():
            assert processes[what].wait(PATIENCE) != 0, what
            assert why in (tmp_path / what).read_text("utf-8"), what
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    assert federation.online() == {"bank", "tax"}


def answer(port: str, request: str, authority: Path, body: bytes = b"") -> int:
    """The status of the answer to a request line, sent as it stands; 0 if the connection was closed instead."""
    trust = ssl.create_default_context(cafile=str(authority))
    head = f"{request} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/protobuf\r\n"
    head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", int(port)), timeout=30) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(head.encode() + body)
        status = connection.recv(64).decode()
    return int(status.split()[1]) if status else 0


FORBIDDEN = [
    "POST /v1/control/list-nodes",
    "POST /v1/control/start-run",
    "POST /v1/runtime/acquire-task",
    "POST /v1/fleet/register-node",
    "POST /v1/fleet/unregister-node",
    "POST /v1/fleet/../control/list-nodes",
    "POST /v1/fleet/./../control/list-nodes",
    "POST /v1/fleet/%2e%2e/control/list-nodes",
    "POST /v1/fleet/..%2fcontrol%2flist-nodes",
    "POST /v1/fleet%2f..%2fcontrol/list-nodes",
    "POST /v1/fleet/activate-node/../../control/list-nodes",
    "POST /v1/fleet/activate-node%2f..%2f..%2fcontrol%2flist-nodes",
    "POST /v1/fleet/activate-node%00",
    "POST /v1/fleet/activate%2dnode",
    "POST /v1/fleet/activate-node/",
    "POST /v1/fleet/activate-node;/../../control/list-nodes",
    "POST /v1/fleet/activate-node?next=/v1/control/list-nodes",
    "POST /v1/fleet\\..\\control\\list-nodes",
    "POST //v1/control/list-nodes",
    "POST /V1/FLEET/activate-node",
    "POST https://localhost/v1/control/list-nodes",
    "POST https://localhost/v1/fleet/../control/list-nodes",
    "POST http://127.0.0.1:9092/v1/control/list-nodes",
    "GET /v1/fleet/activate-node",
    "PUT /v1/fleet/activate-node",
    "DELETE /v1/fleet/activate-node",
    "OPTIONS *",
    "TRACE /v1/fleet/activate-node",
    "CONNECT 127.0.0.1:9092",
    "GET /health",
    "GET /docs",
    "GET /openapi.json",
]


def test_the_front_door_shows_parties_nothing_but_calls_of_supernodes(federation: Federation) -> None:
    door, authority = federation.ports["9443"], federation.tax.folder / "ca.crt"
    # What the parties must not reach is there, behind the door.
    assert answer(federation.ports["9092"], "POST /v1/control/list-nodes", authority) == 200
    assert answer(door, "POST /v1/fleet/activate-node", authority) == 401
    answers = {request: answer(door, request, authority) for request in FORBIDDEN}
    assert {request: status for request, status in answers.items() if status not in (0, 400, 404, 405)} == {}


def test_a_party_under_anothers_name_is_refused_and_one_that_is_shut_out_at_once(
    federation: Federation,
) -> None:
    tax, bank = federation.tax, federation.bank
    for host in (tax, bank):
        host.stop(NODE)
    # The partner's name, records and identity, under the bank's key.
    shutil.copytree(tax.folder / "tax", bank.folder / "tax")
    for host in (tax, bank):
        host.start(NODE, "--port", str(free_port()), party="tax")
    until(lambda: federation.online() == {"bank", "tax"})
    study = federation.coordinator.here(STUDY).replace("'parties=", f"'{QUICK} parties=")
    assert "The SuperNode with the key of party bank calls itself 'tax'" in federation.coordinator.type(study)

    (of_tax,) = [node.node_id for node in federation.nodes() if node.name == "tax"]
    federation.coordinator.type(f"flwr supernode unregister {of_tax} siloscore")
    until(lambda: federation.online() == {"bank"})
    doctor = f"siloscore doctor --data {tax.folder}/tax --node {tax.folder}/node"
    with pytest.raises(AssertionError, match=r"failure +registration .* has not registered the key"):
        tax.type(f"{doctor} --coordinator localhost:{federation.ports['9443']}")
