"""Trained contenders in MLflow: registered as model versions, looked up, and linked with the runs that score by them.

A registered version holds no weights, since those stay with the parties. It points to the run that trained the model,
and its tags say which study, contender and seed a scoring run has to name to the parties.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from fl.config.run import ScoringConfig, TrainingConfig, from_texts
from fl.errors import ConfigError
from fl.escaping import markdown
from fl.protocols import federated_contenders
from fl.scoring import Answered
from fl.studies import sub_study
from server.tracking.provenance import code_version
from server.tracking.study import PARENT, find_study, open_experiment, store_uri
from server.tracking.tracked_run import ContenderRun, TrackedRun

TRAINED_BY, SCORED_BY = "trained_run", "scoring_runs"
"""Tags: a scoring run names the run that trained its model, and that one names the scoring runs, latest first."""

_DESCRIPTION = (
    "No weights are here: each party keeps its part of the model, under the study, contender and seed in the tags. "
    "`siloscore score --run {run_id}` scores applicants by it; the run has its evaluation."
)
_REMEMBERED = 20
SCORING = "scoring"
"""The tag `kind` of a run that scores applicants."""


@dataclass(frozen=True)
class TrainedModel:
    """A federated contender in MLflow, and the settings under which it was trained.

    bank is the one of several that scores by it, by its name in the federation, from its sub-study.
    """

    run_id: str
    contender: str
    seed: int
    config: TrainingConfig
    bank: str = ""

    @property
    def name(self) -> str:
        """What `ScoringConfig.model` calls it."""
        study = sub_study(self.config.study, self.bank) if self.bank else self.config.study
        return f"{study}/{self.contender}/{self.seed}"


def register(run: ContenderRun, config: TrainingConfig) -> None:
    """Register a finished contender as a version of the experiment's model of that name."""
    client, experiment = run.client, run.client.get_experiment(run.experiment_id)
    name = f"{experiment.name}-{run.contender}".replace("/", "-").replace(":", "-")
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    if client.search_model_versions(f"name = '{name}' and run_id = '{run.run_id}'"):
        return  # by a coordinator that died afterwards
    client.create_model_version(
        name,
        source=client.get_run(run.run_id).info.artifact_uri,
        run_id=run.run_id,
        tags={"study": config.study, "contender": run.contender, "seed": str(run.seed), "run_id": run.run_id},
        description=_DESCRIPTION.format(run_id=run.run_id),
    )


def find_model(uri: str, words: str) -> TrainedModel:
    """The model trained by a run; `words` are the run's id, or STUDY/CONTENDER or STUDY/CONTENDER/SEED.

    Raises ConfigError when there is no such run, when its contender is not federated, and when several runs fit.
    """
    client = MlflowClient(uri)
    runs = _runs(client, words)
    if not runs:
        raise ConfigError(
            f"There is no finished run {words!r} in this store; name a run of a federated contender by its id, or as "
            "STUDY/CONTENDER or STUDY/CONTENDER/SEED."
        )
    if len(runs) > 1:
        seeds = ", ".join(sorted(run.data.tags["seed"] for run in runs))
        raise ConfigError(f"{words!r} was trained under the seeds {seeds}; name one: {words}/SEED.")
    (run,) = runs
    contender = run.data.tags.get("contender", "")
    if contender not in federated_contenders():
        raise ConfigError(
            f"Run {words!r} is no federated contender ({contender or 'none'}): nobody keeps its model."
        )
    return TrainedModel(
        run.info.run_id, contender, int(run.data.tags["seed"]), from_texts(run.data.params, TrainingConfig)
    )


def find_training(uri: str, words: str) -> TrainingConfig:
    """The configuration of a study; `words` are its name, or the id of its MLflow run.

    Raises ConfigError when there is no such study.
    """
    _, config = _study(uri, words)
    if not isinstance(config, TrainingConfig):
        raise ConfigError(f"The run {words!r} scores applicants, and has trained no model.")
    return config


