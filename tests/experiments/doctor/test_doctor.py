"""What `siloscore doctor` says of one organisation; the front door is a stand-in (real ones: `tests/end_to_end`)."""

import json
import os
import shutil
import socket
import ssl
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from time import time
from types import SimpleNamespace

import pytest
import tomli_w
from click.testing import Result
from typer.testing import CliRunner

from clients.data.declaration import read_declaration, write_declaration
from clients.identity import make_identity, read_identity
from clients.policy import FIRST_USE, Policy
from experiments.cli import app
from experiments.doctor import Verdict, findings, machine
from experiments.doctor.front_door import FrontDoor
from experiments.doctor.organisations import coordinator_checks, party_checks, read_node_key
from experiments.federation import certificates
from experiments.federation.certificates import make_certificates, make_node_key, write_private
from experiments.federation.layout import Coordinator, PartyNode
from fl.errors import ConfigError

OK, WARNING, FAILURE = Verdict
LINE = "ecdsa-sha2-nistp384"


@pytest.fixture
def party(make_tables: Callable[..., Path], tmp_path: Path) -> PartyNode:
    """A party that is ready, but for the front door."""
    folder = Path(shutil.copytree(make_tables(("tax",), rows=60) / "bank", tmp_path / "bank"))
    make_identity(folder)
    write_declaration(
        folder, replace(read_declaration(folder), partners={"tax": read_identity(folder).public.text})
    )
    node = PartyNode(tmp_path / "node", folder)
    node.folder.mkdir()
    make_node_key(node)
    return node


@pytest.fixture
def coordinator(tmp_path: Path) -> Coordinator:
    """A coordinator that is ready, but for the front door."""
    held = Coordinator(tmp_path / "coordinator")
    held.folder.mkdir()
    make_certificates(held)
    write_private(held.secret, b"secret")
    return held


def of_party(party: PartyNode) -> dict[str, tuple[Verdict, str]]:
    found = findings(party_checks(party.data, party.folder, ""))
    return {name: (finding.verdict, finding.text) for name, finding in found.items()}


def test_a_party_that_is_ready_has_no_failure(party: PartyNode) -> None:
    found = of_party(party)
    assert {name: verdict for name, (verdict, _) in found.items()} == dict.fromkeys(found, OK) | {
        "front door": WARNING
    }
    assert found["data"][1] == "60 businesses, 4 columns of type table."
    assert LINE in found["SuperNode key"][1]


def spoil_data(party: PartyNode) -> None:
    (party.data / "table.csv").write_text("business_id,default\n1,7\n")


def open_identity(party: PartyNode) -> None:
    (party.data / "identity.pem").chmod(0o644)


def remove_identity(party: PartyNode) -> None:
    (party.data / "identity.pem").unlink()


def pin_nobody(party: PartyNode) -> None:
    write_declaration(party.data, replace(read_declaration(party.data), partners={}))


def open_key(party: PartyNode) -> None:
    party.key.chmod(0o640)


def another_public_key(party: PartyNode) -> None:
    party.public_key.write_text(f"{LINE} AAAA")


def no_key(party: PartyNode) -> None:
    party.key.unlink()


def key_of_another_form(party: PartyNode) -> None:
    write_private(party.key, b"-----BEGIN PRIVATE KEY-----")


@pytest.mark.parametrize(
    ("spoil", "check", "says"),
    [
        (spoil_data, "data", "table.csv"),
        (open_identity, "identity", "chmod 600"),
        (remove_identity, "identity", "`siloscore keys"),
        (pin_nobody, "partners", "refuses every study"),
        (open_key, "SuperNode key", "chmod 600"),
        (another_public_key, "SuperNode key", "is not the public key of supernode.key"),
        (no_key, "SuperNode key", "supernode.key"),
        (key_of_another_form, "SuperNode key", "no private key in OpenSSH's form"),
    ],
)
def test_what_is_wrong_at_a_party_fails_with_the_remedy(
    party: PartyNode, spoil: Callable[[PartyNode], None], check: str, says: str
) -> None:
    spoil(party)
    verdict, text = of_party(party)[check]
    assert verdict is FAILURE
    assert says in text


def test_partners_who_are_met_by_the_policy_are_a_warning(party: PartyNode) -> None:
    declared = replace(read_declaration(party.data), partners={}, policy=Policy(partners=FIRST_USE))
    write_declaration(party.data, declared)
    assert of_party(party)["partners"][0] is WARNING
    assert "1 rules are written" in of_party(party)["policy"][1]


@pytest.mark.parametrize(("free", "verdict"), [(2e8, FAILURE), (3e9, WARNING), (9e9, OK)])
def test_little_room_on_the_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, verdict: Verdict
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("usage", "free")(free))
    assert machine.disk(tmp_path).verdict is verdict


def test_another_minor_version_of_flower_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "version", lambda package: "1.42.0")
    found = findings({"versions": machine.versions})["versions"]
    assert found.verdict is FAILURE
    assert "1.42.0 is installed" in found.text


def of_coordinator(held: Coordinator) -> dict[str, tuple[Verdict, str]]:
    found = findings(coordinator_checks(held.folder, ""))
    return {name: (finding.verdict, finding.text) for name, finding in found.items()}


