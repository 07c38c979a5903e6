"""What federated boosting costs, against the same trees on the joined table and against XGBoost.

`python -m experiments.benchmarks.boosting --rows 10000 30000 --columns 5 20` measures on ready tables of known signal;
with `--data DIR --test-ids FILE` on a dataset of numeric columns. Each case runs in a process of its own, so that its
memory is its own. Prints a table in Markdown and, for several sizes, how cost grows with rows and columns; `--figure
FILE` draws it, `--store URI` logs one MLflow run per case.

Phases: `set-up` (bins, keys, the end), `bank` (decrypt, search, encrypt), `parties` (add up, reply), `scoring`, and
`coordinator`; the alignment is a benchmark of its own. `--profile` prints a finer split. Memory is the largest peak of
a process's resident set (Linux's VmHWM): on the backend `inline` one process is all parties and the coordinator, on
`simulation` a worker is one party at a time.
"""

import argparse
import cProfile
import json
import multiprocessing
import pstats
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from loky import get_reusable_executor
from matplotlib.figure import Figure

from experiments.backends import BACKENDS, open_backend
from experiments.baselines.training import Baselines
from experiments.benchmarks.memory import peak_memory
from experiments.dataset import open_dataset
from experiments.joined import Joined, read_joined, read_roles, read_scores
from experiments.made_tables import write_tables
from experiments.settings import parse_settings
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.metrics import auc
from fl.splits import TEST, TRAIN, Roles
from server.progress import Progress
from server.tracking.drawing import colour, new_axes, with_legend
from server.tracking.pages import markdown_table
from server.tracking.study import Study

CONTENDER, EXPERIMENT, MADE = "federated-boosting", "siloscore-benchmarks", "made"
PHASES = {
    "set-up": ("boosting_start", "boosting_begin", "boosting_finish"),
    "bank": ("boosting_split",),
    "parties": ("boosting_grow", "boosting_add_up"),
    "scoring": ("boosting_outcomes", "boosting_score"),
    "coordinator": ("coordinator",),
}
# One tree after another, of all rows and columns, as the other systems grow them.
SETTINGS = (
    "boosting.parallel=1",
    "boosting.row-share=1",
    "boosting.column-share=1",
    "boosting.depth=4",
    "boosting.learning-rate=0.3",
    "boosting.bins=32",
    "boosting.patience=0",
    "validation-share=0.01",
    "party-timeout=3600",
)
OPTIONS: dict[str, dict[str, Any]] = {
    "--data": {"type": Path, "help": "a dataset instead of made tables"},
    "--test-ids": {"type": Path, "help": "its fixed test set"},
    "--rows": {"type": int, "nargs": "+", "default": [10_000, 30_000]},
    "--columns": {"type": int, "nargs": "+", "default": [5, 20]},
    "--trees": {"type": int, "default": 20},
    "--engines": {"nargs": "+", "default": ["lattice"]},
    "--backend": {"choices": sorted(BACKENDS), "default": "inline"},
    "--set": {"dest": "settings", "action": "append", "default": [], "metavar": "NAME=VALUE"},
    "--profile": {"action": "store_true"},
    "--figure": {"type": Path, "help": "PNG of the made tables measured like the last"},
    "--store": {"default": ""},
    "--append": {"type": Path, "help": "JSON lines of all measurements, those of earlier calls too"},
}
"""What can be asked for on the command line, as `argparse` takes it."""
BANK_COLUMNS, BADS = 5, 0.2
"""Columns of the bank, and share of defaults, in made tables that say nothing else."""


@dataclass(frozen=True)
class Case:
    """One measurement: on tables of that size, or on real data when `data` names its folder."""

    rows: int
    columns: int
    backend: str
    settings: tuple[str, ...]
    profile: bool = False
    data: str = ""
    test_ids: str = ""
    bank_columns: int = BANK_COLUMNS
    bads: float = BADS

    def measure(self) -> dict[str, float | str]:
        """The row of `measure`, in a process of its own, so that its memory is its own."""
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            row = pool.submit(measure, self).result()
            # Else that process would wait a minute for those that took shares of its work (`fl/processes.py`).
            pool.submit(_end_workers).result()
            return row


