"""The results of contenders and their comparison at the end of a study, from the PDs under every contender and seed."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.comparison.banks import compare_banks
from experiments.comparison.result import Result
from experiments.comparison.summary import GAIN, baseline_of
from fl.evaluation import APPROVAL
from fl.metrics import approval_rate_at_bad_rate, bad_rate_at_approval, delong_test


def compare(results: list[Result]) -> pd.DataFrame:
    """One row per contender, in the order of `results`: the columns of `experiments.comparison.summary.COLUMNS`.

    It is about all test rows; `experiments.comparison.banks` is about those of each bank. Figures are means over the
    seeds, the p-value a median. Uplift, p-value (paired DeLong test) and approval rate (at the bad rate which it has at
    60 % approval) compare with `baseline_of` the contenders under the same seed; recovered is the share of the gain of
    `GAIN`, where that is above noise, that is where its 95 % interval (paired DeLong test, mean over the seeds) lies
    above zero. A figure is NaN where there is nothing to compare with.
    """
    by_contender = per_seed(results).groupby("contender", sort=False)
    means = by_contender.mean().drop(columns="seed").assign(p_value=by_contender["p_value"].median())
    is_gain = _least_gains(results).mean() > 0
    return means.assign(recovered=_recovered(means["auc"]) if is_gain else np.nan).reset_index()


def per_seed(results: list[Result]) -> pd.DataFrame:
    """The same columns with `seed`, one row per contender and seed."""
    results = [result for result in results if not result.bank]
    baseline = baseline_of(result.contender for result in results)
    baselines = {result.seed: result for result in results if result.contender == baseline}
    rows = pd.DataFrame([_row(result, baselines.get(result.seed)) for result in results])
    aucs = rows.set_index("contender").groupby("seed")["auc"]
    recovered = aucs.transform(_recovered).to_numpy()
    return rows.assign(recovered=np.where(rows["seed"].map(_least_gains(results)) > 0, recovered, np.nan))


def write_json(path: Path, results: list[Result], failures: Mapping[str, str]) -> None:
    """The comparison for machines: `{"contenders": {NAME: {"auc": …, …, "seeds": {SEED: {…}}}}, "failed": {…}}`.

    With several banks, each contender has `"banks": {BANK: {"auc": …, …}}` beside its seeds. NaN becomes null; a
    contender that has failed stands under `failed` only, with its reason.
    """
    means, seeds = (
        table.assign(bytes=table["megabytes"] * 1e6).set_index("contender")
        for table in (compare(results), per_seed(results))
    )
    contenders = {name: dict(_plain(row)) for name, row in means.iterrows()}
    for name, content in contenders.items():
        of_contender = seeds.loc[[name]].set_index("seed")
        content["seeds"] = {str(seed): _plain(row) for seed, row in of_contender.iterrows()}
    for (name, bank), row in compare_banks(results).set_index(["contender", "bank"]).iterrows():
        contenders[name].setdefault("banks", {})[bank] = _plain(row)
    content = {"contenders": contenders, "failed": dict(failures)}
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", "utf-8")


def _recovered(aucs: "pd.Series[float]") -> "pd.Series[float]":
    """The share of the gain of `GAIN` that each contender, by name, has; NaN where one of these two is absent."""
    alone, pooled = aucs.reindex(GAIN)
    return (aucs - alone) / (pooled - alone)


def _least_gains(results: list[Result]) -> "pd.Series[float]":
    """By seed the lower end of the 95 % interval of the gain of `GAIN`, of the seeds that have both contenders."""
    by_name = {(result.contender, result.seed): result for result in results if not result.bank}
    pairs = {seed: [by_name.get((name, seed)) for name in GAIN] for seed in {one.seed for one in results}}
    return pd.Series(
        {
            seed: delong_test(pooled.labels, pooled.pd, alone.pd).low
            for seed, (alone, pooled) in pairs.items()
            if alone is not None and pooled is not None
        },
        dtype=np.float64,
    )


def _row(result: Result, baseline: Result | None) -> dict[str, object]:
    metrics, costs = result.evaluation.metrics, result.costs
    row = {"contender": result.contender, "seed": result.seed}
    row |= {name: metrics[name] for name in ("auc", "auc_low", "auc_high", "gini", "ks", "brier")}
    row |= dict.fromkeys(("approval_rate", "uplift_auc", "uplift_gini_relative", "p_value"), np.nan)
    row |= {name: costs[name] for name in ("round_trips", "seconds", "cpu_seconds")}
    row["megabytes"] = (costs["bytes_up"] + costs["bytes_down"]) / 1e6
    if baseline is not None:
        accepted = bad_rate_at_approval(baseline.labels, baseline.pd, APPROVAL)
        row["approval_rate"] = approval_rate_at_bad_rate(result.labels, result.pd, accepted)
        if result is not baseline:
            row["uplift_auc"] = metrics["auc"] - baseline.evaluation.metrics["auc"]
            # A baseline that ranks nobody leaves nothing to relate to.
            if gini := baseline.evaluation.metrics["gini"]:
                row["uplift_gini_relative"] = metrics["gini"] / gini - 1
            row["p_value"] = delong_test(result.labels, result.pd, baseline.pd).p_value
    return row


def _plain(row: pd.Series) -> Mapping[str, float | str | None]:
    return {
        str(name): None if pd.isna(value) else value if isinstance(value, str) else float(value)
        for name, value in row.items()
    }
