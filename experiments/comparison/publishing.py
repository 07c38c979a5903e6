"""What an experiment adds to the run of a study in MLflow: the result, which heads every page that shows it.

The name of the parent run and its description state the result, and so does the description of the MLflow experiment,
which heads each of its pages. Figures and tables of all contenders together are artefacts of the parent run.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from experiments.comparison import banks, overlays, summary
from fl.evaluation import Evaluation
from server.tracking.study import PARENT, Study
from server.tracking.tracked_run import NOTE, ContenderRun


def publish_comparison(
    study: Study,
    comparison: pd.DataFrame,
    evaluations: Mapping[str, Evaluation],
    failures: Mapping[str, str] | None = None,
    doubts: Sequence[str] = (),
    tables: Mapping[str, pd.DataFrame] | None = None,
    of_banks: pd.DataFrame | None = None,
) -> None:
    """Log the comparison of a study's contenders to its run, and to each child its uplift.

    comparison is as in `experiments.comparison.summary`; the metrics of the winner become those of the study's run.
    evaluations, one for each contender to be drawn, become its figures. A child's uplift of AUC is over the baseline
    of the same seed. failures and doubts are those of `summary.study_description`. tables are logged beside that of the
    comparison. of_banks is that of `experiments.comparison.banks.compare_banks`; where there are several banks, the
    runs of each are nested below that of all, and the leaderboard shows the mean over the banks and the worst of them.
    """
    headline, failures = summary.headline(comparison), failures or {}
    children = [child for child in study.children() if child.contender not in failures]
    if of_banks is not None and not of_banks.empty:
        children = _nested(children)
    study.log_final_metrics(summary.winner(comparison).to_dict())
    _log_uplifts(children, summary.baseline_of(comparison["contender"]))
    figures = {
        "auc": overlays.auc_bars(comparison, headline),
        "roc": overlays.roc_overlay(evaluations),
        "calibration": overlays.calibration_overlay(evaluations),
        "gain": overlays.gain_overlay(evaluations),
    }
    if curves := _curves(children, "valid.auc"):
        figures["training"] = overlays.training_curves(curves, "validation AUC")
    tables, told = {"comparison": comparison, **(tables or {})}, list[str | pd.DataFrame]()
    if of_banks is not None and not of_banks.empty:
        _log_spread(children, of_banks)
        study.lead(banks.METRICS)
        measures = banks.known_measures(of_banks)
        figures |= {f"{measure}_of_banks": overlays.bank_dots(of_banks, measure) for measure in measures}
        tables["banks"] = of_banks
        told = banks.described(of_banks)
    name = study.started.data.tags["study"]
    description = summary.study_description(name, comparison, failures, doubts, told)
    publish(study, headline, description, figures, tables)


def publish(
    study: Study,
    headline: str,
    description: str,
    figures: Mapping[str, Figure],
    tables: Mapping[str, pd.DataFrame],
) -> None:
    """Name the study's run by its result, describe it and the experiment, and log figures and tables to it."""
    study.client.update_run(study.run_id, name=headline)
    _describe(study, description)
    study.log_files(figures, tables)


def publish_report(
    run: Study,
    text: str,
    metrics: Mapping[str, float],
    figures: Mapping[str, Figure],
    tables: Mapping[str, pd.DataFrame],
    pages: Iterable[Path],
) -> None:
    """Log a report to its run, which stands above those of the studies that it is on.

    Its text, in Markdown, describes the run and the experiment. `siloscore ui` then opens on a leaderboard of those
    studies.
    """
    _describe(run, text)
    run.lead()
    run.log_metrics(metrics)
    run.log_files(figures, tables, {page.name: page.read_text("utf-8") for page in pages})


def nest(study_id: str, above: Study) -> None:
    """Nest the run of another study, by its id, below a run."""
    above.client.set_tag(study_id, PARENT, above.run_id)


def label_new_children(study: Study, tag: str, value: str) -> None:
    """Set a tag on the children that do not have it yet, and add its value to their names."""
    for child in study.children():
        if tag not in child.started.data.tags:
            study.client.set_tag(child.run_id, tag, value)
            study.client.update_run(child.run_id, name=f"{child.started.info.run_name} · {value}")


def _describe(study: Study, text: str) -> None:
    study.describe(text)
    study.client.set_experiment_tag(study.experiment_id, NOTE, text)


def _nested(children: list[ContenderRun]) -> list[ContenderRun]:
    """The runs on all banks' rows; those on the rows of one are nested below them."""
    of_all = {(child.contender, child.seed): child for child in children if not child.bank}
    for child in children:
        if child.bank:
            child.client.set_tag(child.run_id, PARENT, of_all[child.contender, child.seed].run_id)
    return [*of_all.values()]


def _log_spread(children: list[ContenderRun], of_banks: pd.DataFrame) -> None:
    """Log to each child the mean AUC over the banks and that of the worst, means over the seeds."""
    ends = banks.spread(of_banks)
    for child in children:
        mean, worst = ends.loc[child.contender, ["mean", "worst"]]
        child.log_metrics({"auc_mean": round(mean, 4), "auc_worst": round(worst, 4)})


def _log_uplifts(children: list[ContenderRun], baseline: str | None) -> None:
    """Log `uplift_auc` to each child of another contender whose seed has a baseline."""
    aucs = {(child.contender, child.seed): child.started.data.metrics.get("auc") for child in children}
    for child in children:
        auc, base = aucs[child.contender, child.seed], aucs.get((baseline, child.seed))
        if auc is not None and base is not None and child.contender != baseline:
            child.log_final_metrics({"uplift_auc": auc - base})


def _curves(children: list[ContenderRun], metric: str) -> dict[str, list[tuple[int, float]]]:
    """The (round, value) of a metric by contender, of its first seed; only of those that have the metric."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for child in children:
        if child.contender not in curves and metric in child.started.data.metrics:
            curves[child.contender] = [
                (point.step, point.value) for point in child.client.get_metric_history(child.run_id, metric)
            ]
    return curves