def measure(case: Case) -> dict[str, float | str]:
    """One row of the table. Raises AssertionError when the federated scores are not the pooled twin's."""
    with tempfile.TemporaryDirectory(prefix="siloscore-") as folder:
        data = Path(case.data) if case.data else Path(folder) / "data"
        if not case.data:
            write_tables(data, case.rows, {"bank": case.bank_columns, "partner": case.columns}, case.bads)
        dataset = open_dataset(data)
        config = replace(
            TrainingConfig.from_mapping(parse_settings([*SETTINGS, *case.settings])),
            data=str(dataset.folder),
            parties=tuple(dataset.parties),
            contenders=(CONTENDER,),
            study="bench",
            state=f"{folder}/state",
            tracking_uri=f"sqlite:///{folder}/mlflow.db",
            test_ids=str(Path(case.test_ids).resolve()) if case.test_ids else "",
        )
        boosting = config.section(BoostingConfig)
        events: list[Progress] = []
        profile = cProfile.Profile(time.process_time)
        with (
            profile if case.profile else nullcontext(),
            peak_memory() as peaks,
            open_backend(case.backend, len(dataset.parties)) as run_federation,
        ):
            run_federation(config, events.append)
        if case.profile:  # where the CPU time of this process goes: of everything on the backend `inline`
            pstats.Stats(profile).sort_stats("tottime").print_stats(30)
        costs = next(event.costs for event in events if event.costs and event.stage == CONTENDER)
        joined, roles = read_joined(config, dataset.holder), read_roles(config, dataset.holder, 1)
        scored = read_scores(config, dataset.holder, CONTENDER, 1).pd
        twin = Baselines(joined, roles, 1, config).train("pooled-boosting")
        assert np.array_equal(scored, twin.pd), "the federated forest is not the pooled one"
        test = roles == TEST
        return {
            "data": Path(case.data).name if case.data else MADE,
            "rows": len(roles),
            "columns": joined.frame().shape[1] - len(joined.tables[joined.holder].numeric_names),
            "engine": boosting.encryption,
            "ahead": boosting.ahead,
            "trees": boosting.trees,
            "cpu_seconds": costs["cpu_seconds"],
            **{f"cpu_seconds.{phase}": phase_seconds(costs, phase) for phase in PHASES},
            "seconds": costs["seconds"],
            "peak_megabytes": max(peaks),
            "megabytes": (costs["bytes_up"] + costs["bytes_down"]) / 1e6,
            "round_trips": costs["round_trips"],
            "cpu_seconds.pooled": twin.costs["cpu_seconds"],
            "auc": auc(joined.labels[test], scored[test]),
            **by_xgboost(joined, roles, boosting),
        }


def _end_workers() -> None:
    get_reusable_executor().shutdown()


def phase_seconds(costs: dict[str, float], phase: str) -> float:
    """CPU seconds of a phase in a run's costs."""
    return sum(
        seconds
        for name, seconds in costs.items()
        if name.startswith("cpu_seconds.") and name.rpartition(".")[2] in PHASES[phase]
    )


def by_xgboost(joined: Joined, roles: Roles, config: BoostingConfig) -> dict[str, float]:
    """CPU seconds and test AUC of XGBoost on the joined table; nothing where it is not installed."""
    if find_spec("xgboost") is None:
        return {}
    import xgboost

    train, test = roles == TRAIN, roles == TEST
    model = xgboost.XGBClassifier(
        n_estimators=config.trees,
        max_depth=config.depth,
        learning_rate=config.learning_rate,
        max_bin=config.bins,
        reg_lambda=config.l2,
        tree_method="hist",
        n_jobs=1,
    )
    frame, began = joined.frame(), time.process_time()
    model.fit(frame[train], joined.labels[train])
    spent, pd_of_test = time.process_time() - began, model.predict_proba(frame[test])[:, 1]
    return {"cpu_seconds.xgboost": spent, "auc.xgboost": auc(joined.labels[test], pd_of_test)}


def exponents(table: pd.DataFrame) -> dict[str, float]:
    """The exponents of rows and of columns in CPU seconds, by least squares of logarithms; of what varies in table."""
    varied = [name for name in ("rows", "columns") if table[name].nunique() > 1]
    design = np.column_stack([np.ones(len(table)), *(np.log(table[name]) for name in varied)])
    coefficients, *_ = np.linalg.lstsq(design, np.log(table["cpu_seconds"]), rcond=None)
    return dict(zip(varied, map(float, coefficients[1:]), strict=True))


