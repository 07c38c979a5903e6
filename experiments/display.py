"""What a person sees in the terminal: progress while a study runs, and its table at the end."""

from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.progress import TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from server.progress import Progress as Event
from server.progress import Report
from server.summary import COST, QUALITY, is_usable, winner

console = Console()

_STAGES = {"connect": "Starting Flower and the parties", "align": "Aligning the parties' businesses"}


@contextmanager
def progress_bars() -> Iterator[Report]:
    """Bars per model: its party at work, its step of how many, the validation AUC and the time left."""
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[tuple[str, int], TaskID] = {}

        def report(event: Event) -> None:
            key = (event.stage, event.seed)
            if key not in tasks:
                for task in bars.task_ids:
                    bars.update(
                        task, total=bars.tasks[task].completed or 1, completed=bars.tasks[task].completed or 1
                    )
                if event.stage not in ("done", "failed"):
                    tasks[key] = bars.add_task(_title(event), total=None, note="")
            if event.steps:
                auc = event.metrics.get("valid.auc")
                note = f"valid AUC {auc:.3f}" if auc is not None else bars.tasks[tasks[key]].fields["note"]
                bars.update(tasks[key], total=event.steps, completed=event.step, note=note)
                bars.update(tasks[key], description=f"{_title(event)} · {event.party}")

        yield report


def _title(event: Event) -> str:
    return _STAGES.get(event.stage) or f"{event.stage}, seed {event.seed}"


def comparison_table(comparison: pd.DataFrame, seeds: int) -> Table:
    """The comparison as a terminal table: contenders a bank could use first, then the yardsticks."""
    noun = "seed" if seeds == 1 else "seeds"
    table = Table(title=f"Test rows, mean of {seeds} {noun}", caption=_CAPTION, caption_justify="left")
    table.add_column("contender", no_wrap=True)
    columns = {**QUALITY, **COST}
    for title, _ in columns.values():
        table.add_column(title, justify="right")
    best = winner(comparison)["contender"]
    usable = comparison["contender"].map(is_usable)
    for group in (comparison[usable], comparison[~usable]):
        for row in group.to_dict("records"):
            cells = [_cell(name, row, show) for name, (_, show) in columns.items()]
            table.add_row(row["contender"], *cells, style="bold green" if row["contender"] == best else None)
        table.add_section()
    return table


def _cell(name: str, row: dict, show) -> str:
    text = "–" if pd.isna(row[name]) else show(row[name])
    return f"{text} ({row['auc_low']:.3f}–{row['auc_high']:.3f})" if name == "auc" else text


_CAPTION = (
    "Uplift and p (paired DeLong) against bank-only-network. Approved: approval rate at the bad rate that "
    "bank-only-network has at 60 % approval. Recovered: share of pooled-trees minus bank-only-trees. "
    "Contenders below the line use what no party may see."
)
