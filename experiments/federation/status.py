"""How a federation on this machine is: what the organisations' programs do, who is connected, which run goes on."""

from collections.abc import Sequence
from dataclasses import dataclass

from clients.supervisor import RESTARTING, RUNNING, STARTING, STOPPED, Health, read_health
from experiments.backends.flower import PROGRESS, RUN, BackendError
from experiments.federation.control import Connected, Run, SuperLink
from experiments.federation.layout import Layout, Organisation, Record
from experiments.federation.processes import is_supervised
from server.locks import is_held, serverapp_lock
from server.progress import Progress, ProgressReader

CONNECTED, AWAY = "connected", "away"
_FOREIGN = "not started by siloscore"


@dataclass(frozen=True)
class Row:
    """A program of the coordinator's, or a party: its state, since when (ISO 8601; empty: unknown), what it means."""

    name: str
    state: str
    since: str
    meaning: str


@dataclass(frozen=True)
class RunRow:
    """A run that goes on: its study, Flower's number of it, since when, and the last step that it told.

    Flower counts a run as going on for a minute after its coordinator has died; then step says so.
    """

    study: str
    number: int
    since: str
    step: str


def rows_of(layout: Layout, record: Record) -> list[Row]:
    """The coordinator's programs, and then the parties."""
    coordinator = layout.coordinator
    rows = [
        Row(name, health.state, health.since, _meaning(health))
        for name, health in read_health(coordinator.status).items()
    ]
    superlink = SuperLink(layout, record)
    return rows + [_party_row(layout, superlink, name) for name in record.parties]


def runs_of(layout: Layout, record: Record) -> list[RunRow]:
    """The runs that go on, the newest first. Raises BackendError when the SuperLink does not answer.

    A study is one run: an earlier one, whose coordinator died before it was resumed, is left out.
    """
    rows = [_run_row(layout, run) for run in SuperLink(layout, record).runs()]
    newest = {row.study: row.number for row in reversed(rows)}
    return [row for row in rows if row.number == newest[row.study] or row.study == _FOREIGN]


def _run_row(layout: Layout, run: Run) -> RunRow:
    home = layout.coordinator.flower
    of_run = home / f"{run.number}{RUN}"
    study = of_run.read_text("utf-8") if of_run.exists() else ""
    events, lock = ProgressReader(home / f"{study}{PROGRESS}").read(), serverapp_lock(home, run.number)
    step = _step(events) or run.state
    is_over = bool(events) and events[-1].stage in ("done", "failed")
    if not is_over and lock.exists() and not is_held(lock):
        step = f"its coordinator died at {step}; `siloscore resume {study}` goes on from there"
    return RunRow(study or _FOREIGN, run.number, run.since, step)


def _step(events: Sequence[Progress]) -> str:
    """The last thing that a run has told: what it does, under which seed, and how far it is."""
    if not events:
        return ""
    last = events[-1]
    seed = f", seed {last.seed}" if last.seed else ""
    step = f", step {last.step}" + (f" of {last.steps}" if last.steps else "") if last.step else ""
    return f"{last.stage}{seed}{step}"


def _party_row(layout: Layout, superlink: SuperLink, name: str) -> Row:
    node = layout.party(name)
    (health,) = read_health(node.status).values() or (Health(STOPPED, ""),)
    if not is_supervised(layout, name):
        return Row(
            name, STOPPED, _since_stop(node, health), f"`siloscore federation start {name}` starts it."
        )
    if health.state != RUNNING:
        return Row(name, health.state, health.since, _meaning(health))
    try:
        known = superlink.connected(node)
    except BackendError:
        return Row(name, AWAY, "", "It runs; the coordinator cannot say whether it is connected.")
    return _connected_row(name, known, health)


def _connected_row(name: str, known: Connected | None, health: Health) -> Row:
    if known is None:
        return Row(name, AWAY, "", "It runs; the coordinator has not registered its key.")
    if known.is_online:
        return Row(name, CONNECTED, known.since, _meaning(health))
    return Row(name, AWAY, known.since, "It runs; the coordinator does not hear of it.")


def _since_stop(node: Organisation, health: Health) -> str:
    return health.since if health.state == STOPPED else ""


def _meaning(health: Health) -> str:
    if health.state == STARTING:
        return "It has been started and does no work yet."
    if health.state == RESTARTING:
        return f"{health.reason}; it is being restarted (restart {health.restarts})."
    if health.restarts:
        return f"Restarts: {health.restarts}, the last one because {health.reason}."
    return ""
