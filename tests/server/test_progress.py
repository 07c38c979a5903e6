import json
from pathlib import Path

import pytest

from server.progress import Progress, ProgressReader, append_to, ignore

EVENTS = [
    Progress("connect"),
    Progress("federated-network", 1, 3, 140, "税务", {"valid.auc": 0.7}),
    Progress("federated-network", 1, costs={"round_trips": 12, "seconds": 3.5}),
    Progress("failed", text="Party tax refused.\nIts log says why."),
]


def test_events_arrive_in_order_and_once(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    report, reader = append_to(path), ProgressReader(path)

    assert reader.read() == []
    report(EVENTS[0])
    assert reader.read() == EVENTS[:1]
    for event in EVENTS[1:]:
        report(event)
    assert reader.read() == EVENTS[1:]
    assert reader.read() == []


@pytest.mark.parametrize("cut", [1, 30, -1])
def test_a_line_that_is_still_being_written_waits(tmp_path: Path, cut: int) -> None:
    whole, path = tmp_path / "whole.jsonl", tmp_path / "progress.jsonl"
    for event in EVENTS[:2]:
        append_to(whole)(event)
    first, second = whole.read_bytes().splitlines(keepends=True)
    reader = ProgressReader(path)

    path.write_bytes(first + second[:cut])
    assert reader.read() == EVENTS[:1]
    path.write_bytes(first + second)
    assert reader.read() == EVENTS[1:2]


def test_every_event_is_one_line_of_json(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    for event in EVENTS:
        append_to(path)(event)
    stages = [json.loads(line)["stage"] for line in path.read_text("utf-8").splitlines()]
    assert stages == [event.stage for event in EVENTS]


def test_nobody_has_to_watch() -> None:
    ignore(EVENTS[0])
