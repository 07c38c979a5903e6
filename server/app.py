"""The Flower ServerApp: the coordinator of one run."""

import shlex
from logging import INFO
from pathlib import Path

from flwr.app import Context
from flwr.common.logger import log
from flwr.serverapp import Grid, ServerApp
from mlflow import MlflowClient

from fl.config.run import RunConfig, ScoringConfig, TrainingConfig, read_config
from server.coordinator import Trained, coordinate
from server.costs import Costs
from server.delivery import Messenger
from server.progress import Report, append_to, ignore
from server.scoring import Scoring, score
from server.tracking.study import local_store, store_uri
from server.training import title

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run what the run configuration describes, and log its results, since `flwr run` shows nothing else of them."""
    from server.remote_grid import bounded

    config = read_config(context.run_config)
    report = append_to(Path(config.progress)) if config.progress else ignore
    for result in conduct(bounded(grid), config, report):
        log(INFO, result)


def conduct(grid: Messenger, config: RunConfig, report: Report) -> list[str]:
    """Train, or score applicants, as the kind of configuration says. Returns the results in sentences."""
    if isinstance(config, ScoringConfig):
        scoring = score(grid, config, report)
        return [_of_scoring(scoring, config) if scoring else "Too few applicants wait in the bank's queue."]
    if isinstance(config, TrainingConfig):
        trained = [_of_training(one, config) for one in coordinate(grid, config, report)]
        return trained if config.contenders else ["The parties are aligned. No contender was to be trained."]
    return []


def _of_training(trained: Trained, config: TrainingConfig) -> str:
    metrics, costs, store = trained.evaluation.metrics, trained.costs, local_store(store_uri(config))
    command = f"siloscore score --run {trained.run_id} --applicants FILE --out scores.csv --store"
    # The command knows no other stores than files.
    following = f" Next: {command} {shlex.quote(str(store))}" if store else ""
    return (
        f"{title(trained.contender, trained.bank, trained.seed)}: AUC {metrics['auc']:.3f} on the test rows (95 % "
        f"interval {metrics['auc_low']:.3f} to {metrics['auc_high']:.3f}), trained with {_written(costs)}. "
        f"{_place(trained.run_id, config)}{following}"
    )


def _of_scoring(scoring: Scoring, config: ScoringConfig) -> str:
    return (
        f"{scoring.in_words}, with {_written(scoring.costs)}. "
        f"The bank keeps the scores. {_place(scoring.run_id, config)}"
    )


def _written(costs: Costs) -> str:
    return f"{costs.round_trips:,} round trips and {(costs.bytes_up + costs.bytes_down) / 1e6:,.1f} MB moved"


def _place(run_id: str, config: RunConfig) -> str:
    """Where MLflow has a run."""
    uri = store_uri(config)
    return f"It is MLflow's run {MlflowClient(uri).get_run(run_id).info.run_name!r} ({run_id}) in {uri}."
