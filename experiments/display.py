"""What a person sees in the terminal: progress while a study runs, and its table at the end."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import pandas as pd
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

from experiments.comparison import banks
from experiments.comparison.gains import written as written_gains
from experiments.comparison.summary import (
    COST,
    QUALITY,
    baseline_of,
    is_usable,
    recovered_in_words,
    winner,
    with_failed,
    written,
)
from experiments.tables import FittedTable
from server.progress import Progress as Event
from server.progress import Report
from server.training import title as model_title

console = Console()

_STAGES = {
    "connect": "Starting Flower and the parties",
    "align": "Aligning the parties' businesses",
    "score": "Scoring the applicants",
}


@contextmanager
def progress_bars() -> Iterator[Report]:
    """Bars per model: its party at work, its step of how many, the validation AUC and the time left."""
    with Progress(
        SpinnerColumn(finished_text="✓"),
        # Without markup, since a party's name is among the texts.
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=12),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
    ) as bars:
        yield _Bars(bars).report


@contextmanager
def step_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Bars for work that calls back with what it does, the steps done and the steps in all."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total)
            bars.update(tasks[label], completed=done)

        yield progress


class _Bars:
    """One bar per stage; a stage has ended when the next begins, and a failed one stays as it is."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._key: tuple[str, int, str] | None = None
        self._task: TaskID | None = None

    def report(self, event: Event) -> None:
        if event.stage == "failed":
            return
        model = model_title(event.stage, event.bank, event.seed)
        title = _STAGES.get(event.stage) or model
        if (event.stage, event.seed, event.bank) != self._key:
            self._key = (event.stage, event.seed, event.bank)
            if self._task is not None:
                self._bars.update(self._task, total=1, completed=1, note="")
            self._task = None if event.stage == "done" else self._bars.add_task(title, total=None, note="")
        if event.failure:
            self._bars.console.print(f"Failed: {model}", style="red", markup=False)
            if self._task is not None:
                self._bars.stop_task(self._task)
            self._task = None
        if event.text:
            self._bars.console.print(f"Check: {event.text}", style="yellow", markup=False, soft_wrap=True)
        if event.steps and self._task is not None:
            note = f"{event.step}/{event.steps} {event.party}"
            self._bars.update(self._task, total=event.steps, completed=event.step, note=note)
            if "valid.auc" in event.metrics:
                self._bars.update(self._task, description=f"{title}, AUC {event.metrics['valid.auc']:.3f}")


def comparison_tables(
    comparison: pd.DataFrame, seeds: int, failed: Iterable[str] = (), of_banks: bool = False
) -> tuple[Table, Table]:
    """The comparison for a terminal of 80 columns: how good the contenders are, and what they gain and cost.

    Contenders that have failed stand in the first table. Those of several banks have longer names, so it is without the
    Gini coefficient, which follows from the AUC.
    """
    absent = {"approval_rate", "gini"} if of_banks else {"approval_rate"}
    quality = written(comparison, _NAME | {key: QUALITY[key] for key in QUALITY if key not in absent})
    low, high = (comparison[name].map("{:.3f}".format) for name in ("auc_low", "auc_high"))
    quality.insert(2, "95 %", low + "–" + high)
    quality = with_failed(quality, failed)
    gain = written(comparison, _NAME | {"approval_rate": QUALITY["approval_rate"]} | COST)
    best = winner(comparison)["contender"]
    return (
        _table(quality, f"Test rows, {_mean_of(seeds)}", quality[""].map(is_usable), best),
        _table(gain.rename(columns=_SHORT), "Gain and cost", gain[""].map(is_usable), best),
    )


def bank_tables(of_banks: pd.DataFrame) -> Iterator[Table]:
    """How good the contenders are at each of several banks, and which banks lose, for a terminal."""
    for measure, title in banks.known_measures(of_banks).items():
        texts = banks.written_banks(of_banks, measure)
        yield _table(texts, title, texts[""].map(is_usable))
    lost = banks.written_losers(of_banks)
    if not lost.empty:
        yield _table(lost, banks.LOSERS)


