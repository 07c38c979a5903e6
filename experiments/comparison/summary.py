"""A study in words: the headline, the comparison table and the descriptions of runs, as text and Markdown.

The comparison is a pandas DataFrame with one row per contender and the columns `COLUMNS`; a figure that does
not apply to a contender is NaN and shows as a dash.
"""

from collections.abc import Callable, Iterable, Mapping

import pandas as pd

COLUMNS = (
    "contender",
    "auc",
    "auc_low",
    "auc_high",
    "gini",
    "ks",
    "brier",
    "approval_rate",
    "uplift_auc",
    "uplift_gini_relative",
    "p_value",
    "recovered",
    "round_trips",
    "megabytes",
    "seconds",
    "cpu_seconds",
)

BASELINES = ("bank-only-boosting", "bank-only-network", "bank-only-scorecard", "bank-only-trees")
"""What a bank can do alone: the first of these in a study is what its other contenders are compared with."""

SIGNIFICANT = 0.05
"""Above this p-value a difference of AUC is not called one."""

_DASH = "–"
_GAP = " | \u00a0"
"""MLflow's pages set the cells of a table without any space between them, hence the hard one."""

Columns = dict[str, tuple[str, Callable[[float], str]]]
"""Column of the comparison: its title and how a value is written."""


def baseline_of(contenders: Iterable[str]) -> str | None:
    """The contender of a study with which the others are compared, or None when it has none of `BASELINES`."""
    there = set(contenders)
    return next((name for name in BASELINES if name in there), None)


def is_usable(contender: str) -> bool:
    """Whether the contender can exist outside an experiment: no pooled rows and no knowledge of the truth."""
    return not contender.startswith(("pooled-", "true-"))


def winner(comparison: pd.DataFrame) -> pd.Series:
    """The row of highest AUC among the usable contenders, or among all if none is usable."""
    usable = comparison[comparison["contender"].map(is_usable)]
    rows = usable if len(usable) else comparison
    return rows.loc[rows["auc"].idxmax()]


def headline(comparison: pd.DataFrame) -> str:
    """Who won and by how much, short enough for a run's name.

    The winner is taken among the contenders that a bank could use, since a model of pooled rows and the true
    PD only show what there was to gain. ValueError when the comparison is empty or lacks a column.
    """
    if missing := [name for name in COLUMNS if name not in comparison]:
        raise ValueError(f"the comparison lacks the columns {', '.join(missing)}")
    if comparison.empty:
        raise ValueError("the comparison has no contender")
    best = winner(comparison)
    if best.contender.startswith("bank-only"):
        return _bank_only_headline(comparison, best)
    if pd.isna(best.uplift_auc):
        return f"{best.contender} AUC {best.auc:.3f}"
    sure = (
        ""
        if pd.isna(best.p_value) or best.p_value < SIGNIFICANT
        else f" (not significant, p = {best.p_value:.2f})"
    )
    return f"{best.contender} {best.uplift_auc:+.3f} AUC over bank-only{sure}"


def _bank_only_headline(comparison: pd.DataFrame, best: pd.Series) -> str:
    """What to say when no federated contender beats the bank alone, or when there is none."""
    rivals = comparison[comparison["contender"].str.startswith("federated")]
    if rivals.empty:
        return f"{best.contender} AUC {best.auc:.3f}"
    rival = rivals.loc[rivals["auc"].idxmax()]
    return f"{best.contender} ahead: {rival.contender} {rival.auc - best.auc:+.3f} AUC"


def study_description(name: str, comparison: pd.DataFrame) -> str:
    """The parent run's description: headline, comparison table, and how to read it."""
    return "\n\n".join(
        [
            headline(comparison),
            comparison_markdown(comparison, QUALITY),
            comparison_markdown(comparison, COST),
            f"Uplift and p-value (paired DeLong test) compare with {baseline_of(comparison['contender'])}; "
            "approved is the approval rate at the bad rate that it has at 60 % approval; recovered is the share of "
            "the pooled gain. Pooled contenders and the true PD are yardsticks: they use what no party may see.",
            f"Study: {name}. Each contender and seed is a run nested below it.",
        ]
    )


def quality_line(contender: str, metrics: Mapping[str, float]) -> str:
    """How good a contender is; `metrics` as in `fl.evaluation.Evaluation`."""
    return (
        f"**{contender}: AUC {metrics['auc']:.3f}** (95 % interval {metrics['auc_low']:.3f} to "
        f"{metrics['auc_high']:.3f}), Gini {metrics['gini']:.3f}, KS {metrics['ks']:.3f}, "
        f"Brier {metrics['brier']:.4f}."
    )


def cost_line(costs: Mapping[str, float]) -> str:
    """What training took; `costs` has round_trips, megabytes, seconds and cpu_seconds."""
    return (
        f"Trained in {costs['seconds']:.0f} s ({costs['cpu_seconds']:.0f} s of CPU) with "
        f"{costs['round_trips']:,.0f} round trips and {costs['megabytes']:.1f} MB moved."
    )


def _number(digits: int, sign: str = "") -> Callable[[float], str]:
    return lambda value: format(value, f"{sign},.{digits}f")


def _percent(digits: int, sign: str = "") -> Callable[[float], str]:
    return lambda value: f"{100 * value:{sign}.{digits}f} %"


def p_value_text(value: float) -> str:
    """A p-value as it is written everywhere."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


QUALITY: Columns = {
    "auc": ("AUC", _number(3)),
    "uplift_auc": ("Uplift", _number(3, "+")),
    "p_value": ("p", p_value_text),
    "gini": ("Gini", _number(3)),
    "ks": ("KS", _number(3)),
    "brier": ("Brier", _number(4)),
    "approval_rate": ("Approved", _percent(1)),
}
COST: Columns = {
    "recovered": ("Recovered", _percent(0)),
    "uplift_gini_relative": ("Gini uplift", _percent(0, "+")),
    "round_trips": ("Round trips", _number(0)),
    "megabytes": ("MB", _number(0)),
    "seconds": ("Seconds", _number(0)),
    "cpu_seconds": ("CPU seconds", _number(0)),
}
"""Two tables rather than one, since the page shows it in a column of half the window's width."""


def comparison_markdown(comparison: pd.DataFrame, columns: Columns) -> str:
    """The comparison as a Markdown table of `columns`: the winner in bold, rivals, then yardsticks."""
    titles = ["Contender", *(title for title, _ in columns.values())]
    rows = [titles]
    best = winner(comparison).contender
    ranked = comparison.assign(usable=comparison["contender"].map(is_usable))
    for row in ranked.sort_values(["usable", "auc"], ascending=False).to_dict("records"):
        name = f"**{row['contender']}**" if row["contender"] == best else str(row["contender"])
        cells = [
            _DASH if pd.isna(row[column]) else show(row[column]) for column, (_, show) in columns.items()
        ]
        rows.append([name, *cells])
    head, *body = (f"| {_GAP.join(cells)} |" for cells in rows)
    return "\n".join([head, f"| --- {'| ---: ' * len(columns)}|", *body])
