"""How a federation on this machine starts and ends, as a whole and party by party."""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree

import tomli_w

from clients import node
from clients.data.declaration import read_declaration
from clients.identity import read_identity
from clients.supervisor import RUNNING, read_health
from experiments.backends.flower import BackendError, Flower, flower_environment, tail
from experiments.federation.certificates import make_certificates, make_node_key, write_private
from experiments.federation.control import SuperLink
from experiments.federation.coordinator import FRONT_DOOR, SUPERLINK
from experiments.federation.layout import COORDINATOR, Layout, Organisation, PartyNode, Record, read_record
from experiments.federation.preparation import prepare_parties
from experiments.federation.processes import end, is_supervised, mark, processes, wait_until
from experiments.servers import free_port
from fl.errors import ConfigError
from server.admission import PARTIES

_START_SECONDS = 240.0
# What a party's processes get of this user's environment: where the programs are, and how they should use the machine.
_PASSED_ON = (
    "LANG",
    "LC_ALL",
    "LOKY_MAX_CPU_COUNT",
    "OMP_NUM_THREADS",
    "PATH",
    "PYTHONPATH",
    "TZ",
    "VIRTUAL_ENV",
)

Tell = Callable[[str], object]


def up(data: Path, parties: tuple[str, ...], plain: bool, tell: Tell) -> Record:
    """Start everything, and return when all parties are connected; if that fails, nothing is left running.

    tell hears in sentences what was done. Raises ConfigError when the federation runs already, BackendError when a part
    of it does not start, and DataError when a party's declaration or keys cannot be read.
    """
    layout = Layout(data.resolve())
    for name in (*parties, COORDINATOR):
        if is_supervised(layout, name):
            raise ConfigError(
                f"A federation runs on {data} already; `siloscore federation down --data {data}` ends it."
            )
    if left_over := clear(layout):
        tell(f"Ended {left_over} processes that an earlier federation had left behind.")
    if COORDINATOR in parties:
        raise ConfigError(f"A party's folder is called {COORDINATOR}, which is the coordinator's; rename it.")
    names = (SUPERLINK, FRONT_DOOR, *parties)
    record = Record(_now(), {name: free_port() for name in names}, parties, plain)
    _make_folders(layout, parties)
    try:
        if make_certificates(layout.coordinator):
            tell(f"Made a certificate authority for this machine ({layout.coordinator.authority}).")
        for sentence in prepare_parties([layout.data / name for name in parties]):
            tell(sentence)
        for name in parties:
            if make_node_key(layout.party(name)):
                tell(f"{name}: made the key of its SuperNode ({layout.party(name).key}).")
        record.write(layout)
        _start_coordinator(layout, record)
        _register(layout, record)
        for name in parties:
            _start_node(layout, record, name)
        _wait_for_parties(layout, record, parties)
    except BaseException:
        clear(layout)
        raise
    return record


def down(data: Path) -> int:
    """End everything; keys and data stay. Returns how many processes ran."""
    return clear(Layout(data.resolve()))


def clear(layout: Layout) -> int:
    """End whatever runs of a federation, the parties first, since they take their leave of the coordinator."""
    running = {one.organisation for one in processes(layout)}
    ended = sum(end(layout, name) for name in sorted(running, key=lambda name: name == COORDINATOR))
    for folder in layout.folder.glob("*/"):
        _clean(Organisation(folder))
    layout.record.unlink(missing_ok=True)
    return ended


def stop(data: Path, party: str) -> None:
    """End a party's processes, as if its people had. Raises ConfigError when they do not run."""
    layout, _ = _running(data, party)
    if not end(layout, party):
        raise ConfigError(
            f"{party} does not run; `siloscore federation start {party} --data {data}` starts it."
        )


def start(data: Path, party: str) -> None:
    """Start a party's processes again, and return when it is connected. Raises ConfigError when they run."""
    layout, record = _running(data, party)
    if is_supervised(layout, party):
        raise ConfigError(f"{party} runs; `siloscore federation stop {party} --data {data}` ends it.")
    end(layout, party)  # what its supervisor, if it was killed, has left
    _clean(layout.party(party))
    _make_folders(layout, (party,))
    _start_node(layout, record, party)
    _wait_for_parties(layout, record, (party,))


def flower_of(layout: Layout) -> Flower:
    """Flower's command line at the coordinator."""
    coordinator = layout.coordinator
    return Flower(
        coordinator.flower, coordinator.folder / f"{SUPERLINK}.log", flower_environment(coordinator.flower)
    )


def running_record(data: Path) -> Record:
    """What runs on a dataset. Raises ConfigError, which says what to do, when nothing does."""
    layout = Layout(data.resolve())
    record = read_record(layout)
    if record is None or not is_supervised(layout, COORDINATOR):
        raise ConfigError(
            f"No federation runs on {data}; start one with `siloscore federation up --data {data}`."
        )
    return record


