"""How a run tells where it stands: events in memory for who shares its process, JSON lines in a file for others."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True)
class Progress:
    """Where a run stands: which stage, which step of how many, which party has just answered, the step's metrics.

    costs come with a contender's last event: `server.exchange.Costs` as flat figures, and wall seconds.
    stage is a contender's name while one trains, or `score`; before, `connect` and `align`; last, `done` or `failed`.
    `text` is the reason of the run's failure, or what a person should check; `failure` is the reason why the contender
    has no model, after which the run goes on with the next one. `bank` is the one whose model trains, where each of
    several has its own.
    """

    stage: str
    seed: int = 0
    step: int = 0
    steps: int = 0
    party: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    text: str = ""
    failure: str = ""
    bank: str = ""


Report = Callable[[Progress], object]


def append_to(path: Path) -> Report:
    """A report that appends each event to the file as one line of JSON."""

    def report(event: Progress) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(event)) + "\n")

    return report


def of_bank(report: Report, bank: str) -> Report:
    """The report of what is done for one of several banks."""
    return lambda event: report(replace(event, bank=bank))


def ignore(event: Progress) -> None:
    """A report for runs that nobody watches."""


class ProgressReader:
    """The events that have been appended to a file since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[Progress]:
        """New events, oldest first; a line that is still being written waits for the next look."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            content = file.read()
        complete = content[: content.rfind(b"\n") + 1]
        self._offset += len(complete)
        return [Progress(**json.loads(line)) for line in complete.splitlines()]
