"""Makes a report: runs the studies, gathers their cases, writes the pages, and logs all to MLflow under one run."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from clients.data.declaration import read_declaration
from experiments.comparison.publishing import nest, publish_report
from experiments.dataset import Dataset
from experiments.economies import economy
from experiments.lending.cases import Case, read_cases
from experiments.lending.content import World, compose, draw, metrics, world_from_cases
from experiments.lending.policy import CashFlow, Policy
from experiments.lending.wording import headline
from experiments.study import FinishedStudy, run_study
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from fl.metrics.checks import Floats
from server.coordinator import new_study_name
from server.progress import Progress, Report
from server.tracking.pages import write_page
from server.tracking.study import Study
from synthetic_data.worlds import world_named


@dataclass(frozen=True)
class Task:
    """What to report on.

    pair        reference and challenger, two contenders of a study
    config      settings of every study, its seeds among them; the report sets the dataset and the study's name
    policy      the bank's lending policy
    cash_flow   where the bank's table has the cash flow that the policy needs
    backend     where federations run: a name among `experiments.backends.BACKENDS`
    command     the command as typed, for the page
    """

    pair: tuple[str, str]
    config: TrainingConfig
    policy: Policy
    cash_flow: CashFlow
    backend: str
    command: str


@dataclass(frozen=True)
class Source:
    """One dataset of a report: its world and economy, and the context in which it is there.

    simulated says whether entering that context simulates it.
    """

    world: str
    economy: int
    opened: AbstractContextManager[Dataset]
    simulated: bool


def of_dataset(dataset: Dataset) -> list[Source]:
    """A dataset at hand as the only source."""
    return [Source(dataset.world or dataset.facts.name, 0, nullcontext(dataset), simulated=False)]


def of_worlds(
    worlds: Sequence[str], economies: Sequence[int], businesses: int, truth: bool = False
) -> list[Source]:
    """Economies of these seeds in each world, each simulated when its turn comes, on request with true PDs.

    Raises ConfigError for an unknown world.
    """
    return [
        Source(world_named(world).name, seed, economy(world, seed, businesses, truth), simulated=True)
        for world in worlds
        for seed in economies
    ]


def make_report(sources: list[Source], task: Task, out: Path, report: Report) -> list[str]:
    """Write `report.md`, `report.html` and `figures/` into a folder and to MLflow, and return a sentence on each world.

    In MLflow the studies are nested below the report's run. Raises ConfigError when a bank has no column of cash flow
    as the policy names it, StudyError when a contender fails, and what `run_study` raises.
    """
    with Study.start(
        task.config.tracking_uri,
        task.config.experiment,
        f"report {task.pair[1]}",
        params={**task.config.to_mapping(), **_flat(task)},
    ) as run:
        cases: dict[str, list[Case]] = {}
        for source in sources:
            cases.setdefault(source.world, []).extend(cases_from(source, task, run, report))
        worlds = [
            world_from_cases(name, of_world, task.policy, _reweigh(task)) for name, of_world in cases.items()
        ]
        figures = draw(worlds, task.pair)
        pages = write_page(out, "report", compose(worlds, task.pair, task.policy, task.command), figures)
        findings = [headline(world.name, world.summary) for world in worlds]
        publish_report(run, "\n\n".join(findings), metrics(worlds), figures, dict(_tables(worlds)), pages)
    return findings


def cases_from(source: Source, task: Task, run: Study, report: Report) -> list[Case]:
    """Run the study of one dataset, and another of the challenger on reweighed rows if that is asked for."""
    if source.simulated:
        report(Progress(f"Simulating {source.world}", source.economy))
    with source.opened as dataset:
        # Before training rather than after it.
        declared = read_declaration(dataset.folder / dataset.holder)
        task.cash_flow.check(tuple(column.name for column in declared.columns if column.is_numeric))
        task.policy.check((*declared.segments, *declared.sensitive))
        boosting, reweigh = task.config.section(BoostingConfig), _reweigh(task)
        if reweigh not in ("", *declared.segments):
            raise ConfigError(
                f"Setting 'boosting.reweigh' must be one of the bank's segments ({', '.join(declared.segments)}), "
                f"not {reweigh!r}."
            )

        def study_of(config: TrainingConfig, contenders: tuple[str, ...]) -> FinishedStudy:
            config = replace(
                config,
                data=str(dataset.folder),
                parties=dataset.parties,
                world=dataset.world,
                study=new_study_name(str(dataset.folder)),
            )
            outcome = run_study(dataset, config, contenders, task.backend, report).complete()
            nest(outcome.run_id, run)
            return outcome

        plain = task.config.with_section(replace(boosting, reweigh="")) if reweigh else task.config
        outcome, reweighed = study_of(plain, task.pair), dict[int, Floats]()
        if reweigh:
            # The bank puts its rows into the same order and gives them the same roles.
            other = study_of(task.config, task.pair[1:])
            reweighed = {seed: other.pds[task.pair[1], seed] for seed in other.roles}
        return read_cases(dataset, outcome, task.pair, task.cash_flow, source.economy, reweighed)


def _reweigh(task: Task) -> str:
    """The segment by which the challenger is also trained on reweighed rows; empty for one that is no boosting."""
    is_boosting = task.pair[1].endswith("-boosting")
    return task.config.section(BoostingConfig).reweigh if is_boosting else ""


def _tables(worlds: list[World]) -> Iterator[tuple[str, pd.DataFrame]]:
    for world in worlds:
        yield f"{world.name}-measures", world.summary.reset_index()
        yield f"{world.name}-swap", world.swap.reset_index(names="group")
        yield f"{world.name}-trade-off", world.trade_off.reset_index()
        if world.fairness.largest:
            yield f"{world.name}-fairness", world.fairness.table.reset_index()
        if len(world.mitigations):
            yield f"{world.name}-mitigations", world.mitigations.reset_index()


def _flat(task: Task) -> dict[str, object]:
    """Policy and pair as parameters of the report's run."""
    policy = {f"policy.{name.replace('_', '-')}": value for name, value in asdict(task.policy).items()}
    column = task.cash_flow.column or f"{task.cash_flow.usual:g} CNY"
    return {**policy, "policy.cash-flow": column, "reference": task.pair[0], "challenger": task.pair[1]}
