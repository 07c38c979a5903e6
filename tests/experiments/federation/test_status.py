"""What `siloscore federation status` says of each party, whatever has happened to it."""

import json
import os
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from clients.supervisor import RESTARTING, RUNNING, STARTING, STOPPED, Health
from experiments.backends.flower import BackendError
from experiments.federation import status
from experiments.federation.control import Connected, Run
from experiments.federation.layout import Layout, PartyNode, Record
from experiments.federation.status import AWAY, CONNECTED, rows_of, runs_of
from server.locks import hold, serverapp_lock
from server.progress import Progress, append_to

NOON, LATER = "2026-11-28T12:00:00+00:00", "2026-11-28T13:00:00+00:00"
RECORD = Record(NOON, {"superlink": 1, "front-door": 2, "tax": 3}, ("tax",), plain=False)
SILENT = BackendError("The SuperLink does not answer.")


@pytest.mark.parametrize(
    ("supervised", "health", "known", "state", "since", "meaning"),
    [
        (True, Health(RUNNING, NOON), Connected(True, LATER), CONNECTED, LATER, ""),
        (True, Health(RUNNING, NOON), Connected(False, LATER), AWAY, LATER, "does not hear of it"),
        (True, Health(RUNNING, NOON), None, AWAY, "", "not registered its key"),
        (True, Health(RUNNING, NOON), SILENT, AWAY, "", "cannot say whether"),
        (True, Health(STARTING, NOON), None, STARTING, NOON, "does no work yet"),
        (
            True,
            Health(RESTARTING, NOON, 2, "worker has ended"),
            None,
            RESTARTING,
            NOON,
            r"worker has ended.*restart 2",
        ),
        (False, Health(STOPPED, NOON), None, STOPPED, NOON, "federation start tax"),
        (False, Health(RUNNING, NOON), None, STOPPED, "", "federation start tax"),
    ],
)
def test_every_state_of_a_party_is_explained(
    supervised: bool,
    health: Health,
    known: Connected | BackendError | None,
    state: str,
    since: str,
    meaning: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class SuperLink:
        def __init__(self, layout: Layout, record: Record) -> None: ...

        def connected(self, node: PartyNode) -> Connected | None:
            if isinstance(known, BackendError):
                raise known
            return known

    monkeypatch.setattr(status, "SuperLink", SuperLink)
    monkeypatch.setattr(status, "is_supervised", lambda layout, name: supervised)
    layout = Layout(tmp_path)
    layout.party("tax").folder.mkdir(parents=True)
    layout.party("tax").status.write_text(json.dumps({"node": asdict(health)}))

    (row,) = rows_of(layout, RECORD)

    assert (row.name, row.state, row.since) == ("tax", state, since)
    assert re.search(meaning, row.meaning)


def test_of_a_study_whose_coordinator_died_the_status_says_so_until_it_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    going_on = [Run(1, "running", NOON)]

    class SuperLink:
        def __init__(self, layout: Layout, record: Record) -> None: ...

        def runs(self) -> list[Run]:
            return going_on

    monkeypatch.setattr(status, "SuperLink", SuperLink)
    layout = Layout(tmp_path)
    home = layout.coordinator.flower
    home.mkdir(parents=True)
    for number in (1, 2):
        (home / f"{number}.run").write_text("s")
    assert [row.step for row in runs_of(layout, RECORD)] == [
        "running"
    ]  # its coordinator has not been started yet
    serverapp = hold(serverapp_lock(home, 1))
    append_to(home / "s.jsonl")(Progress("align"))
    assert [row.step for row in runs_of(layout, RECORD)] == ["align"]

    os.close(serverapp)  # as the kernel does for a process that has died
    assert [row.step for row in runs_of(layout, RECORD)] == [
        "its coordinator died at align; `siloscore resume s` goes on from there"
    ]

    going_on.insert(0, Run(2, "running", LATER))
    serverapp = hold(serverapp_lock(home, 2))
    assert [(row.number, row.step) for row in runs_of(layout, RECORD)] == [(2, "align")]
    os.close(serverapp)


@pytest.mark.parametrize(
    ("events", "step"),
    [
        ([], ""),
        ([Progress("align")], "align"),
        (
            [Progress("align"), Progress("federated-boosting", 2, 3, 17)],
            "federated-boosting, seed 2, step 3 of 17",
        ),
    ],
)
def test_the_step_of_a_run_is_the_last_that_it_told(events: list[Progress], step: str) -> None:
    assert status._step(events) == step
