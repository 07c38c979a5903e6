"""One run in MLflow: what every run has in common, and the run of a contender that is trained with one seed.

Runs are addressed by their ids, never through MLflow's global active run. A run that is left by an exception ends as
FAILED, and its description begins with the reason.
"""

import json
import logging
import re
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import pandas as pd
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run

from fl.escaping import markdown
from fl.evaluation import Columns, Evaluation
from server.tracking import drawing, figures, model_card

# A new store announces each step of its creation; only what goes wrong concerns the user.
for _name in ("mlflow.store.db.utils", "alembic"):
    logging.getLogger(_name).setLevel(logging.WARNING)

FINAL_METRICS = (
    "auc",
    "auc_low",
    "auc_high",
    "gini",
    "ks",
    "brier",
    "uplift_auc",
    "round_trips",
    "megabytes",
    "seconds",
)
"""The metrics of a contender's run besides its curves, rounded to four decimals, as the browser shows every digit.
`uplift_auc` is over the baseline of the same seed. The exact figures and all others stand in `tables/`."""

Status = Literal["FINISHED", "FAILED", "KILLED"]

NOTE, SOURCE = "mlflow.note.content", "mlflow.source.name"
"""Tags that MLflow's pages show as a run's description and source."""
_WHY_ENDED = re.compile(r"\A\*\*(FAILED|KILLED)\*\*[^\n]*\n*")
"""The line that heads the description of a run that did not end well."""
_SHOWN_AS_TABLE = "mlflow.loggedArtifacts"


