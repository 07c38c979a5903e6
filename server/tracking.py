"""The study in MLflow: the only module that talks to it.

One experiment per study, one parent run per invocation, one nested child run per contender and seed. All
children carry the same metric names and the same artefact paths, so that any two can be compared in the
browser. Runs are addressed by their ids, never through MLflow's global active run: the coordinator of a
Flower run logs children into a parent that another process has started (`Study.attach`).

What is logged:

- metrics: the final ones of `FINAL_METRICS`, without a dot in their names; stepped curves such as
  `valid.auc`, one
  batch per round;
- artefacts: `figures/<name>.png` and `tables/<name>.json`; in the parent those of all contenders together;
- descriptions: the comparison table in the parent, two lines in each child; the runs' names carry the result,
  as
  MLflow's list of runs shows names before anything else.
"""

import logging
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import pandas as pd
from matplotlib.figure import Figure

from fl.evaluation import Evaluation, Table
from server import figures, summary

# MLflow reports usage to its makers unless told otherwise, and reads this when it is imported. Nothing about
# a bank's study leaves the machine.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
# MLflow imports GitPython, which warns at length where no git is installed.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunStatus, RunTag

# A new store announces each step of its creation; only what goes wrong there concerns the user.
for _name in ("mlflow.store.db.utils", "alembic"):
    logging.getLogger(_name).setLevel(logging.WARNING)

FINAL_METRICS = (
    "auc",
    "auc_low",
    "auc_high",
    "gini",
    "ks",
    "brier",
    "calibration_error",
    "round_trips",
    "megabytes",
    "seconds",
)
"""Every child run's metrics besides its curves. Whatever else is measured stands in `tables/`."""

Status = Literal["FINISHED", "FAILED", "KILLED"]

_NOTE, _PARENT = "mlflow.note.content", "mlflow.parentRunId"
_INHERITED_TAGS = ("world", "git")


@dataclass(frozen=True)
class DatasetFacts:
    """What the runs say about their data: its name, a digest of its content (at most 36 characters), where it is, and
    how many applicants it holds."""

    name: str
    digest: str
    source: str
    rows: int


class _TrackedRun(AbstractContextManager["_TrackedRun"]):
    """A run that ends as FINISHED when its `with` block does, and as FAILED or KILLED when that raises."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client = client
        self.run_id = run_id

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
        else:
            self.finish("FAILED" if isinstance(error, Exception) else "KILLED", error)

    def describe(self, text: str) -> None:
        """Replace the run's description by `text`, in Markdown."""
        self.client.set_tag(self.run_id, _NOTE, text)

    def finish(self, status: Status = "FINISHED", error: BaseException | str | None = None) -> None:
        """End the run. An `error` heads its description, so that whoever opens the run sees why it failed."""
        if error is not None:
            kind = f"{type(error).__name__}: " if isinstance(error, BaseException) else ""
            message = f"**{status.capitalize()}.** {kind}{error}"
            before = self.client.get_run(self.run_id).data.tags.get(_NOTE)
            self.describe(f"{message}\n\n{before}" if before else message)
        self.client.set_terminated(self.run_id, status)

    def _log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        now = int(time.time() * 1000)
        batch = [Metric(name, float(value), now, step) for name, value in metrics.items()]
        self.client.log_batch(self.run_id, metrics=batch)

    def _log_files(self, drawn: Mapping[str, Figure], tables: Mapping[str, pd.DataFrame]) -> None:
        """Log all figures as PNG and all tables as JSON in MLflow's table format, in one go."""
        with tempfile.TemporaryDirectory() as folder:
            for name, figure in drawn.items():
                path = Path(folder, "figures", f"{name}.png")
                path.parent.mkdir(exist_ok=True)
                figure.savefig(path)
            for name, table in tables.items():
                path = Path(folder, "tables", f"{name}.json")
                path.parent.mkdir(exist_ok=True)
                # The layout that the artefact viewer shows as a table and `mlflow.load_table` reads.
                table.to_json(path, orient="split", index=False, double_precision=10)
            self.client.log_artifacts(self.run_id, folder)


