"""How two models treat groups of applicants: approvals, bad rates, calibration and ranking by segment, with intervals.

Both models decide at their own cut-offs. Every measure but Gini is one sum over rows divided by another, such as the
approved good payers by all good payers; `fairlearn.metrics.MetricFrame` takes them apart by group, and the bootstrap,
which draws the same applicants for both models, adds up the same rows. Groups are compared with the largest one of
their segment. Since no outcome has chosen it, the intervals of these ratios and differences hold; those of the lowest
to the highest group are fairlearn's and have none, because luck has a part in which groups these are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from experiments.lending import intervals
from experiments.lending.cases import Case
from experiments.lending.decisions import choose_cutoff
from experiments.lending.measures import SIDES, Cutoffs
from experiments.lending.policy import Policy
from fl import metrics
from fl.metrics.checks import Booleans, Floats

if TYPE_CHECKING:
    from fairlearn.metrics import MetricFrame

LEAST_GROUP = 50
"""Test applicants below which a group is withheld."""
LEAST_CLASS = 10
"""Bads, and goods, below which a group has no Gini."""
_AT_ONCE = 20  # resamples in memory
GINI, APPLICANTS = "gini", "applicants"
GAPS = ("approval_rate", "true_positive_rate", "sound_approved")
"""Measures of which the lowest and the highest group are compared."""
FIGURES = (
    *SIDES,
    "change",
    *(f"{side} {kind}" for kind in ("ratio", "difference") for side in SIDES),
    "ratio change",
)
"""Of each measure: its level under both models and the change; its ratio to, and its difference from, the level of the
largest group under both models; and the change of that ratio."""

_Column: TypeAlias = NDArray[Any]
_Share: TypeAlias = Callable[..., tuple[_Column, _Column]]


def _of_all(counted: _Column) -> tuple[_Column, _Column]:
    return counted, np.ones(len(counted))


SHARES: Mapping[str, tuple[_Share, tuple[str, ...]]] = {
    "approval_rate": (lambda good, approved: _of_all(approved), ()),
    "true_positive_rate": (lambda good, approved: (approved & good, good), ()),
    "bad_rate": (lambda good, approved: (approved & ~good, approved), ()),
    "mean_pd": (lambda good, approved, pd: _of_all(pd), ("pd",)),
    "observed_rate": (lambda good, approved: _of_all(~good), ()),
    "calibration": (lambda good, approved, pd: _of_all(pd - ~good), ("pd",)),
    "mean_true_pd": (lambda good, approved, true_pd: _of_all(true_pd), ("true_pd",)),
    "sound_approved": (lambda good, approved, sound: (approved & sound, sound), ("sound",)),
}
"""Of each measure, the two columns (n,) whose sums over the rows of a group it divides, computed from who repaid, who
is approved, and the columns of `Decided` that are named."""


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What one model made of n applicants.

    bad       bool (n,): who defaulted
    pd        float64 (n,): the model's PD
    approved  bool (n,): at the model's own cut-off
    true_pd   float64 (n,), of a simulated economy
    sound     bool (n,), of a simulated economy: whom the policy would approve if it knew the true PD
    """

    bad: Booleans
    pd: Floats
    approved: Booleans
    true_pd: Floats | None = None
    sound: Booleans | None = None

    @property
    def shares(self) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
        """Of each measure that can be had, by name, the two columns (n,) whose sums over a group it divides."""
        return {
            name: share(~self.bad, self.approved, *(getattr(self, column) for column in columns))
            for name, (share, columns) in SHARES.items()
            if all(getattr(self, column) is not None for column in columns)
        }


@dataclass(frozen=True)
class Fairness:
    """How both models treat the groups of every segment.

    table     index (segment, group, measure, figure), columns value, low, high: means over the economies and the ends
              of their 95 % intervals. A group that is withheld has only the measure `applicants`, which is missing.
    gaps      index (segment, measure, kind), columns reference, challenger: the `ratio` of the lowest group's level to
              the highest group's, and their `difference`, by fairlearn
    largest   the largest group of each segment
    """

    table: pd.DataFrame
    gaps: pd.DataFrame
    largest: Mapping[str, str]


def decided(case: Case, cutoffs: Cutoffs, policy: Policy) -> tuple[Decided, Decided]:
    """What the reference and the challenger decide on the test applicants at their own cut-offs."""
    test, validation = case.test, case.validation
    sound = None
    if test.true_pd is not None and validation.true_pd is not None:
        best = choose_cutoff(validation.labels, validation.true_pd, validation.cash_flow, policy)
        sound = test.true_pd <= best.maximum_pd
    reference, challenger = (
        Decided(
            bad=test.labels == 1,
            pd=pds,
            approved=pds <= of_model.maximum_pd,
            true_pd=test.true_pd,
            sound=sound,
        )
        for pds, of_model in zip(test.pds, (cutoffs.reference, cutoffs.challenger), strict=True)
    )
    return reference, challenger


