"""A study: federated contenders in one Flower run, then what only an experiment can train, all judged alike.

The federated contenders are logged to MLflow by their coordinator, the others here, under the same parent run and
evaluated by the same code on the same rows. A contender that cannot be trained does not keep the others from it.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory
from typing import Self

import pandas as pd

from experiments.backends import open_backend, with_journal
from experiments.baselines.training import Floats
from experiments.comparison.banks import compare_banks
from experiments.comparison.doubts import doubt
from experiments.comparison.publishing import publish_comparison
from experiments.comparison.result import Result
from experiments.comparison.results import compare
from experiments.comparison.summary import failures_in_words
from experiments.contenders import Trainer, all_contenders, read_parts
from experiments.dataset import Dataset, open_dataset
from experiments.estimate.kept import compared
from experiments.failures import EXPECTED, StudyError, sentence
from experiments.joined import Joined, has_truth
from fl.blend import with_members
from fl.config.blend import BlendConfig
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from fl.evaluation import Evaluation
from fl.protocols import VERTICAL, federated_contenders
from fl.splits import Roles
from server.coordinator import new_study_name
from server.journal import Journal
from server.progress import Progress, Report, ignore
from server.tracking.study import Study


@dataclass(frozen=True, kw_only=True)
class FinishedStudy:
    """A finished study: its results, the comparison, and where MLflow has it.

    failures has the reason of each contender that failed under a seed; results and comparison are without it. doubts
    are sentences on the other models. of_banks compares on each of several banks (`comparison.banks.compare_banks`).
    For who wants more than the test rows, `joined` is the table of all rows, `roles` (n,) by seed are their parts, and
    `pds` (n,) by contender and seed their PDs.
    """

    results: list[Result]
    comparison: pd.DataFrame
    of_banks: pd.DataFrame
    failures: Mapping[str, str]
    doubts: list[str]
    experiment_id: str
    run_id: str
    joined: Joined
    roles: dict[int, Roles]
    pds: dict[tuple[str, int], Floats]

    @property
    def evaluations(self) -> Mapping[str, Evaluation]:
        """The evaluation of every contender under its first seed, in the order of the comparison."""
        first = {result.contender: result.evaluation for result in reversed(self.results) if not result.bank}
        return {name: first[name] for name in self.comparison["contender"]}

    def complete(self) -> Self:
        """The same study. Raises StudyError when a contender has failed."""
        if self.failures:
            raise StudyError(" ".join(failures_in_words(self.failures)))
        return self


def run_study(
    dataset: Dataset,
    config: TrainingConfig,
    contenders: tuple[str, ...],
    backend: str = "inline",
    report: Report = ignore,
    is_resumed: bool = False,
) -> FinishedStudy:
    """Train and compare the contenders under every seed of the configuration.

    backend is a name among `experiments.backends.BACKENDS`, and report hears where the study stands. A blend that would
    have fewer than two members gets them all (`fl/blend.py`). `true-pd` is left out where the dataset has no truth. A
    contender that is refused ends as failed in MLflow, and the study goes on with the others. Raises ConfigError for an
    unknown contender, a repeated one or none, StudyError when all contenders fail, and whatever the backend raises when
    the federation fails; the MLflow runs then end as failed. Where the configuration names a journal, as in deployment,
    a study that broke off can be resumed by the same configuration: what the federation has done is not done again.
    """
    check_contenders(contenders, dataset.layout)
    contenders = with_members(contenders, config.section(BlendConfig).members)
    check_contenders(contenders, dataset.layout)
    if not has_truth(dataset.folder):
        contenders = tuple(name for name in contenders if name != "true-pd")
    if not contenders:
        raise ConfigError(f"{dataset.folder} has no true PD, and no other contender is asked for.")
    federated = tuple(name for name in contenders if name in federated_contenders())
    config = with_journal(replace(config, contenders=contenders), backend)
    with (
        open_backend(backend, len(dataset.parties)) as run_federation,
        start_study(config, dataset, is_resumed) as study,
    ):
        run, events = replace(config, contenders=federated, parent_run=study.run_id), list[Progress]()

        def hear(event: Progress) -> None:
            events.append(event)
            report(event)

        run_federation(run, hear)
        parts = read_parts(run, dataset)
        results, pds, failures = list[Result](), {}, dict[str, str]()
        for seed in config.seeds:
            trainer = Trainer(
                study=study, config=config, run=run, parts=parts, seed=seed, events=events, report=report
            )
            for name in contenders:
                try:
                    trained, judged = trainer.train(name)
                except EXPECTED as error:
                    failures.setdefault(name, sentence(error))
                    if name not in federated:
                        report(Progress(name, seed, failure=str(error)))
                    continue
                results += judged
                pds[name, seed] = trained.pd
        if len(failures) == len(contenders):
            raise StudyError(_all_failed(failures))
        results = [result for result in results if result.contender not in failures]
        kept = {key: of_rows for key, of_rows in pds.items() if key[0] not in failures}
        doubts = _doubts(kept, parts.whole.joined)
        finished = FinishedStudy(
            results=results,
            comparison=compare(results),
            of_banks=compare_banks(results),
            failures=failures,
            doubts=doubts,
            experiment_id=study.experiment_id,
            run_id=study.run_id,
            joined=parts.whole.joined,
            roles=dict(parts.whole.roles),
            pds=pds,
        )
        tables = {}
        if dataset.layout == VERTICAL and not (estimated := compared(dataset, run, results, backend)).empty:
            tables = {"estimate": estimated}
        publish_comparison(
            study, finished.comparison, finished.evaluations, failures, doubts, tables, finished.of_banks
        )
    if not failures:
        with closing(Journal(config.journal, config.study, config.keep_studies)) as journal:
            journal.remove()
    report(Progress("done"))
    return finished


def resume_study(config: TrainingConfig, backend: str, report: Report = ignore) -> FinishedStudy:
    """Go on with a study that broke off, by its own configuration (`server.tracking.registry.find_broken_off`).

    Raises what `run_study` raises, and FederationError when the parties' states or the journal do not allow it.
    """
    dataset = open_dataset(config.data_folder, config.parties)
    return run_study(dataset, config, config.contenders, backend, report, is_resumed=True)


def run_unkept(
    dataset: Dataset, config: TrainingConfig, contenders: tuple[str, ...], report: Report = ignore
) -> FinishedStudy:
    """`run_study` in this process, of which only the result stays: states and MLflow store are gone afterwards.

    Raises StudyError when a contender fails, and what `run_study` raises.
    """
    with TemporaryDirectory(prefix="siloscore-") as folder:
        config = replace(
            config,
            data=str(dataset.folder),
            parties=dataset.parties,
            study=new_study_name(str(dataset.folder)),
            state=f"{folder}/state",
            tracking_uri=f"sqlite:///{folder}/mlflow.db",
        )
        return run_study(dataset, config, contenders, "inline", report).complete()


def start_study(config: TrainingConfig, dataset: Dataset, is_resumed: bool = False) -> Study:
    """The MLflow run of a study or ablation, above those of its contenders."""
    return Study.start(
        config.tracking_uri,
        config.experiment,
        config.study,
        params=config.to_mapping(),
        world=dataset.world or None,
        dataset=dataset.facts,
        is_resumed=is_resumed,
    )


def check_contenders(names: tuple[str, ...], layout: str = VERTICAL) -> None:
    """Raises ConfigError for a repeated contender, and for one that data of this layout do not have."""
    known = all_contenders(layout)
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"There is no contender {unknown[0]!r}; there are {', '.join(known)}.")
    if len(set(names)) < len(names):
        raise ConfigError(f"Each contender can stand only once: {', '.join(names)}.")


def _doubts(pds: Mapping[tuple[str, int], Floats], joined: Joined) -> list[str]:
    """What there is to doubt of the models with these PDs (n,), each sentence once for all seeds."""
    blocks = joined.blocks or {"": slice(None)}
    sentences = (
        doubt(name, of_rows[rows], joined.unknown[rows], bank)
        for (name, _), of_rows in pds.items()
        for bank, rows in blocks.items()
    )
    return list(dict.fromkeys(filter(None, sentences)))


def _all_failed(failures: Mapping[str, str]) -> str:
    """Why there is no model at all: the bare reason if there is but one contender."""
    return " ".join(failures_in_words(failures) if len(failures) > 1 else failures.values())
