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
from experiments.baselines import twins
from experiments.baselines.training import YARDSTICKS, Baselines, Floats, Reserve, Trained
from experiments.comparison.doubts import doubt
from experiments.comparison.publishing import publish_comparison
from experiments.comparison.results import Result, compare
from experiments.comparison.summary import failures_in_words
from experiments.dataset import Dataset, open_dataset
from experiments.estimate import compared
from experiments.failures import EXPECTED, StudyError, sentence
from experiments.joined import Joined, has_truth, read_joined, read_roles, read_scores
from fl.blend import with_members
from fl.config.blend import BlendConfig
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from fl.evaluation import Evaluation
from fl.evaluation.measures import evaluate
from fl.protocols import federated_contenders
from fl.reserve import RESERVE
from fl.splits import TEST, Roles
from server.coordinator import new_study_name
from server.exchange import FederationError
from server.journal import Journal
from server.progress import Progress, Report, ignore
from server.tracking.study import Study


def all_contenders() -> tuple[str, ...]:
    """Every contender that a study can have, in the order of its table."""
    alone, pooled = ([f"{owner}-{name}" for name in twins()] for owner in ("bank-only", "pooled"))
    return (*alone, *federated_contenders(), *pooled, *YARDSTICKS)


@dataclass(frozen=True, kw_only=True)
class FinishedStudy:
    """A finished study: its results, the comparison, and where MLflow has it.

    failures has the reason of each contender that failed under a seed; results and comparison are without it. doubts
    are sentences on the other models. For who wants more than the test rows, `joined` is the table of all rows, `roles`
    (n,) by seed are their parts, and `pds` (n,) by contender and seed their PDs.
    """

    results: list[Result]
    comparison: pd.DataFrame
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
        first = {result.contender: result.evaluation for result in reversed(self.results)}
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
    check_contenders(contenders)
    contenders = with_members(contenders, config.section(BlendConfig).members)
    check_contenders(contenders)
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
        joined = read_joined(run, dataset.holder)
        roles = {seed: read_roles(run, dataset.holder, seed) for seed in config.seeds}
        results, pds, failures = list[Result](), {}, dict[str, str]()
        for seed, of_seed in roles.items():
            baselines = Baselines(joined, of_seed, seed, config, _reserve(run, dataset.holder, seed, events))
            for name in contenders:
                try:
                    if name in federated:
                        trained = _federated(run, dataset.holder, name, seed, events)
                        result = _judged(joined, of_seed, trained, name, seed)
                    else:
                        report(Progress(name, seed))
                        one = replace(config, contenders=(name,), seeds=(seed,))
                        trained, result = _train(study, one, baselines, joined, of_seed)
                except EXPECTED as error:
                    failures.setdefault(name, sentence(error))
                    if name not in federated:
                        report(Progress(name, seed, failure=str(error)))
                    continue
                results.append(result)
                pds[name, seed] = trained.pd
        if len(failures) == len(contenders):
            raise StudyError(_all_failed(failures))
        results = [result for result in results if result.contender not in failures]
        doubts = _doubts({key: of_rows for key, of_rows in pds.items() if key[0] not in failures}, joined)
        finished = FinishedStudy(
            results=results,
            comparison=compare(results),
            failures=failures,
            doubts=doubts,
            experiment_id=study.experiment_id,
            run_id=study.run_id,
            joined=joined,
            roles=roles,
            pds=pds,
        )
        # How far off the formulas were costs some hundredths of a second to say; `compare --estimate` says the rest.
        tables = {} if (estimated := compared(dataset, run, results)).empty else {"estimate": estimated}
        publish_comparison(study, finished.comparison, finished.evaluations, failures, doubts, tables)
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


def check_contenders(names: tuple[str, ...]) -> None:
    """Raises ConfigError for an unknown contender or a repeated one."""
    known = all_contenders()
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"There is no contender {unknown[0]!r}; there are {', '.join(known)}.")
    if len(set(names)) < len(names):
        raise ConfigError(f"Each contender can stand only once: {', '.join(names)}.")


def _reserve(run: TrainingConfig, holder: str, seed: int, events: list[Progress]) -> Reserve | None:
    """The reserve model of a seed, if the federation has trained one."""
    of_seed = [event for event in events if (event.stage, event.seed) == (RESERVE, seed)]
    if not any(event.costs for event in of_seed):
        return None
    # A bank that is alone needs no message to train it.
    costs = {**of_seed[-1].costs, "round_trips": 0, "bytes_up": 0, "bytes_down": 0}
    scores = read_scores(run, holder, RESERVE, seed)
    return Reserve(
        log_odds=scores.log_odds,
        pd=scores.pd,
        curve=[dict(event.metrics) for event in of_seed if event.metrics],
        costs=costs,
    )


def _judged(joined: Joined, roles: Roles, trained: Trained, name: str, seed: int) -> Result:
    test = roles == TEST
    segments = {segment: levels[test] for segment, levels in joined.segments.items()}
    evaluation = evaluate(joined.labels[test], trained.pd[test], segments)
    evaluation = replace(evaluation, tables={**evaluation.tables, **trained.tables})
    return Result(name, seed, trained.pd[test], joined.labels[test], evaluation, trained.costs)


def _train(
    study: Study, config: TrainingConfig, baselines: Baselines, joined: Joined, roles: Roles
) -> tuple[Trained, Result]:
    """Train the one contender of the configuration in this process, and log it to MLflow."""
    (name,), (seed,) = config.contenders, config.seeds
    with study.contender(name, seed, config.to_mapping()) as run:
        trained = baselines.train(name)
        result = _judged(joined, roles, trained, name, seed)
        for step, metrics in enumerate(trained.curve, start=1):
            if any(key.startswith("valid.") for key in metrics):
                run.log_round(step, metrics)
        run.log_evaluation(result.evaluation)
        run.log_costs(trained.costs)
    return trained, result


def _federated(run: TrainingConfig, holder: str, name: str, seed: int, events: list[Progress]) -> Trained:
    """A contender that the federation has trained. Raises FederationError with the reason if it has not."""
    of_seed = [event for event in events if (event.stage, event.seed) == (name, seed)]
    if failure := next((event.failure for event in of_seed if event.failure), ""):
        raise FederationError(failure)
    costs = next(event.costs for event in of_seed if event.costs)
    return Trained(pd=read_scores(run, holder, name, seed).pd, costs=costs)


def _doubts(pds: Mapping[tuple[str, int], Floats], joined: Joined) -> list[str]:
    """What there is to doubt of the models with these PDs (n,), each sentence once for all seeds."""
    sentences = (doubt(name, of_rows, joined.unknown) for (name, _), of_rows in pds.items())
    return list(dict.fromkeys(filter(None, sentences)))


def _all_failed(failures: Mapping[str, str]) -> str:
    """Why there is no model at all: the bare reason if there is but one contender."""
    return " ".join(failures_in_words(failures) if len(failures) > 1 else failures.values())
