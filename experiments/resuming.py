"""A study or a scoring run that broke off goes on, when the processes that it needs are there again."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.options import Backend, BackendOption, Json, Store


def resume(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The study's name, or the id of its MLflow run.")],
    out: Annotated[
        Path | None, typer.Option(help="File for the scores, .csv or .parquet, if the run scores applicants.")
    ] = None,
    backend: BackendOption = Backend.deployment,
    store: Store = Path("mlflow.db"),
    json: Json = None,
) -> None:
    """Go on with a run that broke off.

    Federated models that are trained are not trained again, and the others go on from the last step that all parties
    have done. A contender that failed is tried again from there.

    Example: siloscore resume demo-20261128-101500-3f2a
    """
    from experiments.display import console, progress_bars
    from experiments.ending import tell_study
    from experiments.mlflow_page import store_uri
    from experiments.outputs import check_file
    from experiments.scoring import resume_scoring
    from experiments.study import resume_study
    from fl.config.run import ScoringConfig
    from fl.errors import ConfigError
    from server.tracking.registry import find_broken_off

    if json:
        check_file(json, "The table")
    config = find_broken_off(store_uri(store), run)
    if isinstance(config, ScoringConfig):
        if out is None:
            raise ConfigError(f"Run {run!r} scores applicants: name the file for the scores by --out.")
        with progress_bars() as report:
            applicants = resume_scoring(config, out, backend.value, report)
        console.print(f"{out}: {applicants:,} applicants scored", soft_wrap=True, markup=False)
    else:
        with progress_bars() as report:
            outcome = resume_study(config, backend.value, report)
        tell_study(outcome, config, backend.value, store, json)
