"""A study: federated contenders in one Flower run, then what only an experiment can train, all judged alike.

The federated contenders are logged to MLflow by their coordinator, the others here, under the same parent run and
evaluated by the same code on the same rows.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from experiments.backends import open_backend
from experiments.baselines.boosting import train_boosting, with_bank_alone
from experiments.baselines.scorecard import train_scorecard
from experiments.comparison.publishing import publish_comparison
from experiments.comparison.results import Result, compare
from experiments.dataset import Dataset
from experiments.joined import Joined, has_truth, read_joined, read_roles, read_scores, read_true_pd
from fl.config.run import RunConfig
from fl.errors import ConfigError
from fl.evaluation import Table, evaluate
from fl.splits import TEST, Roles
from server.coordinator import CONTENDERS as FEDERATED
from server.progress import Progress, Report
from server.tracking.study import Study

Curve = list[dict[str, float]]
ALL = (
    "bank-only-boosting",
    "bank-only-network",
    "bank-only-scorecard",
    *FEDERATED,
    "pooled-boosting",
    "pooled-network",
    "pooled-scorecard",
    "bank-only-trees",
    "pooled-trees",
    "true-pd",
)
"""Every contender that a study can have, in the order of its table."""


@dataclass(frozen=True)
class Outcome:
    """A finished study: its results, the comparison, and where MLflow has it.

    For who wants more than the test rows, `joined` is the table of all rows, `roles` (n,) by seed are their parts, and
    `pds` (n,) by contender and seed their PDs.
    """

    results: list[Result]
    comparison: pd.DataFrame
    experiment_id: str
    run_id: str
    joined: Joined
    roles: dict[int, Roles]
    pds: dict[tuple[str, int], NDArray[np.float64]]


def run_study(
    dataset: Dataset, config: RunConfig, contenders: tuple[str, ...], backend: str, report: Report
) -> Outcome:
    """Train and compare the contenders under every seed of the configuration.

    `true-pd` is left out where the dataset has no truth. Raises ConfigError for an unknown contender, a repeated one
    or none, and whatever the backend raises when the federation fails; the MLflow runs then end as failed.
    """
    check_contenders(contenders)
    if not has_truth(dataset.folder):
        contenders = tuple(name for name in contenders if name != "true-pd")
    if not contenders:
        raise ConfigError(f"{dataset.folder} has no true PD, and no other contender is asked for.")
    federated = tuple(name for name in contenders if name in FEDERATED)
    with open_backend(backend, len(dataset.parties)) as run_federation, start_study(config, dataset) as study:
        run = replace(config, contenders=",".join(federated), parent_run=study.run_id)
        costs: dict[tuple[str, int], Mapping[str, float]] = {}

        def note_costs(event: Progress) -> None:
            if event.costs:
                costs[event.stage, event.seed] = event.costs
            report(event)

        run_federation(run, note_costs)
        joined = read_joined(run, dataset.active)
        roles = {seed: read_roles(run, dataset.active, seed) for seed in config.seed_numbers}
        results, pds = [], {}
        for seed, own in roles.items():
            for name in contenders:
                if name in FEDERATED:
                    scores = read_scores(run, dataset.active, name, seed)
                    result = _judged(joined, own, scores, name, seed, costs[name, seed])
                else:
                    report(Progress(name, seed))
                    result, scores = _pooled_result(study, joined, own, name, seed, config)
                results.append(result)
                pds[name, seed] = scores
        comparison = compare(results)
        first = {result.contender: result.evaluation for result in reversed(results)}
        publish_comparison(study, comparison, {name: first[name] for name in comparison["contender"]})
    report(Progress("done"))
    return Outcome(results, comparison, study.experiment_id, study.run_id, joined, roles, pds)


def start_study(config: RunConfig, dataset: Dataset) -> Study:
    """The MLflow run of a study or ablation, above those of its contenders."""
    return Study.start(
        config.tracking_uri,
        config.experiment,
        config.study,
        params=config.to_mapping(),
        world=dataset.world or None,
        dataset=dataset.facts,
    )


def check_contenders(names: tuple[str, ...]) -> None:
    """Raises ConfigError for an unknown contender or a repeated one."""
    unknown = [name for name in names if name not in ALL]
    if unknown:
        raise ConfigError(f"There is no contender {unknown[0]!r}; there are {', '.join(ALL)}.")
    if len(set(names)) < len(names):
        raise ConfigError(f"Each contender can stand only once: {', '.join(names)}.")


def _pooled_result(
    study: Study, joined: Joined, roles: Roles, name: str, seed: int, config: RunConfig
) -> tuple[Result, NDArray[np.float64]]:
    """Train one contender on the joined table and log it: its result, and the PDs (n,) of all rows."""
    with study.contender(name, seed, dict(config.to_mapping())) as run:
        wall, cpu = time.perf_counter(), time.process_time()
        scores, curve, tables = _train(joined, roles, name, seed, config)
        costs = dict.fromkeys(("round_trips", "bytes_up", "bytes_down"), 0)
        costs |= {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
        for step, metrics in enumerate(curve, start=1):
            if any(key.startswith("valid.") for key in metrics):
                run.log_round(step, metrics)
        result = _judged(joined, roles, scores, name, seed, costs, tables)
        run.log_evaluation(result.evaluation)
        run.log_costs(costs)
        return result, scores


def _train(
    joined: Joined, roles: Roles, name: str, seed: int, config: RunConfig
) -> tuple[NDArray[np.float64], Curve, Mapping[str, Table]]:
    """PDs (n,) of all rows, the curve of training, and what tables of its own the contender has."""
    if name == "true-pd":
        return read_true_pd(config.data_folder, joined.applications.ids), [], {}
    owner, _, algorithm = name.rpartition("-")
    seen = joined.of_bank() if owner == "bank-only" else joined
    if algorithm == "boosting":
        log_odds, curve = train_boosting(seen, roles, seed, config.boosting)
        return expit(with_bank_alone(seen, log_odds, roles, seed, config.boosting)), curve, {}
    if algorithm == "network":
        # Not above: PyTorch and scikit-learn take seconds to import, and many studies do without.
        from experiments.baselines.network import train_network

        log_odds, curve = train_network(seen, roles, seed, config.network)
        return expit(with_bank_alone(seen, log_odds, roles, seed, config.boosting)), curve, {}
    if algorithm == "scorecard":
        return train_scorecard(seen, roles, config.scorecard)
    from experiments.baselines.trees import train_trees

    return *train_trees(seen.frame(), joined.labels, roles, seed), {}


def _judged(
    joined: Joined,
    roles: Roles,
    scores: NDArray[np.float64],
    name: str,
    seed: int,
    costs: Mapping[str, float],
    tables: Mapping[str, Table] | None = None,
) -> Result:
    test = roles == TEST
    segments = {segment: levels[test] for segment, levels in joined.segments.items()}
    evaluation = evaluate(joined.labels[test], scores[test], segments)
    evaluation = replace(evaluation, tables={**evaluation.tables, **(tables or {})})
    return Result(name, seed, scores[test], joined.labels[test], evaluation, costs)
