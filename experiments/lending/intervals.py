"""From cases to a row with its interval: over economies where there are several, else over resampled applicants."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

from experiments.lending.cases import Case
from experiments.lending.decisions import Policy
from experiments.lending.measures import choose_cutoffs, measure

LEVEL = 0.95
RESAMPLES = 400


def summarise(cases: list[Case], policy: Policy) -> pd.DataFrame:
    """Every measure of a world: index as of `measure`, columns reference, challenger, change, low and high.

    Figures are means over the economies, of each the mean over its seeds; low and high bound the 95 % interval of the
    change. With several economies it is Student's t over them, for seeds of one economy share their test rows
    and are no sample of anything. With one it is a percentile bootstrap over its test applicants, the same
    for both models and all seeds, with models and own cut-offs as they are.
    """
    cutoffs = [choose_cutoffs(case, policy) for case in cases]
    found = [measure(case, own) for case, own in zip(cases, cutoffs, strict=True)]
    economies = pd.Index([case.economy for case in cases], name="economy")
    by_economy = pd.concat(found, keys=range(len(cases)), names=["case"]).reset_index("case")
    by_economy["economy"] = economies[by_economy.pop("case").to_numpy()]
    order = found[0].index
    means = by_economy.groupby(["economy", *order.names], sort=False).mean()
    summary = means.groupby(order.names, sort=False).mean().reindex(order)
    if economies.nunique() > 1:
        changes = means["change"].unstack("economy").reindex(order)
        count = changes.notna().sum(axis=1)
        half = stats.t.ppf(0.5 + LEVEL / 2, np.maximum(count - 1, 1)) * changes.sem(axis=1)
        return summary.assign(low=summary["change"] - half, high=summary["change"] + half)
    drawn = pd.concat(
        [
            pd.concat([measure(case, own)["change"] for case, own in resampled], axis=1).mean(axis=1)
            for resampled in _resamples(cases, cutoffs)
        ],
        axis=1,
    )
    return summary.assign(
        low=drawn.quantile(0.5 - LEVEL / 2, axis=1), high=drawn.quantile(0.5 + LEVEL / 2, axis=1)
    )


def _resamples(cases: list[Case], cutoffs: list) -> Iterator[list[tuple]]:
    """The cases again and again, each time with the same draw of test applicants for all of them."""
    for seeds in np.random.SeedSequence(0).spawn(RESAMPLES):
        yield [
            (case.resampled(_draw(case.test.labels, np.random.default_rng(seeds))), own)
            for case, own in zip(cases, cutoffs, strict=True)
        ]


def _draw(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Row numbers (n,) drawn with replacement, holding both classes."""
    while True:
        rows = rng.integers(len(labels), size=len(labels))
        if 0 < labels[rows].sum() < len(rows):
            return rows
