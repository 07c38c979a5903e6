"""Means of the measures of several cases, with an interval: over economies, or over resampled applicants of one."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from experiments.lending.cases import Case
from experiments.lending.measures import choose_cutoffs, measure
from experiments.lending.policy import Policy

LEVEL = 0.95
RESAMPLES = 400


def summarise(cases: list[Case], policy: Policy) -> pd.DataFrame:
    """Every measure of a world, with its interval: index and columns as of `measure`, and low and high.

    See `over_cases`. The models' own cut-offs stay as they are.
    """
    cutoffs = [choose_cutoffs(case, policy) for case in cases]
    return over_cases(cases, [partial(measure, cutoffs=chosen) for chosen in cutoffs])


def over_cases(cases: list[Case], measured: list[Callable[[Case], pd.DataFrame]]) -> pd.DataFrame:
    """The mean of what is measured of each case, with the ends low and high of the 95 % interval of its column change.

    Figures are means over the economies, and those of an economy are means over its seeds. With several economies the
    interval is Student's t over them, since seeds of one economy share their test rows and are no independent sample.
    With one it is a percentile bootstrap over its test applicants, who are the same for both models and all seeds; the
    models stay as they are.
    """
    frames = [measure_of(case) for case, measure_of in zip(cases, measured, strict=True)]
    order = frames[0].index
    by_economy = pd.concat(frames, keys=[case.economy for case in cases], names=["economy"])
    means = by_economy.groupby(["economy", *order.names], sort=False).mean()
    summary = means.groupby(order.names, sort=False).mean().reindex(order)
    changes = means["change"].unstack("economy").reindex(order)
    if changes.shape[1] > 1:
        count = changes.notna().sum(axis=1)
        half = stats.t.ppf(0.5 + LEVEL / 2, np.maximum(count - 1, 1)) * changes.sem(axis=1)
        return summary.assign(low=summary["change"] - half, high=summary["change"] + half)
    drawn = pd.concat(
        [_resampled_change(cases, measured, seed) for seed in np.random.SeedSequence(0).spawn(RESAMPLES)],
        axis=1,
    )
    low, high = (drawn.quantile(share, axis=1) for share in (0.5 - LEVEL / 2, 0.5 + LEVEL / 2))
    return summary.assign(low=low, high=high)


def _resampled_change(
    cases: list[Case], measured: list[Callable[[Case], pd.DataFrame]], seed: np.random.SeedSequence
) -> "pd.Series[float]":
    """The mean change of every measure over the cases, all with the same draw of test applicants."""
    changes = [
        measure_of(case.resampled(draw_rows(case.test.labels, np.random.default_rng(seed))))["change"]
        for case, measure_of in zip(cases, measured, strict=True)
    ]
    return pd.concat(changes, axis=1).mean(axis=1)


def draw_rows(labels: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.int64]:
    """Row numbers (n,), drawn with replacement until there are rows of both classes of `labels` (n,)."""
    while True:
        rows = rng.integers(len(labels), size=len(labels))
        if 0 < labels[rows].sum() < len(rows):
            return rows
