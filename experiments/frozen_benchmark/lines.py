"""Lines of the benchmark: from PDs to figures, from a submission to lines, and from all lines to a table."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from experiments.frozen_benchmark.results import Benchmark, CaseResults, Costs, Line
from fl.errors import ConfigError
from fl.metrics import auc_interval, brier, delong_test, ks
from fl.metrics.checks import normal_quantile

FIGURES = ("auc", "gini", "ks", "brier")
COLUMNS = ("case", "id", "pd")


def make_line(
    model: str,
    seed: int,
    labels: ArrayLike,
    pd: NDArray[np.float64],
    costs: Mapping[str, float] | None = None,
) -> Line:
    """The line of a model from its PDs (n,) of the test rows; PDs are kept with eight significant digits."""
    pd = np.array([float(f"{value:.8g}") for value in pd])
    interval = auc_interval(labels, pd)
    return Line(
        model=model,
        seed=seed,
        auc=interval.auc,
        auc_low=interval.low,
        auc_high=interval.high,
        gini=2 * interval.auc - 1,
        ks=ks(labels, pd),
        brier=brier(labels, pd),
        pd=pd.tolist(),
        costs=costs
        and Costs(
            round_trips=int(costs["round_trips"]),
            megabytes=(costs["bytes_up"] + costs["bytes_down"]) / 1e6,
            seconds=costs["seconds"],
            cpu_seconds=costs["cpu_seconds"],
        ),
    )


def with_submission(benchmark: Benchmark, path: Path, model: str) -> Benchmark:
    """The results with the line of a submission: a CSV or Parquet file with the columns case, id and pd.

    A submission has one PD of every test row of a case, which stands for every seed, and every case of a set, or none.
    Raises ConfigError for anything else.
    """
    if any(line.model == model for case in benchmark.cases for line in case.lines):
        raise ConfigError(f"The results have a model {model!r} already; name yours with --name.")
    frame = _read(path)
    cases = {case.name: case for case in benchmark.cases}
    if unknown := sorted(set(frame["case"]) - set(cases)):
        raise ConfigError(f"{path}: the results have no case {unknown[0]!r}; they have {', '.join(cases)}.")
    submitted = dict(list(frame.groupby("case")))
    sets = {case.set for name, case in cases.items() if name in submitted}
    if missing := [name for name, case in cases.items() if case.set in sets and name not in submitted]:
        raise ConfigError(f"{path} lacks the case {missing[0]}; a submission has all cases of a set.")
    judged = [
        msgspec.structs.replace(
            case, lines=[*case.lines, *_submitted(case, submitted[case.name], path, model)]
        )
        if case.name in submitted
        else case
        for case in benchmark.cases
    ]
    return msgspec.structs.replace(benchmark, cases=judged)


def _read(path: Path) -> pd.DataFrame:
    """A submission's columns. Raises ConfigError when it cannot be read, or lacks one of them."""
    try:
        texts = {"case": str, "id": str}
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=texts)
    except (OSError, ValueError) as error:
        raise ConfigError(f"The submission {path} cannot be read: {error}") from None
    if missing := [name for name in COLUMNS if name not in frame]:
        raise ConfigError(f"{path} lacks the column {missing[0]}; a submission has {', '.join(COLUMNS)}.")
    values = pd.to_numeric(frame["pd"], errors="coerce")
    if len(wrong := frame[~values.between(0, 1)]):
        raise ConfigError(f"{path}: the pd of {wrong['id'].iloc[0]} is no number from 0 to 1.")
    return frame[["case", "id"]].astype(str).assign(pd=values)


def _submitted(case: CaseResults, frame: pd.DataFrame, path: Path, model: str) -> list[Line]:
    by_id = frame.set_index("id")["pd"]
    if not by_id.index.is_unique:
        raise ConfigError(
            f"{path}: {case.name} has the id {by_id.index[by_id.index.duplicated()][0]} more than once."
        )
    for there, wanted, problem in (
        (case.ids, by_id.index, "has {}, which is no test row"),
        (by_id.index, case.ids, "lacks {}, which is a test row"),
    ):
        if differing := sorted(set(wanted) - set(there)):
            raise ConfigError(
                f"{path}: {case.name} {problem.format(differing[0])} ({len(differing)} such ids)."
            )
    seeds = sorted({line.seed for line in case.lines})
    return [make_line(model, seed, case.labels, by_id[case.ids].to_numpy(np.float64)) for seed in seeds]


def lines_by_set(benchmark: Benchmark, against: str) -> dict[str, pd.DataFrame]:
    """For each set of cases a row per model: means over cases and seeds, and the gain in AUC over a model.

    The columns are model, auc, gini, ks, brier, error (the standard error of the mean AUC over the cases; NaN of one
    case), gain, gain_low and gain_high. The interval of the gain is of 95 % and regards the draw of the test rows
    (paired DeLong test in each case; the mean of independent cases).
    """
    lines = pd.DataFrame([_row(case, line, against) for case in benchmark.cases for line in case.lines])
    of_cases = lines.groupby(["set", "case", "model"], sort=False).mean()
    by_model = of_cases.groupby(["set", "model"], sort=False)
    means = by_model.mean()
    half = normal_quantile(0.95) * by_model["gain_error"].agg(
        lambda errors: np.hypot.reduce(errors) / len(errors)
    )
    table = means.drop(columns="gain_error").assign(
        error=by_model["auc"].sem(), gain_low=means["gain"] - half, gain_high=means["gain"] + half
    )
    by_set = table.reset_index().groupby("set", sort=False)
    return {str(name): of_set.drop(columns="set").reset_index(drop=True) for name, of_set in by_set}


def _row(case: CaseResults, line: Line, against: str) -> dict[str, object]:
    """A line's figures, and its gain in AUC over a model under the same seed with the standard error of the gain."""
    others = [other for other in case.lines if (other.model, other.seed) == (against, line.seed)]
    test = delong_test(case.labels, line.pd, others[0].pd) if others and line.model != against else None
    return {
        "set": case.set,
        "case": case.name,
        "model": line.model,
        **{name: getattr(line, name) for name in FIGURES},
        "gain": np.nan if test is None else test.difference,
        "gain_error": np.nan if test is None else test.standard_error,
    }