def cost_figure(table: pd.DataFrame) -> Figure:
    """CPU seconds over rows, both logarithmic: a line for each number of columns, and for the pooled twin."""
    figure, axes = new_axes("Boosting: what encryption costs", "rows", "CPU seconds")
    for number, (columns, part) in enumerate(table.sort_values("rows").groupby("columns")):
        style = {"marker": "o", "linestyle": ["-", "--", ":", "-."][number % 4]}
        for contender, column in ((CONTENDER, "cpu_seconds"), ("pooled-boosting", "cpu_seconds.pooled")):
            axes.plot(
                part["rows"],
                part[column],
                color=colour(contender),
                label=f"{contender}, {columns} columns",
                **style,
            )
    axes.set(xscale="log", yscale="log")
    return with_legend(figure)


def markdown(table: pd.DataFrame) -> str:
    """The table in Markdown, with figures as long as they are good for."""
    shown = {
        "data": ("data", "s"),
        "rows": ("rows", ",.0f"),
        "columns": ("columns", ".0f"),
        "engine": ("engine", "s"),
        "ahead": ("ahead", "s"),
        "trees": ("trees", ".0f"),
        "cpu_seconds": ("CPU s", ".1f"),
        **{f"cpu_seconds.{phase}": (phase, ".1f") for phase in PHASES},
        "seconds": ("wall s", ".0f"),
        "peak_megabytes": ("peak MB", ".0f"),
        "megabytes": ("moved MB", ".0f"),
        "round_trips": ("trips", ".0f"),
        "cpu_seconds.pooled": ("pooled CPU s", ".1f"),
        "cpu_seconds.xgboost": ("XGBoost CPU s", ".1f"),
        "auc": ("AUC", ".4f"),
        "auc.xgboost": ("XGBoost AUC", ".4f"),
    }
    return markdown_table(
        pd.DataFrame(
            {
                title: [format(value, form) for value in table[name]]
                for name, (title, form) in shown.items()
                if name in table
            }
        )
    )


def log(row: dict[str, float | str], uri: str) -> None:
    """One MLflow run for a case."""
    named = {name: value for name, value in row.items() if isinstance(value, str)}
    name = f"boosting {row['data']} {row['rows']:,} × {row['columns']}, {row['engine']}"
    with Study.start(uri, EXPERIMENT, name, params=named) as study:
        study.log_metrics({key: float(value) for key, value in row.items() if key not in named})


def main() -> None:
    """Measure what is asked for, case by case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for flag, options in OPTIONS.items():
        parser.add_argument(flag, **options)
    args = parser.parse_args()
    sizes = [(0, 0)] if args.data else list(product(args.rows, args.columns))
    measured: list[dict[str, float | str]] = []
    if args.append is not None and args.append.exists():
        measured = [json.loads(line) for line in args.append.read_text("utf-8").splitlines()]
    for engine, (rows, columns) in product(args.engines, sizes):
        settings = (f"boosting.trees={args.trees}", f"boosting.encryption={engine}", *args.settings)
        case = Case(
            rows,
            columns,
            args.backend,
            settings,
            args.profile,
            data=str(args.data or ""),
            test_ids=str(args.test_ids or ""),
        )
        row = case.measure()
        measured.append(row)
        if args.append is not None:
            with args.append.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        if args.store:
            log(row, args.store)
        print(markdown(pd.DataFrame([row])), flush=True)
    table = pd.DataFrame(measured)
    print(f"\n{markdown(table)}")
    made = table[table["data"] == MADE]
    for (engine, ahead, trees), part in made.groupby(["engine", "ahead", "trees"]):
        for name, power in exponents(part).items():
            print(f"{engine}, ahead {ahead}, {trees} trees: CPU seconds grow as {name}^{power:.2f}")
    if args.figure is not None:
        last = table.iloc[-1]
        same = (made[["engine", "ahead", "trees"]] == last[["engine", "ahead", "trees"]]).all(axis=1)
        cost_figure(made[same]).savefig(args.figure, bbox_inches="tight")


if __name__ == "__main__":
    main()