def find_broken_off(uri: str, words: str) -> TrainingConfig | ScoringConfig:
    """The configuration of a run that can go on; `words` are the id of its MLflow run, or the name of its study.

    Raises ConfigError when there is no such run, when it has ended well, and when it has no journal. A study of which a
    contender has failed has its journal still, and goes on with that.
    """
    run, config = _study(uri, words)
    has_journal = bool(config.journal) and (Path(config.journal) / config.study).exists()
    if run.info.status == "FINISHED" and not has_journal:
        raise ConfigError(f"The study {config.study} has come to its end; there is nothing to resume.")
    if not config.journal:
        raise ConfigError(
            f"The study {config.study} cannot be resumed, since it has no journal: the setting `journal` names a "
            "folder for it. Studies with --backend deployment have one."
        )
    return config


def _study(uri: str, words: str) -> tuple[Run, TrainingConfig | ScoringConfig]:
    """The run of a study, or of a scoring run, by its name or the id of its MLflow run, and its configuration."""
    client, named = MlflowClient(uri), words.replace("'", "")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = [
        run
        for what in ("attributes.run_id", "tags.study")
        for run in client.search_runs(experiments, f"{what} = '{named}'")
        if PARENT not in run.data.tags
    ]
    if not runs:
        raise ConfigError(f"There is no study {words!r} in this store; name it, or the id of its MLflow run.")
    params, is_scoring = runs[0].data.params, runs[0].data.tags.get("kind") == SCORING
    return runs[0], from_texts(params, ScoringConfig) if is_scoring else from_texts(params, TrainingConfig)


def _runs(client: MlflowClient, words: str) -> list[Run]:
    """The run of an id, or the finished runs of a study and contender, on the rows of all banks."""
    study, *names = words.replace("'", "").split("/")
    wanted = [f"attributes.run_id = '{study}'"]
    if names:
        wanted = [f"params.study = '{study}'", "attributes.status = 'FINISHED'"]
        wanted += [f"tags.{tag} = '{name}'" for tag, name in zip(("contender", "seed"), names, strict=False)]
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, " and ".join(wanted))
    return [run for run in runs if not (names and "bank" in run.data.tags)]


class ScoringRun(TrackedRun):
    """One scoring of applicants: a run beside those of the study that logs only counts and costs."""

    @classmethod
    def start(cls, config: ScoringConfig, is_resumed: bool = False) -> Self:
        """Start the run in the experiment of the training, and link each run to the other by a tag.

        If it is resumed, go on with the one that there is.
        """
        uri, trained = store_uri(config), None
        if config.model_run:
            client = MlflowClient(uri)
            trained = client.get_run(config.model_run)
            experiment_id = str(trained.info.experiment_id)
        else:
            client, experiment_id = open_experiment(uri, config.experiment)
        if is_resumed and (earlier := find_study(client, experiment_id, config.study)):
            run = cls(client, earlier)
            run.reopen()
            return run
        run = cls.create(
            client,
            experiment_id,
            f"scoring by {config.model}",
            {
                "kind": SCORING,
                "study": config.study,
                "model": config.model,
                TRAINED_BY: config.model_run,
                "git": code_version(),
            },
            config.to_mapping(),
        )
        if trained:
            others = trained.data.tags.get(SCORED_BY, "").split()
            client.set_tag(config.model_run, SCORED_BY, " ".join([run.run_id, *others][:_REMEMBERED]))
        return run

    def log(self, answered: Answered, absent: tuple[str, ...], costs: Mapping[str, Any]) -> None:
        """Log how many applicants were scored by which model, how many of them each party knows, and the costs."""
        self.log_metrics({"applicants": answered.applicants, "by_both": answered.by_both, **costs})
        # As a table, since a party's name may have characters that MLflow does not allow in that of a metric.
        self.log_files({}, {"known": pd.DataFrame(answered.known.items(), columns=["party", "applicants"])})
        self.client.set_tag(self.run_id, "answered_by", answered.model)
        without = f"; absent: {markdown(', '.join(absent))}" if absent else ""
        both = f" The bank's own model had a say on the {answered.by_both:,} known to no passive party, too."
        self.describe(
            f"**{answered.applicants:,} applicants scored by {markdown(answered.model)}**{without}."
            f"{both if answered.by_both else ''} The scores are at the bank."
        )