class TrackedRun(AbstractContextManager["TrackedRun"]):
    """A run that ends as FINISHED when its `with` block does, and as FAILED or KILLED when that raises.

    client is MLflow's, run_id and experiment_id are its ids, and started is the run as it was when this object was
    made; what has been logged since then is not in it.
    """

    def __init__(self, client: MlflowClient, run: Run) -> None:
        self.client = client
        self.run_id: str = run.info.run_id
        self.experiment_id: str = run.info.experiment_id
        self.started = run
        self._logged: set[tuple[str, int]] = set()
        self._tables: list[str] = []

    @classmethod
    def create(
        cls,
        client: MlflowClient,
        experiment_id: str,
        name: str,
        tags: Mapping[str, str | None],
        params: Mapping[str, Any] | None = None,
    ) -> Self:
        """Start a run of that name in an experiment; a tag without a value is left out."""
        named = {tag: value for tag, value in {SOURCE: "siloscore", **tags}.items() if value}
        run = client.create_run(experiment_id, run_name=name, tags=named)
        client.log_batch(
            run.info.run_id, params=[Param(param, str(value)) for param, value in (params or {}).items()]
        )
        return cls(client, run)

    def reopen(self) -> None:
        """Go on with a run that broke off. What it has logged stays, and no point of a curve is logged again."""
        self.client.update_run(self.run_id, "RUNNING")
        self._logged = {
            (name, point.step)
            for name in self.started.data.metrics
            for point in self.client.get_metric_history(self.run_id, name)
        }
        self.describe(_WHY_ENDED.sub("", self._description()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status: Status = "FAILED" if isinstance(error, Exception) else "KILLED"
        self.finish("FINISHED" if error is None else status, error)

    def finish(self, status: Status = "FINISHED", error: BaseException | str | None = None) -> None:
        """End the run. An `error` heads its description, so that whoever opens the run sees why it failed."""
        if error is not None:
            kind = f"{type(error).__name__}: " if isinstance(error, BaseException) else ""
            self.describe(f"**{status}** {kind}{markdown(str(error))}\n\n{self._description()}".strip())
        self.client.set_terminated(self.run_id, status)

    def describe(self, text: str) -> None:
        """Set the description, in Markdown, that the run's page shows."""
        self.client.set_tag(self.run_id, NOTE, text)

    def _description(self) -> str:
        return str(self.client.get_run(self.run_id).data.tags.get(NOTE, ""))

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics by name in one batch, as of one step."""
        now = int(time.time() * 1000)
        points = [
            Metric(name, float(value), now, step)
            for name, value in metrics.items()
            if (name, step) not in self._logged
        ]
        self.client.log_batch(self.run_id, metrics=points)

    def log_final_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Log those of `metrics` that are among `FINAL_METRICS` and are not NaN."""
        self.log_metrics(
            {name: round(metrics[name], 4) for name in FINAL_METRICS if pd.notna(metrics.get(name))}
        )

    def log_files(
        self,
        drawn: Mapping[str, Figure],
        tables: Mapping[str, pd.DataFrame],
        texts: Mapping[str, str] | None = None,
    ) -> None:
        """Log figures as `figures/<name>.png`, tables as `tables/<name>.json`, and texts by the name of their file.

        Each call costs a query of the store.
        """
        with tempfile.TemporaryDirectory() as folder:
            for kind in ("figures", "tables"):
                Path(folder, kind).mkdir()
            for name, figure in drawn.items():
                drawing.save(figure, Path(folder, "figures", f"{name}.png"))
            for name, table in tables.items():
                # The browser shows this layout as a table, where a tag says so, and `mlflow.load_table` reads it.
                table.to_json(
                    Path(folder, "tables", f"{name}.json"), orient="split", index=False, double_precision=10
                )
            for name, text in (texts or {}).items():
                Path(folder, name).write_text(text, "utf-8")
            self.client.log_artifacts(self.run_id, folder)
        self._tables += [f"tables/{name}.json" for name in tables]
        self.client.set_tag(
            self.run_id,
            _SHOWN_AS_TABLE,
            json.dumps([{"path": path, "type": "table"} for path in self._tables]),
        )


class ContenderRun(TrackedRun):
    """The run of one contender that is trained with one seed: a child of the study's run."""

    @property
    def contender(self) -> str:
        """The contender's name."""
        return str(self.started.data.tags["contender"])

    @property
    def seed(self) -> int:
        """The seed that it was trained with."""
        return int(self.started.data.tags["seed"])

    @property
    def bank(self) -> str:
        """The bank whose model or test rows it is about, in a study of several; else empty."""
        return str(self.started.data.tags.get("bank", ""))

    def reopen(self) -> None:
        """Go on with a run that broke off; its lines on quality and cost are added when it ends."""
        super().reopen()
        self.describe("")

    def log_round(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log one point of each curve, such as {"valid.auc": 0.81}, in one batch; `step` is the round.

        Raises ValueError for a name without a dot, since those belong to the final metrics, which have no steps.
        """
        if bare := [name for name in metrics if "." not in name]:
            raise ValueError(f"a curve needs a dotted name such as valid.auc, not {', '.join(bare)}")
        self.log_metrics(metrics, step)

    def log_evaluation(self, evaluation: Evaluation) -> None:
        """Log the final metrics, the figures and the tables of the contender."""
        self.log_final_metrics(evaluation.metrics)
        tables = {name: pd.DataFrame(dict(table)) for name, table in evaluation.tables.items()}
        tables["metrics"] = pd.DataFrame(evaluation.metrics.items(), columns=["metric", "value"])
        drawn = {name: draw(self.contender, evaluation) for name, draw in figures.FIGURES.items()}
        self.log_files(drawn, tables, model_card.files(self.contender, evaluation))
        self._add_line(quality_line(self.contender, evaluation.metrics))
        if "members" in evaluation.tables:
            self._add_line(members_line(evaluation.tables["members"]))
        if "recalibration" in evaluation.tables:
            self._add_line(recalibration_line(evaluation.tables["recalibration"]))

    def log_costs(self, costs: Mapping[str, float]) -> None:
        """Log what training took.

        costs has round_trips, bytes_up to the coordinator, bytes_down to the parties, wall seconds, cpu_seconds, and
        for the table whatever finer split of these there is.
        """
        costs = {**costs, "megabytes": (costs["bytes_up"] + costs["bytes_down"]) / 1e6}
        self.log_final_metrics(costs)
        self.log_files({}, {"costs": pd.DataFrame([costs])})
        self._add_line(cost_line(costs))

    def _add_line(self, line: str) -> None:
        self.describe(f"{self._description()}\n\n{line}".strip())


def quality_line(contender: str, metrics: Mapping[str, float]) -> str:
    """How good a contender is; metrics are those of `fl.evaluation.Evaluation`."""
    return (
        f"**{contender}: AUC {metrics['auc']:.3f}** (95 % interval {metrics['auc_low']:.3f} to "
        f"{metrics['auc_high']:.3f}), Gini {metrics['gini']:.3f}, KS {metrics['ks']:.3f}, "
        f"Brier {metrics['brier']:.4f}."
    )


def members_line(members: Columns) -> str:
    """What a blend is made of; members is its table of an evaluation."""
    pairs = zip(members["member"], members["weight"], strict=True)
    return f"A blend of {', '.join(f'{member} (weight {weight:.2f})' for member, weight in pairs if weight)}."


def recalibration_line(recalibration: Columns) -> str:
    """How a bank has corrected the log odds of a model; recalibration is its table of an evaluation."""
    slope, intercept = (float(recalibration[name][0]) for name in ("slope", "intercept"))
    if (slope, intercept) == (1.0, 0.0):
        return "The bank's own rows do not speak for a recalibration, so there is none."
    return (
        f"The bank has recalibrated the log odds: {slope:.3f} times those of the model of all banks, "
        f"{intercept:+.3f}."
    )


def cost_line(costs: Mapping[str, float]) -> str:
    """What training took; costs has round_trips, megabytes, seconds and cpu_seconds."""
    return (
        f"Trained in {costs['seconds']:.0f} s ({costs['cpu_seconds']:.0f} s of CPU) with "
        f"{costs['round_trips']:,.0f} round trips and {costs['megabytes']:.1f} MB moved."
    )