def metric_frame(made: Decided, groups: NDArray[np.str_]) -> "MetricFrame":
    """Every measure by group (n,). A measure of nobody is NaN, and so is the Gini of a group of few bads or goods."""
    # Only a report that has segments pays for this import, which takes seconds.
    from fairlearn.metrics import MetricFrame

    metrics_of = {name: (partial(_share, SHARES[name][0]), SHARES[name][1]) for name in made.shares}
    metrics_of[GINI] = _gini, ("pd",)
    return MetricFrame(
        metrics={name: metric for name, (metric, _) in metrics_of.items()},
        y_true=~made.bad,
        y_pred=made.approved,
        sensitive_features=pd.Series(groups, name="group"),
        sample_params={
            name: {column: getattr(made, column) for column in columns}
            for name, (_, columns) in metrics_of.items()
        },
    )


def _share(share: _Share, good: Booleans, approved: Booleans, **columns: _Column) -> float:
    counted, among = (part.sum() for part in share(good, approved, **columns))
    return float(counted / among) if among else np.nan


def _gini(good: Booleans, approved: Booleans, pd: Floats) -> float:
    return metrics.gini(~good, pd) if min(good.sum(), (~good).sum()) >= LEAST_CLASS else np.nan


def resampled(both: tuple[Decided, Decided], members: Booleans, resamples: int) -> NDArray[np.float64]:
    """Every measure of both models in every group, (resamples, 2, measures, groups), over rows drawn with replacement.

    members (groups, n) says who belongs to which group. The draws depend on n alone.
    """
    rows, pieces = members.shape[1], []
    for seed in np.random.SeedSequence(0).spawn(-(-resamples // _AT_ONCE)):
        draws = np.random.default_rng(seed).integers(rows, size=(_AT_ONCE, rows))
        weights = np.array([np.bincount(draw, minlength=rows) for draw in draws], np.float64)
        pieces.append(np.stack([levels_of(made, members, weights) for made in both], axis=1))
    return np.concatenate(pieces)[:resamples]


def levels_of(made: Decided, members: Booleans, weights: Floats) -> NDArray[np.float64]:
    """Every measure of one model in every group, (r, measures, groups), where rows count as often as weights (r, n)."""
    counted, among = (np.array(part, np.float64) for part in zip(*made.shares.values(), strict=True))
    levels = []
    for inside in members:
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = (weights[:, inside] @ counted[:, inside].T) / (weights[:, inside] @ among[:, inside].T)
        gini = weighted_gini(made.bad[inside], made.pd[inside], weights[:, inside])
        levels.append(np.column_stack([shares, gini]))
    return np.stack(levels, axis=-1)


def weighted_gini(bad: Booleans, pd: Floats, weights: Floats) -> Floats:
    """Gini (r,) of n rows that count as often as weights (r, n); NaN for few bads or goods.

    >>> twice = np.array([[2.0, 1.0] * 20])
    >>> bad, pd = np.arange(40) % 4 > 1, np.arange(40) / 40
    >>> float(weighted_gini(bad, pd, twice)[0]) == metrics.gini(np.repeat(bad, [2, 1] * 20), np.repeat(pd, [2, 1] * 20))
    True
    """
    if min(bad.sum(), (~bad).sum()) < LEAST_CLASS:
        return np.full(len(weights), np.nan)
    order = np.argsort(pd, kind="stable")
    starts = np.unique(pd[order], return_index=True)[1]
    goods, bads = (
        np.add.reduceat(weights[:, order] * of_class[order], starts, axis=1) for of_class in (~bad, bad)
    )
    outranked = goods.cumsum(axis=1) - goods / 2
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * (bads * outranked).sum(1) / (bads.sum(1) * goods.sum(1)) - 1)


def figures_of(levels: NDArray[np.float64], base: list[int]) -> NDArray[np.float64]:
    """The figures (…, figures, measures, groups) of levels (…, 2, measures, groups); base are the largest groups."""
    of_largest = levels[..., base]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.where(of_largest == 0, np.nan, levels / of_largest)
    differences = levels - of_largest
    changes, ratio_changes = (np.diff(part, axis=-3) for part in (levels, ratios))
    return np.concatenate([levels, changes, ratios, differences, ratio_changes], axis=-3)


def measure_fairness(cases: list[Case], cutoffs: list[Cutoffs], policy: Policy) -> Fairness:
    """How both models treat the groups of every segment of the test applicants, at the models' own cut-offs.

    Figures are means over the economies, and those of an economy means over its seeds. With several economies the
    interval is Student's t over them; with one it is a percentile bootstrap over the test applicants. A segment in
    which fewer than two groups have enough applicants is left out.
    """
    made = [decided(case, chosen, policy) for case, chosen in zip(cases, cutoffs, strict=True)]
    sizes = {segment: _sizes(cases, segment) for segment in cases[0].test.segments}
    sizes = {segment: counts for segment, counts in sizes.items() if counts.notna().sum() > 1}
    if not sizes:
        return Fairness(pd.DataFrame(columns=["value", "low", "high"]), pd.DataFrame(columns=SIDES), {})
    largest = {segment: str(counts.idxmax()) for segment, counts in sizes.items()}
    groups = [(segment, group) for segment, counts in sizes.items() for group in counts.dropna().index]
    base = [groups.index((segment, largest[segment])) for segment, _ in groups]
    levels, gaps = zip(
        *(_by_group(case, both, groups) for case, both in zip(cases, made, strict=True)), strict=True
    )
    members = [
        np.array([case.test.segments[segment] == group for segment, group in groups]) for case in cases
    ]
    figures = _with_interval(cases, made, members, [figures_of(one, base) for one in levels], base)
    measures = (*made[0][0].shares, GINI)
    index = pd.MultiIndex.from_tuples(
        [(*group, measure, figure) for figure in FIGURES for measure in measures for group in groups],
        names=["segment", "group", "measure", "figure"],
    )
    table = pd.DataFrame({name: part.ravel() for name, part in figures.items()}, index)
    # Calibration is a difference around zero, and the ratio of two such differences says nothing.
    measure, figure = (table.index.get_level_values(name) for name in ("measure", "figure"))
    table = table[~((measure == "calibration") & figure.str.contains("ratio"))].dropna(how="all")
    counts = pd.concat(sizes, names=["segment", "group"]).to_frame("value")
    counts.index = pd.MultiIndex.from_tuples([(*key, APPLICANTS, SIDES[1]) for key in counts.index])
    table = pd.concat([counts, table]).rename_axis(index.names)
    return Fairness(table.sort_index(), pd.concat(gaps).groupby(level=[0, 1, 2]).mean(), largest)


def _sizes(cases: list[Case], segment: str) -> "pd.Series[float]":
    """Test applicants of each group, mean over the cases; NaN of a group that has too few in one of them."""
    counts = pd.DataFrame([pd.Series(case.test.segments[segment]).value_counts() for case in cases]).fillna(0)
    return counts.mean().where((counts >= LEAST_GROUP).all()).rename_axis("group").sort_index()


def _by_group(
    case: Case, both: tuple[Decided, Decided], groups: list[tuple[str, str]]
) -> tuple[NDArray[np.float64], pd.DataFrame]:
    """Every measure of both models in every group, (2, measures, groups), and the gaps of the segments."""
    levels, gaps = [], {}
    for segment in dict.fromkeys(segment for segment, _ in groups):
        of_row, shown = case.test.segments[segment], [group for name, group in groups if name == segment]
        enough = np.isin(of_row, shown)
        frames = [metric_frame(_of_rows(one, enough), of_row[enough]) for one in both]
        levels.append(np.array([frame.by_group.loc[shown].T.to_numpy(float) for frame in frames]))
        for kind in ("ratio", "difference"):
            of_models = {side: getattr(frame, kind)() for side, frame in zip(SIDES, frames, strict=True)}
            gaps[segment, kind] = pd.DataFrame(of_models).reindex(GAPS).dropna(how="all")
    joined = pd.concat(gaps, names=["segment", "kind", "measure"]).reorder_levels([0, 2, 1])
    return np.concatenate(levels, axis=-1), joined


def _with_interval(
    cases: list[Case],
    made: list[tuple[Decided, Decided]],
    members: list[Booleans],
    figures: list[NDArray[np.float64]],
    base: list[int],
) -> dict[str, NDArray[np.float64]]:
    """The means of the figures of all cases, with the ends of their intervals."""
    by_economy: dict[int, list[NDArray[np.float64]]] = {}
    for case, one in zip(cases, figures, strict=True):
        by_economy.setdefault(case.economy, []).append(one)
    means = np.array([np.mean(of_seeds, axis=0) for of_seeds in by_economy.values()])
    value = means.mean(axis=0)
    if len(means) > 1:
        half = stats.t.ppf(0.5 + intervals.LEVEL / 2, len(means) - 1) * stats.sem(means, axis=0)
        return {"value": value, "low": value - half, "high": value + half}
    drawn = [resampled(both, inside, intervals.RESAMPLES) for both, inside in zip(made, members, strict=True)]
    low, high = bounds(np.mean([figures_of(of_case, base) for of_case in drawn], axis=0))
    return {"value": value, "low": low, "high": high}


def bounds(drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Both ends of the percentile interval of resampled figures (r, …), without those that a resample does not have."""
    # A figure that no resample has stays NaN; NumPy would warn of it.
    ends = np.full((2, *drawn.shape[1:]), np.nan)
    there = ~np.isnan(drawn).all(axis=0)
    half = intervals.LEVEL / 2
    ends[:, there] = np.nanquantile(drawn[:, there], [0.5 - half, 0.5 + half], axis=0)
    return ends


def _of_rows(made: Decided, rows: Booleans) -> Decided:
    """The decisions on some rows."""
    return Decided(
        bad=made.bad[rows],
        pd=made.pd[rows],
        approved=made.approved[rows],
        true_pd=None if made.true_pd is None else made.true_pd[rows],
        sound=None if made.sound is None else made.sound[rows],
    )
