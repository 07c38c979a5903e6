"""What a user sees in the terminal: the progress of a run, and its tables at the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from experiments.comparison.summary import (
    COST,
    QUALITY,
    Columns,
    baseline_of,
    cell_text,
    is_usable,
    p_value_text,
    winner,
)
from server.progress import Progress as Event
from server.progress import Report

console = Console()

_STAGES = {
    "connect": "Starting Flower and the parties",
    "align": "Aligning the parties' businesses",
    "score": "Scoring the applicants",
}


@contextmanager
def progress_bars() -> Iterator[Report]:
    """A bar per model, with the party at work, the steps done and in all, the validation AUC and the time left."""
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console) as bars:
        yield _Bars(bars).report


@contextmanager
def step_bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar per kind of work, for a function that reports the name of the work, the steps done and the steps in all."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total)
            bars.update(tasks[label], completed=done)

        yield progress


class _Bars:
    """One bar per stage. A stage has ended when the next one begins; the bar of a failed one stays as it is."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._key: tuple[str, int] | None = None
        self._task: TaskID | None = None

    def report(self, event: Event) -> None:
        if event.stage == "failed":
            return
        if (event.stage, event.seed) != self._key:
            self._finish()
            self._key = (event.stage, event.seed)
            if event.stage != "done":
                self._task = self._bars.add_task(_title(event), total=None, note="")
        if event.text:
            self._bars.console.print(f"Check: {event.text}", style="yellow", markup=False, soft_wrap=True)
        if event.steps and self._task is not None:
            note = f"{event.step}/{event.steps} {event.party}"
            self._bars.update(self._task, total=event.steps, completed=event.step, note=note)
            if "valid.auc" in event.metrics:
                title = f"{_title(event)}, AUC {event.metrics['valid.auc']:.3f}"
                self._bars.update(self._task, description=title)

    def _finish(self) -> None:
        if self._task is not None:
            self._bars.update(self._task, total=1, completed=1, note="")
        self._task = None


def _title(event: Event) -> str:
    return _STAGES.get(event.stage) or f"{event.stage}, seed {event.seed}"


def comparison_tables(comparison: pd.DataFrame, seeds: int) -> tuple[Table, Table]:
    """The comparison for a terminal of 80 columns: one table of how good the contenders are, one of gain and cost."""
    quality = {name: column for name, column in QUALITY.items() if name != "approval_rate"}
    gain = {"approval_rate": QUALITY["approval_rate"], **COST}
    return (
        _table(comparison, quality, f"Test rows, {_mean_of(seeds)}", interval=True),
        _table(comparison, gain, "Gain and cost"),
    )


def _mean_of(seeds: int) -> str:
    return f"mean of {seeds} {'seed' if seeds == 1 else 'seeds'}"


def _empty_table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)


_SHORT = {"Round trips": "Trips", "Seconds": "s", "CPU seconds": "CPU s"}


def _table(comparison: pd.DataFrame, columns: Columns, title: str, interval: bool = False) -> Table:
    """A table with the contenders that a bank could use first, and below a line those that it could not."""
    table = _empty_table(title)
    table.add_column("", no_wrap=True)
    for heading, _ in columns.values():
        table.add_column(_SHORT.get(heading, heading), justify="right", no_wrap=True)
        if interval and heading == "AUC":
            table.add_column("95 %", justify="right", no_wrap=True)
    best = winner(comparison)["contender"]
    usable = comparison["contender"].map(is_usable)
    for group in (comparison[usable], comparison[~usable]):
        for row in group.to_dict("records"):
            cells = []
            for name, (heading, write) in columns.items():
                cells.append(cell_text(row[name], write))
                if interval and heading == "AUC":
                    cells.append(f"{row['auc_low']:.3f}–{row['auc_high']:.3f}")
            table.add_row(row["contender"], *cells, style="bold green" if row["contender"] == best else None)
        table.add_section()
    return table


def explanation(comparison: pd.DataFrame) -> str:
    """Sentences that say how to read the tables of a comparison."""
    baseline = baseline_of(comparison["contender"])
    sentences = [
        f"Uplift is the gain of AUC over {baseline}, p its p-value by a paired DeLong test.",
        "Approved is the approval rate at the bad rate that this contender has at 60 % approval.",
        "Recovered is the gain of AUC over bank-only-trees as a share of the gain of pooled-trees.",
        "Contenders below the line use data that no party may see.",
    ]
    return " ".join(sentences if baseline is not None else sentences[2:])


def gains_table(gains: pd.DataFrame, contender: str, seeds: int) -> Table:
    """A table of what each party adds, for a terminal of 80 columns."""
    table = _empty_table(f"{contender}: what each party adds, {_mean_of(seeds)}")
    for heading in ("Party", "", "AUC", "Gain", "95 %", "p"):
        table.add_column(heading, justify="left" if heading in ("Party", "") else "right", no_wrap=True)
    for row in gains.to_dict("records"):
        interval = f"{row['gain_low']:+.3f} to {row['gain_high']:+.3f}"
        figures = (f"{row['auc_with']:.3f}", f"{row['gain']:+.3f}", interval)
        table.add_row(row["party"], row["question"], *figures, p_value_text(row["p_value"]))
    return table
