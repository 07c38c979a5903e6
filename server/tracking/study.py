"""The study in MLflow. Only this module, `tracked_run` and `registry` talk to it.

One experiment per study, one parent run per invocation, one nested child run per contender and seed. All
children carry the same metric names and the same artefact paths, so that any two can be compared in the
browser. The coordinator of a Flower run logs children into a parent that another process has started (`Study.attach`).

What is logged:

- metrics: the final ones of `FINAL_METRICS`, without a dot in their names; stepped curves such as
  `valid.auc`;
- artefacts: `figures/<name>.png` and `tables/<name>.json`; in the parent those of all contenders together; of a
  scorecard its `model_card.md` and `model_card.html`;
- descriptions: the result in the experiment, which heads each of its pages, the comparison in the parent, two
  lines in each child.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import pandas as pd
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Param

from experiments.comparison import overlays, summary
from fl.config.run import RunConfig
from fl.evaluation import Evaluation
from server.tracking import drawing, leaderboard
from server.tracking.provenance import DatasetFacts, code_version
from server.tracking.tracked_run import NOTE, SOURCE, ContenderRun, Status, TrackedRun

_PARENT = "mlflow.parentRunId"


class Study(TrackedRun):
    """The parent run of one invocation, and the way to its children."""

    def log_measurement(self, metrics: Mapping[str, float]) -> None:
        """Log what a benchmark measured, which has no contenders."""
        self._log_metrics(metrics)

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
        tags = {"study": name, SOURCE: "siloscore", "world": world, "git": code_version()}
        run = client.create_run(
            experiment_id(client, uri, experiment),
            run_name=name,
            tags={tag: value for tag, value in tags.items() if value is not None},
        )
        study = cls(client, run)
        client.log_batch(study.run_id, params=_params(params or {}))
        if dataset is not None:
            client.log_inputs(study.run_id, [_dataset_input(dataset)])
        client.set_experiment_tag(study.experiment_id, leaderboard.TAG, leaderboard.view_state(study.run_id))
        return cls.attach(uri, study.run_id)

    @classmethod
    def attach(cls, uri: str, run_id: str) -> Self:
        """Attach to a parent run that another process has started, to add contenders to it."""
        client = MlflowClient(uri)
        return cls(client, client.get_run(run_id))

    def contender(self, name: str, seed: int, params: Mapping[str, Any] | None = None) -> ContenderRun:
        """Start the child run of contender `name` with `seed`; world, code and dataset are the study's."""
        inherited = {tag: value for tag, value in self._started.data.tags.items() if tag in ("world", "git")}
        tags = {
            _PARENT: self.run_id,
            SOURCE: "siloscore",
            "contender": name,
            "seed": str(seed),
            "mlflow.runColor": drawing.colour(name),
        }
        run = self.client.create_run(
            self.experiment_id, run_name=f"{name} · seed {seed}", tags=inherited | tags
        )
        self.client.log_batch(
            run.info.run_id, params=_params({"contender": name, "seed": seed} | dict(params or {}))
        )
        if (inputs := self._started.inputs) is not None and inputs.dataset_inputs:
            self.client.log_inputs(run.info.run_id, inputs.dataset_inputs)
        return ContenderRun(self.client, run)

    def children(self) -> list[ContenderRun]:
        """The study's child runs, oldest first, whichever process has started them."""
        found = self.client.search_runs(
            [self.experiment_id],
            f"tags.`{_PARENT}` = '{self.run_id}'",
            order_by=["attributes.start_time ASC"],
            max_results=1000,
        )
        return [ContenderRun(self.client, run) for run in found]

    def summarise(self, comparison: pd.DataFrame, evaluations: Mapping[str, Evaluation]) -> None:
        """Log the comparison to the parent and its headline to the experiment.

        `comparison` is as in `experiments.comparison.summary` and becomes the parent's name, description, metrics (the
        winner's) and table; `evaluations`, one for each contender to be drawn, become its figures. Each child
        gets its uplift of AUC over the baseline of the same seed.
        """
        said = summary.headline(comparison)
        described = summary.study_description(self._started.data.tags["study"], comparison)
        self._log_final(summary.winner(comparison).to_dict())
        children = self.children()
        _log_uplifts(children, summary.baseline_of(comparison["contender"]))
        drawn = {
            "auc": overlays.auc_bars(comparison, said),
            "roc": overlays.roc_overlay(evaluations),
            "calibration": overlays.calibration_overlay(evaluations),
            "gain": overlays.gain_overlay(evaluations),
        }
        if curves := self._curves(children, "valid.auc"):
            drawn["training"] = overlays.training_curves(curves, "validation AUC")
        self.publish(said, described, drawn, {"comparison": comparison})

    def publish(
        self, said: str, described: str, drawn: Mapping[str, Figure], tables: Mapping[str, pd.DataFrame]
    ) -> None:
        """Name the parent run by its result, describe it and the experiment, and log figures and tables to it."""
        self.client.update_run(self.run_id, name=said)
        self.client.set_tag(self.run_id, NOTE, described)
        self.client.set_experiment_tag(self.experiment_id, NOTE, described)
        self._log_files(drawn, tables)

    def name_children(self, tag: str, value: str) -> None:
        """Tell the children that do not have the tag yet apart by it, and by their names."""
        for child in self.children():
            if tag not in child._started.data.tags:
                self.client.set_tag(child.run_id, tag, value)
                self.client.update_run(child.run_id, name=f"{child._started.info.run_name} · {value}")

    def adopt(self, run_id: str) -> None:
        """Nest another study's run below this one."""
        self.client.set_tag(run_id, _PARENT, self.run_id)

    def report(
        self,
        text: str,
        metrics: Mapping[str, float],
        drawn: Mapping[str, Figure],
        tables: Mapping[str, pd.DataFrame],
        pages: Iterable[Path],
    ) -> None:
        """Log a report on the studies below this one; its text, in Markdown, describes this run and the experiment.

        What `siloscore ui` opens on is then this run's leaderboard of those studies.
        """
        self.client.set_tag(self.run_id, NOTE, text)
        self.client.set_experiment_tag(self.experiment_id, NOTE, text)
        self.client.set_experiment_tag(
            self.experiment_id, leaderboard.TAG, leaderboard.view_state(self.run_id)
        )
        self._log_metrics(metrics)
        self._log_files(drawn, tables)
        for page in pages:
            self.client.log_artifact(self.run_id, str(page))

    def _curves(self, children: list[ContenderRun], metric: str) -> dict[str, list[tuple[int, float]]]:
        """The stepped `metric` of each contender that has one, of its first seed."""
        curves: dict[str, list[tuple[int, float]]] = {}
        for child in children:
            if child.contender not in curves and metric in child._started.data.metrics:
                history = self.client.get_metric_history(child.run_id, metric)
                curves[child.contender] = [(point.step, point.value) for point in history]
        return curves

    def finish(self, status: Status = "FINISHED", error: BaseException | str | None = None) -> None:
        """End the study, and as FAILED every child that a process left running when it died."""
        for child in self.children():
            if child._started.info.status == "RUNNING":
                child.finish("FAILED", "The study ended before this run did.")
        super().finish(status, error)