def bank_explanation(of_banks: pd.DataFrame) -> str:
    """How to read the tables of each bank."""
    sentences = ["A bank's own model: with its partners if the contender has their columns, else by itself."]
    if banks.losers(of_banks).empty:
        sentences.append(banks.NOBODY_LOSES)
    if "expected_auc" in banks.known_measures(of_banks):
        sentences.append("The expected AUC has no noise of which applicants did default.")
    return " ".join(sentences)


def _mean_of(seeds: int) -> str:
    return f"mean of {seeds} {'seed' if seeds == 1 else 'seeds'}"


_NAME = {"contender": ("", str)}
_SHORT = {"Round trips": "Trips", "Seconds": "s", "CPU seconds": "CPU s"}


def _table(
    texts: pd.DataFrame, title: str, above: "pd.Series[bool] | None" = None, best: str | None = None
) -> Table:
    """A frame of texts; the rows in `above` stand over a line and all others below, and that of `best` stands out."""
    table = FittedTable(title=title)
    for heading in texts:
        table.add_column(heading, justify="left" if heading in ("Party", "") else "right", no_wrap=True)
    for group in [texts] if above is None else [texts[above], texts[~above]]:
        for row in group.itertuples(index=False):
            table.add_row(*row, style="bold green" if row[0] == best else None)
        table.add_section()
    return table


def explanation(comparison: pd.DataFrame) -> str:
    """How to read the tables of a comparison."""
    baseline = baseline_of(comparison["contender"])
    sentences = [
        f"Uplift and p (paired DeLong test): against {baseline}.",
        "Approved: approval rate at the bad rate that it has at 60 % approval.",
        recovered_in_words(comparison),
        "Contenders below the line use what no party may see.",
    ]
    return " ".join(sentences if baseline is not None else sentences[2:])


def gains_table(gains: pd.DataFrame, contender: str, seeds: int) -> Table:
    """What each party adds, for a terminal of 80 columns."""
    return _table(
        written_gains(gains).drop(columns="without").rename(columns={"AUC with": "AUC"}),
        f"{contender}: what each party adds, {_mean_of(seeds)}",
    )


def estimate_table(estimates: pd.DataFrame, seeds: int) -> Table:
    """What a study would take (`experiments.estimate.forecast`), for a terminal of 80 columns."""
    names = estimates["contender"].replace({"in all": f"in all, {seeds} {'seed' if seeds == 1 else 'seeds'}"})
    forms = {"round_trips": "{:,.0f}", "megabytes": "{:,.0f}", "cpu_seconds": "{:,.1f}"}
    numbers = {_ESTIMATED[name]: estimates[name].map(forms.get(name, "{:.1f}").format) for name in _ESTIMATED}
    rounds = estimates["rounds"].map(lambda count: str(count) if count else "")
    return _table(
        pd.DataFrame({"": names, "Rounds": rounds, **numbers}), "Estimate of one seed; minutes by backend"
    )


_ESTIMATED = {
    "round_trips": "Trips",
    "megabytes": "MB",
    "cpu_seconds": "CPU s",
    "inline": "inline",
    "simulation": "simulated",
    "deployment": "deployed",
}


def benchmark_tables(tables: Mapping[str, pd.DataFrame], against: str) -> Iterator[Table]:
    """The tables of the frozen benchmark by set of cases (`experiments.frozen_benchmark.lines`)."""
    for name, table in tables.items():
        texts = written(table, _LINE)
        low, high = (table[end].map("{:+.3f}".format) for end in ("gain_low", "gain_high"))
        texts["95 %"] = (low + " to " + high).where(table["gain"].notna(), "–")
        ordered = texts.iloc[(-table["auc"]).argsort(kind="stable")]
        yield _table(ordered, f"{name}: test rows, gain over {against}")


_LINE = {
    "model": ("", str),
    "auc": ("AUC", "{:.4f}".format),
    "error": ("±", "{:.4f}".format),
    **{key: QUALITY[key] for key in ("gini", "ks", "brier")},
    "gain": ("Gain", "{:+.4f}".format),
}