def test_a_coordinator_is_looked_at(coordinator: Coordinator, party: PartyNode) -> None:
    told = {"supernode": party.public_key.read_text().strip()}
    told["identity"] = read_identity(party.data).public.text
    coordinator.parties.write_text(tomli_w.dumps({"bank": told}))
    found = of_coordinator(coordinator)
    assert {name: verdict for name, (verdict, _) in found.items()} == dict.fromkeys(found, OK) | {
        "front door": WARNING
    }
    assert "is for localhost, 127.0.0.1, until" in found["own certificate"][1]
    assert "has the keys of bank." in found["parties"][1]


def test_what_is_wrong_at_a_coordinator_fails(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "parties.toml cannot be read" in of_coordinator(coordinator)["parties"][1]
    coordinator.parties.write_text("")
    assert of_coordinator(coordinator)["parties"][0] is FAILURE
    coordinator.secret.chmod(0o644)
    assert "chmod 600" in of_coordinator(coordinator)["private files"][1]

    coordinator.authority_key.unlink()
    before = coordinator.authority.read_bytes()
    make_certificates(coordinator)  # by another authority
    coordinator.authority.write_bytes(before)
    assert "is not signed by" in of_coordinator(coordinator)["own certificate"][1]

    coordinator.authority_key.unlink()
    monkeypatch.setattr(certificates, "_SERVER_DAYS", 10)
    make_certificates(coordinator, ["coordinator.example"])
    verdict, text = of_coordinator(coordinator)["own certificate"]
    assert verdict is WARNING
    assert "coordinator.example" in text
    make_node_key(PartyNode(coordinator.folder, coordinator.folder))
    another = Coordinator(coordinator.folder / "another")
    another.folder.mkdir()
    make_certificates(another)
    shutil.copy(another.key, coordinator.key)
    assert "is not the certificate of" in of_coordinator(coordinator)["own certificate"][1]


@pytest.fixture
def door(coordinator: Coordinator) -> Iterator[SimpleNamespace]:
    """A server over TLS that answers what the test tells it to, by API, and its address."""
    told = SimpleNamespace(fleet=(401, b""), control=(404, b""), skew=0.0)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, content = told.control if self.path.startswith("/v1/control/") else told.fleet
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response_only(status)
            self.send_header("Date", formatdate(time() + told.skew, usegmt=True))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(coordinator.certificate, coordinator.key)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        told.front = FrontDoor(f"localhost:{server.server_port}", coordinator.authority)
        yield told
        server.shutdown()


def test_a_front_door_is_looked_at(door: SimpleNamespace, party: PartyNode) -> None:
    assert door.front.chain().verdict is OK
    assert door.front.clock().verdict is OK
    assert door.front.round_trip().text.endswith("and to calls of SuperNodes only.")
    key = read_node_key(party.folder)
    for code, verdict in ((2003, OK), (2004, FAILURE)):
        door.fleet = 400, json.dumps({"code": code}).encode()
        assert door.front.registered(key).verdict is verdict
    door.fleet = 401, b"{}"
    assert "does not accept the key" in door.front.registered(key).text


@pytest.mark.parametrize(("skew", "verdict"), [(-400, FAILURE), (90, WARNING), (400, FAILURE)])
def test_clocks_that_differ_are_told(door: SimpleNamespace, skew: float, verdict: Verdict) -> None:
    door.skew = skew
    assert door.front.clock().verdict is verdict


@pytest.mark.parametrize("api", ["fleet", "control"])
def test_a_door_that_is_shut_or_too_wide_fails(door: SimpleNamespace, api: str) -> None:
    setattr(door, api, (503 if api == "fleet" else 200, b""))
    assert door.front.round_trip().verdict is FAILURE


def test_a_certificate_of_others_or_for_others_fails(
    door: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = Coordinator(tmp_path / "stranger")
    stranger.folder.mkdir()
    make_certificates(stranger)
    found = replace(door.front, authority=stranger.authority).chain()
    assert found.verdict is FAILURE
    assert "is not accepted" in found.text
    connect, port = socket.create_connection, int(door.front.address.rpartition(":")[2])
    monkeypatch.setattr(socket, "create_connection", lambda _, *given: connect(("127.0.0.1", port), *given))
    named = replace(door.front, address=f"coordinator.example:{port}").chain()
    assert named.verdict is FAILURE
    assert "not valid for 'coordinator.example'" in named.text


@pytest.mark.parametrize(
    ("address", "says"), [("127.0.0.1:1", "does not answer"), ("nowhere", "is no HOST:PORT")]
)
def test_a_door_that_is_not_there_fails(coordinator: Coordinator, address: str, says: str) -> None:
    front = FrontDoor(address, coordinator.authority)
    for found in findings({"certificate": front.chain, "clock": front.clock}).values():
        assert found.verdict is FAILURE
        assert says in found.text


def siloscore(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_tells_a_line_for_each_check_and_fails_with_them(
    party: PartyNode, coordinator: Coordinator
) -> None:
    ready = siloscore("doctor", "--data", party.data, "--node", party.folder)
    assert ready.exit_code == 0
    assert ready.output.count("\n") == len(of_party(party))
    os.remove(party.key)
    assert siloscore("doctor", "--data", party.data, "--node", party.folder).exit_code == 1
    assert siloscore("doctor", "--data", coordinator.folder).exit_code == 1
    assert isinstance(siloscore("doctor", "--data", party.folder).exception, ConfigError)
