"""The run of a study in MLflow, above those of its contenders.

An experiment holds one parent run per invocation, and below it one child run per contender and seed. All children carry
the same metric names and the same artefact paths, so that any two can be compared in the browser. The coordinator of a
Flower run logs children below a parent that another process has started (`Study.attach`).

What is logged:

- metrics: those of `FINAL_METRICS`, without a dot in their names, and curves over the rounds such as `valid.auc`;
- artefacts: `figures/<name>.png` and `tables/<name>.json`; of a scorecard its `model_card.md` and `model_card.html`;
- descriptions: of a child two lines, on its quality and its cost; of the parent a sentence on how the parties knew that
  they were who they say.

What stands in the parent run is the business of whoever has started it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Run

from fl.config.run import RunConfig
from server.tracking import drawing, leaderboard
from server.tracking.provenance import DatasetFacts, code_version
from server.tracking.tracked_run import ContenderRun, Status, TrackedRun

_LOCAL = "sqlite:///"
PARENT = "mlflow.parentRunId"
"""The tag by which MLflow nests a run below another."""
IDENTITIES = "identities"
"""The tag that says how the parties came to know each other's public keys."""
PINNED, FIRST_USE = "pinned", "exchanged at first use"
"""Its values."""
_IDENTITIES = {
    PINNED: "Every party knew the public keys of the others before the run, from its own `party.toml`.",
    FIRST_USE: (
        "Not every party knew the public keys of the others before the run: the coordinator passed them on, and could "
        "have put others in their place."
    ),
}


