"""What a study's command says at its end: the table, what to doubt, where it is in MLflow, and what to do next."""

from pathlib import Path

import typer

from experiments.comparison.results import write_json
from experiments.comparison.summary import best_federated, failures_in_words, headline
from experiments.display import bank_explanation, bank_tables, comparison_tables, console, explanation
from experiments.mlflow_page import latest_link
from experiments.scoring import scoring_command
from experiments.study import FinishedStudy
from experiments.telling import tell_error
from fl.config.run import TrainingConfig


def tell_study(
    outcome: FinishedStudy, config: TrainingConfig, backend: str, store: Path, json: Path | None
) -> None:
    """Print what came of a study, and write it to a file of JSON if there is to be one.

    Raises typer.Exit with code 2 when a contender has failed.
    """
    are_several = not outcome.of_banks.empty
    tables = comparison_tables(outcome.comparison, len(config.seeds), outcome.failures, are_several)
    console.print(*tables, explanation(outcome.comparison), sep="\n")
    if are_several:
        console.print(*bank_tables(outcome.of_banks), bank_explanation(outcome.of_banks), sep="\n")
    for doubt in outcome.doubts:
        console.print(f"Check: {doubt}", style="yellow", markup=False, soft_wrap=True)
    console.print(headline(outcome.comparison), style="bold")
    if json:
        write_json(json, outcome.results, outcome.failures)
    link = latest_link(store, config.experiment)
    console.print(f"In MLflow: run `siloscore ui --store {store}` and open {link}", soft_wrap=True)
    if best := best_federated(outcome.comparison):
        data = config.data_folder
        options = {"data": data, "backend": backend, "store": store}
        if are_several or config.joins:
            options["bank"] = config.parties[0]
        line = scoring_command(
            f"{config.study}/{best}/{config.seeds[0]}", data / config.parties[0], **options
        )
        console.print("To score applicants by the best federated model:")
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for failure in failures_in_words(outcome.failures):
        tell_error(failure)
    if outcome.failures:
        raise typer.Exit(2)
