"""What becomes of a study whose processes die: `kill -9` at random moments, of every process that a federation has.

`python -m experiments.benchmarks.kills --kills 30 --out kills.json` starts separate organisations on this machine,
lets them train a scorecard and a forest again and again by `siloscore compare --backend deployment`, and kills. What
nobody starts again by itself, an administrator would: `siloscore federation start` for a party whose supervisor is
gone, and `siloscore federation down` and `up` for the coordinator; where a study has ended without its end,
`siloscore resume`. Every model must be that of a study in one process, bit by bit, and `siloscore federation status`
must explain what it shows.

Moments are counted in round trips, as the coordinator's journal has them, so that a slow machine sees the same. After a
kill, the next one waits until all that was killed runs again, and the study has gone on by a round trip since.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from clients.aligned import read_applications
from clients.scores import Scores
from clients.store import Store
from clients.supervisor import RUNNING
from experiments.configuration import open_study
from experiments.economies import write_economy
from experiments.federation import lifecycle
from experiments.federation.layout import COORDINATOR, Layout
from experiments.federation.processes import SUPERVISOR, Process, is_supervised, processes, wait_until
from experiments.federation.status import CONNECTED, rows_of
from experiments.study import run_study
from server.tracking.pages import markdown_table

CONTENDERS = ("federated-scorecard", "federated-boosting")
SETTINGS: Mapping[str, Any] = {
    "seeds": "1",
    "boosting.trees": 4,
    "boosting.patience": 0,
    "scorecard.exchanges": 2,
    "scorecard.max-p": 1,
}
_PATIENCE = 900.0
"""Seconds after which a study that does not go on counts as lost; a whole federation takes minutes to start anew."""
_GONE = 10.0
"""Seconds for the kernel to end what was killed, at most."""
_LONGEST_STEP = 1.5
"""Up to so many seconds after a round trip the process is killed, so that it may be at anything."""

_SERVERAPP = "serverapp"

app = typer.Typer()


@dataclass
class Kill:
    """Who was killed, in which run and when (seconds since its start), how it went on, and after how many seconds."""

    run: int
    target: str
    at: float
    went_on: str = "by itself"
    seconds: float = 0.0
    unexplained: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """How many processes to kill, how many of them in one study at most, and after how many round trips the next.

    targets are those who may be killed; none: all. contenders are what a study trains.
    """

    kills: int
    each: int
    trips: tuple[int, int]
    seed: int = 1
    targets: tuple[str, ...] = ()
    contenders: tuple[str, ...] = CONTENDERS


@app.command()
def main(
    kills: Annotated[int, typer.Option(min=1, help="How many processes to kill.")] = 30,
    each: Annotated[int, typer.Option(min=1, help="How many of them in one study, at most.")] = 6,
    trips: Annotated[int, typer.Option(min=1, help="Round trips until the next kill, at most.")] = 12,
    seed: Annotated[int, typer.Option(help="Of the moments and of who is killed.")] = 1,
    targets: Annotated[str, typer.Option(help="Who may be killed, comma-separated. Default: all.")] = "",
    out: Annotated[Path | None, typer.Option(help="File for the kills, in JSON.")] = None,
) -> None:
    """Kill, and print what came of it."""
    # Else the federation would outlive this process.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    plan = Plan(kills, each, (1, trips), seed, tuple(filter(None, targets.split(","))))
    with TemporaryDirectory(prefix="siloscore-kills-", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        write_economy(data, 2_000, "base", 1, truth=False)
        done, wrong = play(data, Path(folder), plan, out)
    print(summary(done))
    for model in wrong:
        print(f"Not the model of an undisturbed study: {model}")
    if wrong:
        raise typer.Exit(1)


def summary(kills: list[Kill]) -> str:
    """A table by target: how many kills, how the study went on, and after how many seconds."""
    table = pd.DataFrame([asdict(kill) for kill in kills])
    rows = [
        {
            "killed": target,
            "kills": str(len(of_target)),
            **{how: str((of_target["went_on"] == how).sum()) for how in ("by itself", "resumed")},
            "seconds, median": f"{of_target['seconds'].median():.0f}",
            "most": f"{of_target['seconds'].max():.0f}",
            "unexplained": str(of_target["unexplained"].map(len).sum()),
        }
        for target, of_target in [*table.groupby("target"), ("all", table)]
    ]
    return markdown_table(pd.DataFrame(rows))


def play(data: Path, folder: Path, plan: Plan, out: Path | None = None) -> tuple[list[Kill], list[str]]:
    """Kill in as many studies of a dataset as it takes: the kills, and the models that came out otherwise.

    folder is for all that is written beside the dataset. The kills so far are in `out` at the end of every study.
    """
    chance, done, wrong = random.Random(plan.seed), list[Kill](), list[str]()
    expected = _undisturbed(data, folder, plan.contenders)
    with _federation(data) as parties:
        known = plan.targets or _targets(parties)
        order: list[str] = []
        while len(done) < plan.kills:
            while len(order) < plan.kills - len(done):  # each as often as the others
                order += chance.sample(known, len(known))
            run = _Run(data, folder, 1 + max((kill.run for kill in done), default=0), plan.contenders)
            done += run.disturb(order, min(plan.each, plan.kills - len(done)), plan.trips, chance)
            differing = [f"{run.study}/{name}" for name in expected if not run.has(expected[name], name)]
            print(
                f"run {run.number} is at its end: {len(differing)} models of {len(expected)} differ",
                flush=True,
            )
            wrong += differing
            if out:
                out.write_text(json.dumps([asdict(kill) for kill in done], indent=1), "utf-8")
    return done, wrong


def _targets(parties: tuple[str, ...]) -> tuple[str, ...]:
    """Programs by their organisation, and whole organisations."""
    of_parties = [f"{party}:{what}" for party in parties for what in ("supernode", "worker", "all")]
    of_coordinator = [
        f"{COORDINATOR}:{what}" for what in ("superlink", "executor", "front-door", _SERVERAPP, "all")
    ]
    return (*of_parties, *of_coordinator, "all:all")


class _Run:
    """One study, by the command line, and what it takes to bring it to its end."""

    def __init__(self, data: Path, folder: Path, number: int, contenders: tuple[str, ...]) -> None:
        self._layout, self.number = Layout(data.resolve()), number
        self._store, self._log = folder / "mlflow.db", folder / f"run-{number}.log"
        before = self._journals()
        settings = [
            word for key, value in SETTINGS.items() if "." in key for word in ("--set", f"{key}={value}")
        ]
        self._process = self._siloscore(
            *("compare", "--data", str(data), "--contenders", ",".join(contenders), *settings)
        )
        if not wait_until(lambda: bool(self._journals() - before), _PATIENCE):
            raise TimeoutError(self._log.read_text("utf-8"))
        (self.study,) = self._journals() - before
        self._began = time.time()
        self._sizes, self._trips = dict[str, int](), 0

    def disturb(
        self, order: list[str], most: int, trips: tuple[int, int], chance: random.Random
    ) -> list[Kill]:
        """Kill up to so many processes, in this order, and see the study to its end."""
        done: list[Kill] = []
        while len(done) < most:
            self._wait(self._trips + chance.randint(*trips), done)
            wait_until(self._has_ended, chance.uniform(0.0, _LONGEST_STEP))
            if self._has_ended():
                break
            kill = Kill(self.number, order[0], time.time() - self._began)
            killed = _kill(self._layout, order[0])
            if not killed:  # a ServerApp that is being started; all others are there
                continue
            order.pop(0)
            done.append(kill)
            print(f"run {kill.run}, {kill.at:.0f} s: {kill.target}", end="", flush=True)
            self._see_on(kill, killed)
            print(f": went on {kill.went_on} after {kill.seconds:.0f} s {kill.unexplained or ''}", flush=True)
        self._wait(None, done)
        return done

    def has(self, expected: "pd.Series[float]", contender: str) -> bool:
        """Whether a contender's PDs by id are these, bit by bit."""
        return _pds(self._layout.data / "bank" / "state" / self.study, contender).equals(expected)

    def _wait(self, trips: int | None, done: list[Kill]) -> None:
        """Wait for so many round trips, or for the end; what stops meanwhile, stops because of the last kill."""
        while not self._has_ended() and (trips is None or self._trips < trips):
            if not wait_until(partial(self._goes_on, self._trips, done), _PATIENCE):
                raise TimeoutError(self._log.read_text("utf-8")[-3000:])

    def _see_on(self, kill: Kill, killed: set[tuple[str, str]]) -> None:
        """Do what an administrator would until all runs again and the study has gone on, or is at its end."""
        began, before, is_up = time.time(), 0, False
        restarted = {one for one in killed if one[1] != _SERVERAPP}

        def is_well() -> bool:
            nonlocal before, is_up
            if not is_up:
                is_up = self._mend(kill) and restarted <= _programs(self._layout)
                self._look()
                before = self._trips
            return self._goes_on(before, [kill]) and is_up

        if not wait_until(is_well, _PATIENCE):
            raise TimeoutError(f"{kill}: {self._log.read_text('utf-8')[-3000:]}")
        kill.seconds = time.time() - began

    def _goes_on(self, before: int, done: list[Kill]) -> bool:
        """Whether the study is further than so many round trips, or at its end; one that has broken off is resumed."""
        if self._process.poll() not in (None, 0):
            if not done:
                raise RuntimeError(self._log.read_text("utf-8"))
            done[-1].went_on = "resumed"
            self._process = self._siloscore("resume", self.study)
        self._look()
        return self._has_ended() or self._trips > before

    def _look(self) -> None:
        """Count a round trip if the journal has grown since the last look."""
        has_grown = False
        for file in (self._layout.coordinator.journal / self.study).glob("*.journal"):
            with suppress(FileNotFoundError):  # a model has been trained meanwhile, and its file removed
                size = file.stat().st_size
                has_grown |= size > self._sizes.get(file.name, 0)
                self._sizes[file.name] = size
        self._trips += has_grown

    def _mend(self, kill: Kill) -> bool:
        """Start what no supervisor starts, and hear what the status says; returns whether all is well again."""
        layout = self._layout
        if not is_supervised(layout, COORDINATOR):
            lifecycle.down(layout.data)
            lifecycle.up(layout.data, _parties(layout.data), False, lambda sentence: None)
        record = lifecycle.running_record(layout.data)
        rows = rows_of(layout, record)
        kill.unexplained += [
            f"{row.name} {row.state}" for row in rows if not _explains(row.state, row.meaning)
        ]
        for name in record.parties:
            if not is_supervised(layout, name):
                lifecycle.start(layout.data, name)
        return all(row.state in (RUNNING, CONNECTED) for row in rows)

    def _has_ended(self) -> bool:
        return self._process.poll() == 0

    def _journals(self) -> set[str]:
        journal = self._layout.coordinator.journal
        return {path.parent.name for path in journal.glob("*/journal.lock")}

    def _siloscore(self, *arguments: str) -> "subprocess.Popen[bytes]":
        common = ("--backend", "deployment", "--store", str(self._store))
        command = [
            sys.executable,
            "-P",
            "-c",
            "from experiments.cli import main; main()",
            *arguments,
            *common,
        ]
        with self._log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def _explains(state: str, meaning: str) -> bool:
    return bool(meaning) or state in (RUNNING, CONNECTED)