class Study(TrackedRun):
    """The parent run of one invocation, and the way to its children; of a resumed one, to those that there are."""

    is_resumed = False

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
        is_resumed: bool = False,
    ) -> Self:
        """Start a parent run called `name` in the experiment, which is made if there is none.

        uri is MLflow's tracking URI. Artefacts of a local store, `sqlite:////absolute/path/mlflow.db`, go to the
        folder `mlartifacts` beside it, whatever folder a process runs in. params are logged as they are; world is the
        name of a simulated one, and dataset says what the contenders are trained on. If the study is resumed, its run
        goes on; one that died before it had made its run gets one.
        """
        client, experiment_id = open_experiment(uri, experiment)
        if is_resumed and (earlier := find_study(client, experiment_id, name)):
            study = cls.attach(uri, earlier.info.run_id, is_resumed)
            study.reopen()
            return study
        tags = {"study": name, "world": world, "git": code_version()}
        study = cls.create(client, experiment_id, name, tags, params)
        if dataset is not None:
            client.log_inputs(study.run_id, [_dataset_input(dataset)])
        study.lead()
        return cls.attach(uri, study.run_id)

    @classmethod
    def attach(cls, uri: str, run_id: str, is_resumed: bool = False) -> Self:
        """Attach to a parent run that another process has started, to add contenders to it."""
        client = MlflowClient(uri)
        study = cls(client, client.get_run(run_id))
        study.is_resumed = is_resumed
        return study

    def contender(
        self,
        name: str,
        seed: int,
        params: Mapping[str, Any] | None = None,
        bank: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> ContenderRun:
        """Start the child run of a contender under a seed, with the world, code version and dataset of the study.

        bank is the one whose model or test rows it is about, in a study of several, and tags are more of them. In a
        resumed study, go on with the run that there is.
        """
        every: dict[str, str | None] = {
            **(tags or {}),
            **{tag: self.started.data.tags.get(tag) for tag in ("world", "git")},
            PARENT: self.run_id,
            "contender": name,
            "seed": str(seed),
            "bank": bank or None,
            "mlflow.runColor": drawing.colour(name),
        }
        told = {"contender": name, "seed": seed, **(params or {})}
        if self.is_resumed:
            for earlier in self.children():
                if (earlier.contender, earlier.seed, earlier.bank) == (name, seed, bank):
                    earlier.reopen()
                    return earlier
        title = " · ".join(filter(None, [name, bank, f"seed {seed}"]))
        run = ContenderRun.create(self.client, self.experiment_id, title, every, told)
        if (inputs := self.started.inputs) is not None and inputs.dataset_inputs:
            self.client.log_inputs(run.run_id, inputs.dataset_inputs)
        return run

    def children(self) -> list[ContenderRun]:
        """The study's child runs, oldest first, whichever process has started them."""
        runs = self.client.search_runs(
            [self.experiment_id],
            f"tags.`{PARENT}` = '{self.run_id}'",
            order_by=["attributes.start_time ASC"],
            max_results=1000,
        )
        return [ContenderRun(self.client, run) for run in runs]

    def mark_identities(self, pinned: bool) -> None:
        """Note whether every party's `party.toml` named the public keys of the others, by a tag and in a sentence."""
        self.client.set_tag(self.run_id, IDENTITIES, PINNED if pinned else FIRST_USE)
        self.describe(self._description())

    def describe(self, text: str) -> None:
        """Set the description, to which a sentence on the parties' identities is added once they are known."""
        said = _IDENTITIES.get(self.client.get_run(self.run_id).data.tags.get(IDENTITIES, ""), "")
        super().describe(text if said in text else f"{text}\n\n{said}".strip())

    def lead(self, metrics: tuple[str, ...] = leaderboard.METRICS) -> None:
        """Make this study the one whose children the experiment's leaderboard shows, with these metrics."""
        self.client.set_experiment_tag(
            self.experiment_id, leaderboard.TAG, leaderboard.view_state(self.run_id, metrics)
        )

    def finish(self, status: Status = "FINISHED", error: BaseException | str | None = None) -> None:
        """End the study, and as FAILED every child that a process left running when it died."""
        for child in self.children():
            if child.started.info.status == "RUNNING":
                child.finish("FAILED", "The study ended before this run did.")
        super().finish(status, error)


def find_study(client: MlflowClient, experiment_id: str, name: str) -> Run | None:
    """The run of the study of that name in an experiment, above those of its contenders."""
    runs = client.search_runs([experiment_id], f"tags.study = '{name}'")
    return next((run for run in runs if PARENT not in run.data.tags), None)


def store_uri(config: RunConfig) -> str:
    """MLflow's tracking URI."""
    return config.tracking_uri or f"sqlite:///{config.data_folder / 'mlflow.db'}"


def open_experiment(uri: str, name: str) -> tuple[MlflowClient, str]:
    """A client of the store, and the id of the experiment called `name`; either is made if there is none.

    A local store has its artefacts beside it. Of several processes that open a new one at the same time, one makes it.
    """
    store = local_store(uri)
    if store is None:
        client = MlflowClient(uri)
        return client, _experiment_id(client, name, None)
    store.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{store}.lock"):
        client = MlflowClient(uri)
        return client, _experiment_id(client, name, (store.parent / "mlartifacts" / name).as_uri())


def local_store(uri: str) -> Path | None:
    """The database file of a store on this machine; None for a store behind an address."""
    return Path(uri.removeprefix(_LOCAL)).resolve() if uri.startswith(_LOCAL) else None


def _experiment_id(client: MlflowClient, name: str, location: str | None) -> str:
    if (experiment := client.get_experiment_by_name(name)) is not None:
        return str(experiment.experiment_id)
    return str(client.create_experiment(name, artifact_location=location))


def _dataset_input(facts: DatasetFacts) -> DatasetInput:
    """The facts in MLflow's terms; MLflow's own dataset classes would read the data to make a digest."""
    written = {"files": facts.files, "changed": facts.changed} if facts.files else {}
    source, profile = json.dumps({"uri": facts.source}), json.dumps({"rows": facts.rows, **written})
    dataset = Dataset(facts.name, facts.digest, "local", source, profile=profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "study")])