def _running(data: Path, party: str) -> tuple[Layout, Record]:
    record = running_record(data)
    if party not in record.parties:
        raise ConfigError(f"The federation has no party {party!r}; it has {', '.join(record.parties)}.")
    return Layout(data.resolve()), record


def _make_folders(layout: Layout, parties: Sequence[str]) -> None:
    for one in (layout.coordinator, *map(layout.party, parties)):
        one.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        one.temporary.mkdir(exist_ok=True)


def _clean(one: Organisation) -> None:
    """Remove what serves a running organisation only."""
    one.status.unlink(missing_ok=True)
    (one.folder / node.BEAT).unlink(missing_ok=True)
    rmtree(one.temporary, ignore_errors=True)


def _start_coordinator(layout: Layout, record: Record) -> None:
    coordinator = layout.coordinator
    coordinator.flower.mkdir(exist_ok=True)
    if not coordinator.secret.exists():
        write_private(coordinator.secret, secrets.token_bytes(32))
    flower = flower_of(layout)
    flower.connect(f"127.0.0.1:{record.ports[SUPERLINK]}", coordinator.authority)
    _write_parties(layout, record.parties)
    environment = {**flower.environment, PARTIES: str(coordinator.parties)}
    ports = "--superlink", str(record.ports[SUPERLINK]), "--front-door", str(record.ports[FRONT_DOOR])
    command = ("experiments.federation.coordinator", str(coordinator.folder), *ports)
    _spawn(layout, coordinator, command, environment)
    _wait_until_running(layout, coordinator)


def _start_node(layout: Layout, record: Record, party: str) -> None:
    own = layout.party(party)
    own.authority.write_bytes(layout.coordinator.authority.read_bytes())
    command = (
        *("clients.node", str(own.data), "--coordinator", f"127.0.0.1:{record.ports[FRONT_DOOR]}"),
        *("--root-certificates", str(own.authority), "--key", str(own.key)),
        *(
            "--folder",
            str(own.folder),
            "--port",
            str(record.ports[party]),
            *(["--plain"] if record.plain else []),
        ),
    )
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    _spawn(layout, own, command, {**passed_on, "HOME": str(own.folder)})


def _spawn(layout: Layout, one: Organisation, command: Sequence[str], environment: Mapping[str, str]) -> None:
    with (one.folder / "supervisor.log").open("ab") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-P", "-m", *command],
            env={**environment, **mark(layout, one.name), "TMPDIR": str(one.temporary)},
            cwd=one.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    # A process has no environment to be known by for a moment after its start, and would be taken for one that died.
    wait_until(lambda: is_supervised(layout, one.name) or supervisor.poll() is not None, _START_SECONDS)


def _write_parties(layout: Layout, parties: Sequence[str]) -> None:
    content = {
        read_declaration(layout.data / name).name: {
            "supernode": layout.party(name).public_key.read_text("utf-8").strip(),
            "identity": read_identity(layout.data / name).public.text,
        }
        for name in parties
    }
    layout.coordinator.parties.write_text(tomli_w.dumps(content), "utf-8")


def _register(layout: Layout, record: Record) -> None:
    """Register the keys of the parties that the SuperLink's database does not have."""
    superlink = SuperLink(layout, record)
    for party in map(layout.party, record.parties):
        if superlink.connected(party) is None:
            superlink.register(party, read_declaration(party.data).name)


def _wait_until_running(layout: Layout, one: Organisation) -> None:
    def is_running() -> bool:
        health = read_health(one.status)
        return bool(health) and all(unit.state == RUNNING for unit in health.values())

    if (
        not wait_until(lambda: is_running() or not is_supervised(layout, one.name), _START_SECONDS)
        or not is_running()
    ):
        reasons = [f"{name}: {unit.state}, {unit.reason}." for name, unit in read_health(one.status).items()]
        told = " ".join(reasons) or tail(one.folder / "supervisor.log")
        raise BackendError(f"{one.name} has not started. {told} Its logs are in {one.folder}.")


def _wait_for_parties(layout: Layout, record: Record, parties: Sequence[str]) -> None:
    superlink = SuperLink(layout, record)
    for party in map(layout.party, parties):
        _wait_until_running(layout, party)

        def is_online(party: PartyNode = party) -> bool:
            known = superlink.connected(party)
            return known is not None and known.is_online

        if not wait_until(is_online, _START_SECONDS):
            raise BackendError(f"{party.name} has not connected; its logs are in {party.folder}.")


def _now() -> str:
    return datetime.now(UTC).astimezone().isoformat(timespec="seconds")