class ContenderRun(_TrackedRun):
    """One contender trained with one seed: a child run of the study."""

    def log_round(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log a point of each curve of `metrics`, such as {"valid.auc": 0.81}, in one batch; step is the round.

        Raises ValueError for a name without a dot: those are the final metrics, which have no steps.
        """
        if bare := [name for name in metrics if "." not in name]:
            raise ValueError(f"a curve needs a dotted name such as valid.auc, not {', '.join(bare)}")
        self._log_metrics(metrics, step)

    def log_evaluation(self, evaluation: Evaluation) -> None:
        """Log the final metrics, the figures and the tables of the contender."""
        contender = self.client.get_run(self.run_id).data.tags["contender"]
        final = {name: value for name, value in evaluation.metrics.items() if name in FINAL_METRICS}
        self._log_metrics(final)
        drawn = {name: draw(contender, evaluation) for name, draw in figures.FIGURES.items()}
        tables = {name: _frame(table) for name, table in evaluation.tables.items()}
        tables["metrics"] = pd.DataFrame(evaluation.metrics.items(), columns=["metric", "value"])
        self._log_files(drawn, tables)
        self.describe(summary.child_description(contender, evaluation.metrics))

    def log_costs(
        self, *, round_trips: int, bytes_up: int, bytes_down: int, seconds: float, cpu_seconds: float
    ) -> None:
        """Log what training took: bytes to the coordinator (up) and to the parties (down), wall and CPU seconds."""
        megabytes = (bytes_up + bytes_down) / 1e6
        self._log_metrics({"round_trips": round_trips, "megabytes": megabytes, "seconds": seconds})
        costs = {
            "round_trips": round_trips,
            "bytes_up": bytes_up,
            "bytes_down": bytes_down,
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
        }
        self._log_files({}, {"costs": pd.DataFrame([costs])})


class Study(_TrackedRun):
    """The parent run of one invocation, and the way to its children."""

    def __init__(self, client: MlflowClient, run: Run) -> None:
        super().__init__(client, run.info.run_id)
        self.experiment_id: str = run.info.experiment_id
        self._inherited = {name: run.data.tags[name] for name in _INHERITED_TAGS if name in run.data.tags}

    @classmethod
    def start(
        cls,
        uri: str,
        experiment: str,
        name: str,
        *,
        params: Mapping[str, Any] | None = None,
        world: str | None = None,
        dataset: DatasetFacts | None = None,
    ) -> Self:
        """Start a parent run called `name` in the experiment, which is made if there is none.

        `uri` is MLflow's tracking URI, for a local store `sqlite:////absolute/path/mlflow.db`: its artefacts
        go to the folder `mlartifacts` beside it, whatever folder a process runs in.
        """
        client = MlflowClient(uri)
        tags = {"role": "study", "mlflow.source.name": "siloscore", "world": world, "git": code_version()}
        run = client.create_run(
            _experiment(client, uri, experiment),
            run_name=name,
            tags={name: value for name, value in tags.items() if value is not None},
        )
        study = cls(client, run)
        client.log_batch(study.run_id, params=_params(params or {}))
        if dataset is not None:
            source = DatasetInput(
                Dataset(
                    dataset.name,
                    dataset.digest,
                    "local",
                    f'{{"uri": "{dataset.source}"}}',
                    profile=f'{{"rows": {dataset.rows}}}',
                ),
                [InputTag("mlflow.data.context", "train, validation and test")],
            )
            client.log_inputs(study.run_id, [source])
        return study

    @classmethod
    def attach(cls, uri: str, run_id: str) -> Self:
        """Attach to a parent run that another process has started, to add contenders to it."""
        client = MlflowClient(uri)
        return cls(client, client.get_run(run_id))

    def contender(self, name: str, seed: int, params: Mapping[str, Any] | None = None) -> ContenderRun:
        """Start the child run of contender `name` with `seed`."""
        run = self.client.create_run(
            self.experiment_id,
            run_name=f"{name} · seed {seed}",
            tags={
                _PARENT: self.run_id,
                "role": "contender",
                "contender": name,
                "seed": str(seed),
                "mlflow.source.name": "siloscore",
                **self._inherited,
            },
        )
        child = ContenderRun(self.client, run.info.run_id)
        self.client.log_batch(
            child.run_id, params=_params({"contender": name, "seed": seed} | (params or {}))
        )
        return child

    def children(self) -> list[Run]:
        """The study's child runs, oldest first, whichever process has started them."""
        return list(
            self.client.search_runs(
                [self.experiment_id],
                f"tags.`{_PARENT}` = '{self.run_id}'",
                order_by=["attributes.start_time ASC"],
                max_results=1000,
            )
        )

    def summarise(self, comparison: pd.DataFrame, evaluations: Mapping[str, Evaluation]) -> None:
        """Log the comparison to the parent: its name, description, metrics, table and the figures of all contenders.

        `comparison` is as in `server.summary`; `evaluations` holds one evaluation for each contender to be
        drawn.
        """
        said = summary.headline(comparison)
        run = self.client.get_run(self.run_id)
        name = run.data.tags.get("study", run.info.run_name)
        # The list of runs shows names first and may hide everything else.
        self.client.update_run(self.run_id, name=said)
        self.client.log_batch(
            self.run_id,
            tags=[
                RunTag("study", name),
                RunTag(_NOTE, summary.study_description(name, comparison)),
            ],
        )
        best = summary.winner(comparison)
        self._log_metrics(
            {name: best[name] for name in FINAL_METRICS if name in best and pd.notna(best[name])}
        )
        drawn = {
            "auc": figures.auc_bars(comparison, said),
            "roc": figures.roc_overlay(evaluations),
            "calibration": figures.calibration_overlay(evaluations),
            "gain": figures.gain_overlay(evaluations),
        }
        if curves := self._curves("valid.auc"):
            drawn["training"] = figures.training_curves(curves, "validation AUC")
        self._log_files(drawn, {"comparison": comparison})

    def _curves(self, metric: str) -> dict[str, list[tuple[int, float]]]:
        """The stepped `metric` of each contender that has one, of its first seed."""
        curves: dict[str, list[tuple[int, float]]] = {}
        for run in self.children():
            contender = run.data.tags["contender"]
            if metric in run.data.metrics and contender not in curves:
                history = self.client.get_metric_history(run.info.run_id, metric)
                curves[contender] = [(point.step, point.value) for point in history]
        return curves

    def finish(self, status: Status = "FINISHED", error: BaseException | str | None = None) -> None:
        """End the study, and as FAILED every child that a process left running when it died."""
        for run in self.children():
            if run.info.status == RunStatus.to_string(RunStatus.RUNNING):
                ContenderRun(self.client, run.info.run_id).finish(
                    "FAILED", "The study ended before this run did."
                )
        super().finish(status, error)


def ui_link(base_url: str, experiment_id: str, run_id: str | None = None) -> str:
    """The address of the study in the browser, given where `mlflow ui` listens, such as `http://127.0.0.1:5000`."""
    return f"{base_url.rstrip('/')}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"


def code_version() -> str | None:
    """The commit of the code that runs, with `-dirty` if it was changed since; None when it is not a git checkout."""
    root = Path(__file__).parent.parent
    # A package inside somebody else's repository, such as a virtual environment there, must not report that
    # one.
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        # No git here, or a repository that it distrusts: then the version is unknown, which is no reason to
        # stop.
        return None


def _experiment(client: MlflowClient, uri: str, name: str) -> str:
    """Id of the experiment called `name`, made with its artefacts beside a local store if there is none."""
    if (known := client.get_experiment_by_name(name)) is not None:
        return str(known.experiment_id)
    location = None
    if uri.startswith("sqlite:///"):
        location = (Path(uri.removeprefix("sqlite:///")).resolve().parent / "mlartifacts" / name).as_uri()
    return str(client.create_experiment(name, artifact_location=location))


def _params(params: Mapping[str, Any]) -> list[Param]:
    return [Param(name, str(value)) for name, value in params.items()]


def _frame(table: Table) -> pd.DataFrame:
    return pd.DataFrame({name: values for name, values in table.items()})
