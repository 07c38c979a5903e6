"""A study in words: its headline, and its description with the comparison of the contenders.

The comparison is a pandas DataFrame with one row per contender and the columns `COLUMNS`. A figure that does
not apply to a contender is NaN and is written as a dash.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd

from server.tracking.pages import to_markdown

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
"""What a bank can do alone. A study's other contenders are compared with the first of these that it has."""

GAIN = ("bank-only-trees", "pooled-trees")
"""The gain that pooling would bring: from the bank's own strongest model to the strongest one of all data pooled."""

SIGNIFICANT = 0.05
"""Above this p-value a difference of AUC is not called one."""

_GAP = "\u00a0"
"""MLflow's pages set the cells of a table without any space between them, hence this hard one before each."""

Columns = dict[str, tuple[str, Callable[[float], str]]]
"""By column of the comparison its title, and the function that writes a value."""


def baseline_of(contenders: Iterable[str]) -> str | None:
    """The contender of a study with which the others are compared, or None when it has none of `BASELINES`."""
    names = set(contenders)
    return next((name for name in BASELINES if name in names), None)


def is_usable(contender: str) -> bool:
    """Whether the contender can exist outside an experiment: it needs neither pooled rows nor the true PD."""
    return not contender.startswith(("pooled-", "true-"))


def winner(comparison: pd.DataFrame) -> pd.Series:
    """The row of highest AUC among the usable contenders, or among all if none is usable."""
    usable = comparison[comparison["contender"].map(is_usable)]
    rows = usable if len(usable) else comparison
    return rows.loc[rows["auc"].idxmax()]


def best_federated(comparison: pd.DataFrame) -> str | None:
    """The contender of highest AUC that a federation has trained, or None when there is none."""
    rows = comparison[comparison["contender"].str.startswith(("federated-", "banks-", "hybrid-"))]
    return None if rows.empty else str(rows.loc[rows["auc"].idxmax(), "contender"])


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
    doubt = f" (not significant, p = {best.p_value:.2f})" if best.p_value >= SIGNIFICANT else ""
    return f"{best.contender} {best.uplift_auc:+.3f} AUC over bank-only{doubt}"


def _bank_only_headline(comparison: pd.DataFrame, best: pd.Series) -> str:
    """What to say when no federated contender beats the bank alone, or when there is none."""
    rivals = comparison[comparison["contender"] == best_federated(comparison)]
    if rivals.empty:
        return f"{best.contender} AUC {best.auc:.3f}"
    rival = rivals.iloc[0]
    return f"{best.contender} ahead: {rival.contender} {rival.auc - best.auc:+.3f} AUC"


def study_description(
    name: str,
    comparison: pd.DataFrame,
    failures: Mapping[str, str],
    doubts: Sequence[str],
    of_banks: Sequence[str | pd.DataFrame] = (),
) -> str:
    """The description of a study in Markdown: headline, comparison, how to read it, and what to beware of.

    failures has the reason of each contender that has no model; doubts are sentences on those that have one; of_banks
    are tables and sentences on each of several banks.
    """
    return to_markdown(
        [
            headline(comparison),
            with_failed(comparison_table(comparison, QUALITY), failures),
            *of_banks,
            comparison_table(comparison, COST),
            *failures_in_words(failures),
            *doubts,
            f"Uplift and p-value (paired DeLong test) compare with {baseline_of(comparison['contender'])}; "
            "approved is the approval rate at the bad rate that it has at 60 % approval. "
            f"{recovered_in_words(comparison)} Pooled contenders and the true PD are yardsticks: they use what no "
            "party may see.",
            f"Study: {name}. Each contender and seed is a run nested below it.",
        ]
    )


def recovered_in_words(comparison: pd.DataFrame) -> str:
    """What the column `recovered` is, or why it is empty although the study has both contenders of `GAIN`."""
    gain = f"{GAIN[1]} minus {GAIN[0]}"
    if set(GAIN) <= set(comparison["contender"]) and comparison["recovered"].isna().all():
        return f"Recovered is empty, because the pooled gain ({gain}) is not above noise."
    return f"Recovered: share of the pooled gain ({gain})."


def failures_in_words(failures: Mapping[str, str]) -> list[str]:
    """A sentence for each reason, which names the contenders that failed for it; failures has reasons by contender."""
    reasons = dict.fromkeys(failures.values())
    return [
        f"{', '.join(name for name, its in failures.items() if its == reason)} failed: {reason}"
        for reason in reasons
    ]


def with_failed(texts: pd.DataFrame, failed: Iterable[str]) -> pd.DataFrame:
    """A table of texts with a row for each contender that has failed: its name, the word, and dashes."""
    rows = [[name, "failed", *["–"] * (texts.shape[1] - 2)] for name in failed]
    return pd.concat([texts, pd.DataFrame(rows, columns=texts.columns)], ignore_index=True)


def number(digits: int, sign: str = "") -> Callable[[float], str]:
    """How a number is written: with so many digits, and a sign if `sign` is "+"."""
    return lambda value: format(value, f"{sign},.{digits}f")


def _percent(digits: int, sign: str = "") -> Callable[[float], str]:
    return lambda value: f"{100 * value:{sign}.{digits}f} %"


def p_value_text(value: float) -> str:
    """A p-value as it is written everywhere."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


QUALITY: Columns = {
    "auc": ("AUC", number(3)),
    "uplift_auc": ("Uplift", number(3, "+")),
    "p_value": ("p", p_value_text),
    "gini": ("Gini", number(3)),
    "ks": ("KS", number(3)),
    "brier": ("Brier", number(4)),
    "approval_rate": ("Approved", _percent(1)),
}
COST: Columns = {
    "recovered": ("Recovered", _percent(0)),
    "uplift_gini_relative": ("Gini uplift", _percent(0, "+")),
    "round_trips": ("Round trips", number(0)),
    "megabytes": ("MB", number(0)),
    "seconds": ("Seconds", number(0)),
    "cpu_seconds": ("CPU seconds", number(0)),
}
"""The columns of two tables rather than one, since MLflow's page is half as wide as the window."""


def comparison_table(comparison: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The `columns` of the comparison as texts: the winner in bold, its rivals, then the yardsticks."""
    best = winner(comparison).contender
    ranked = comparison.assign(usable=comparison["contender"].map(is_usable)).sort_values(
        ["usable", "auc"], ascending=False
    )
    names = ranked["contender"].map(lambda name: f"**{name}**" if name == best else name)
    texts = written(ranked, columns).rename(columns=f"{_GAP}{{}}".format).map(f"{_GAP}{{}}".format)
    return pd.concat([names.rename("Contender"), texts], axis=1)


def written(comparison: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The `columns` of the comparison as texts, under their titles; a dash where a figure does not apply."""
    return pd.DataFrame(
        {
            title: comparison[column].map(write, na_action="ignore").astype(object).fillna("–")
            for column, (title, write) in columns.items()
        }
    )