def _kill(layout: Layout, target: str) -> set[tuple[str, str]]:
    """Kill a program, such as `tax:worker`, or all of an organisation: which of whose programs should start again.

    That is nothing where there was nothing to kill.
    """
    organisation, _, program = target.partition(":")
    named = {one: _name(one) for one in processes(layout, "" if organisation == "all" else organisation)}
    killed = [one for one, name in named.items() if program in ("all", name)]
    # Supervisors first, which would start the others again.
    for one in sorted(killed, key=lambda one: one.program != SUPERVISOR):
        with suppress(ProcessLookupError):
            os.kill(one.number, signal.SIGKILL)
    numbers = {one.number for one in killed}
    wait_until(lambda: not numbers & {one.number for one in processes(layout)}, _GONE)
    return {(one.organisation, named[one]) for one in killed}


def _programs(layout: Layout) -> set[tuple[str, str]]:
    """Whose programs run."""
    return {(one.organisation, _name(one)) for one in processes(layout)}


def _name(process: Process) -> str:
    """The name of a program; the ServerApp is started by the executor, and has its name."""
    try:
        command = Path(f"/proc/{process.number}/cmdline").read_text("utf-8")
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return ""
    return _SERVERAPP if "flwr-serverapp" in command else process.program


@contextmanager
def _federation(data: Path) -> Iterator[tuple[str, ...]]:
    parties = _parties(data)
    try:
        lifecycle.up(data, parties, False, print)
        yield parties
    finally:
        lifecycle.down(data)


def _parties(data: Path) -> tuple[str, ...]:
    dataset, _ = open_study(data)
    return dataset.parties


def _undisturbed(data: Path, folder: Path, contenders: tuple[str, ...]) -> dict[str, "pd.Series[float]"]:
    """The PDs by id of a study of the same settings in one process, by contender."""
    dataset, config = open_study(data, SETTINGS)
    state = folder / "undisturbed"
    config = replace(config, state=str(state), tracking_uri=f"sqlite:///{folder}/undisturbed.db")
    run_study(dataset, config, contenders).complete()
    return {name: _pds(state / dataset.holder / config.study, name) for name in contenders}


def _pds(study: Path, contender: str) -> "pd.Series[float]":
    scores = Store(study / contender / "1").read(Scores)
    return pd.Series(np.asarray(scores.pd), read_applications(Store(study)).ids).sort_index()


if __name__ == "__main__":
    app()