def _log_uplifts(children: list[ContenderRun], baseline: str | None) -> None:
    """Log `uplift_auc` to each child whose seed has a baseline."""
    auc = {(c.contender, c._started.data.tags["seed"]): c._started.data.metrics.get("auc") for c in children}
    for child in children:
        seed = child._started.data.tags["seed"]
        own, base = auc[child.contender, seed], auc.get((baseline, seed))
        if own is not None and base is not None and child.contender != baseline:
            child._log_final({"uplift_auc": own - base})


def store_uri(config: RunConfig) -> str:
    """MLflow's tracking URI."""
    return config.tracking_uri or f"sqlite:///{config.data_folder / 'mlflow.db'}"


def experiment_id(client: MlflowClient, uri: str, name: str) -> str:
    """Id of the experiment called `name`, made with its artefacts beside a local store if there is none."""
    if (known := client.get_experiment_by_name(name)) is not None:
        return str(known.experiment_id)
    location = None
    if uri.startswith("sqlite:///"):
        location = (Path(uri.removeprefix("sqlite:///")).resolve().parent / "mlartifacts" / name).as_uri()
    return str(client.create_experiment(name, artifact_location=location))


def _dataset_input(facts: DatasetFacts) -> DatasetInput:
    """The facts in MLflow's terms; its own dataset classes would read the data to make a digest."""
    source, profile = json.dumps({"uri": facts.source}), json.dumps({"rows": facts.rows})
    dataset = Dataset(facts.name, facts.digest, "local", source, profile=profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "study")])


def _params(params: Mapping[str, Any]) -> list[Param]:
    return [Param(name, str(value)) for name, value in params.items()]
