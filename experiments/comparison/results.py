"""The results of contenders and their comparison at the end of a study, from the PDs under every contender and seed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.comparison.summary import baseline_of
from fl.evaluation import APPROVAL, Evaluation
from fl.metrics import approval_rate_at_bad_rate, bad_rate_at_approval, delong_test

GAIN = ("bank-only-trees", "pooled-trees")
"""The gain that pooling would bring: from the bank's own strongest model to the strongest one of all data pooled."""


@dataclass(frozen=True)
class Result:
    """One contender under one seed.

    pd (t,) are the PDs of the test rows and labels (t,) say who of them defaulted. costs are round_trips, bytes_up,
    bytes_down, seconds and cpu_seconds.
    """

    contender: str
    seed: int
    pd: NDArray[np.float64]
    labels: NDArray[np.int8]
    evaluation: Evaluation
    costs: Mapping[str, float]


def compare(results: list[Result]) -> pd.DataFrame:
    """One row per contender, in the order of `results`: the columns of `experiments.comparison.summary.COLUMNS`.

    Figures are means over the seeds, the p-value a median. Uplift, p-value (paired DeLong test) and approval
    rate (at the bad rate which it has at 60 % approval) compare with `baseline_of` the contenders under the same seed;
    recovered is the share of the gain of `GAIN`. A figure is NaN where there is nothing to compare with.
    """
    rows = per_seed(results)
    means = rows.drop(columns=["seed", "p_value"]).groupby("contender", sort=False).mean()
    means["p_value"] = rows.groupby("contender", sort=False)["p_value"].median()
    if all(name in means.index for name in GAIN):
        alone, pooled = (means.loc[name, "auc"] for name in GAIN)
        means["recovered"] = (means["auc"] - alone) / (pooled - alone)
    return means.reset_index()


def per_seed(results: list[Result]) -> pd.DataFrame:
    """The same columns with `seed`, one row per contender and seed."""
    baseline = baseline_of(result.contender for result in results)
    baselines = {result.seed: result for result in results if result.contender == baseline}
    rows = pd.DataFrame([_row(result, baselines.get(result.seed)) for result in results])
    gain = rows.pivot_table(index="seed", columns="contender", values="auc")
    if all(name in gain for name in GAIN):
        alone, pooled = (rows["seed"].map(gain[name]) for name in GAIN)
        rows["recovered"] = (rows["auc"] - alone) / (pooled - alone)
    else:
        rows["recovered"] = np.nan
    return rows


def write_json(path: Path, results: list[Result]) -> None:
    """The comparison for machines: `{"contenders": {NAME: {"auc": …, …, "seeds": {SEED: {…}}}}}`; NaN becomes null."""
    means = compare(results).assign(bytes=lambda table: table["megabytes"] * 1e6).set_index("contender")
    seeds = per_seed(results).assign(bytes=lambda table: table["megabytes"] * 1e6).set_index("contender")
    contenders = {}
    for name in means.index:
        of_contender = seeds.loc[[name]].set_index("seed")
        contenders[name] = {
            **_plain(means.loc[name]),
            "seeds": {str(seed): _plain(row) for seed, row in of_contender.iterrows()},
        }
    path.write_text(json.dumps({"contenders": contenders}, indent=2, allow_nan=False) + "\n", "utf-8")


def _row(result: Result, baseline: Result | None) -> dict[str, object]:
    metrics = result.evaluation.metrics
    row: dict[str, object] = {"contender": result.contender, "seed": result.seed}
    row |= {name: metrics[name] for name in ("auc", "auc_low", "auc_high", "gini", "ks", "brier")}
    row |= dict.fromkeys(("approval_rate", "uplift_auc", "uplift_gini_relative", "p_value"), np.nan)
    if baseline is not None:
        accepted = bad_rate_at_approval(baseline.labels, baseline.pd, APPROVAL)
        row["approval_rate"] = approval_rate_at_bad_rate(result.labels, result.pd, accepted)
        if result is not baseline:
            row["uplift_auc"] = metrics["auc"] - baseline.evaluation.metrics["auc"]
            # A baseline that ranks nobody leaves nothing to relate to.
            if gini := baseline.evaluation.metrics["gini"]:
                row["uplift_gini_relative"] = metrics["gini"] / gini - 1
            row["p_value"] = delong_test(result.labels, result.pd, baseline.pd).p_value
    return row | {
        "round_trips": result.costs["round_trips"],
        "megabytes": (result.costs["bytes_up"] + result.costs["bytes_down"]) / 1e6,
        "seconds": result.costs["seconds"],
        "cpu_seconds": result.costs["cpu_seconds"],
    }


def _plain(row: "pd.Series[float]") -> Mapping[str, float | None]:
    return {str(name): None if pd.isna(value) else float(value) for name, value in row.items()}
