"""How figures of groups are written, and the tables of text about them."""

import pandas as pd

from experiments.lending.fairness import APPLICANTS, GINI, LEAST_GROUP, Fairness
from experiments.lending.figures import Pair
from experiments.lending.measures import SIDES
from experiments.lending.mitigation import MEASURES
from experiments.lending.wording import DASH, labels

_OLD, _NEW = SIDES


def finding(fairness: Fairness, pair: Pair) -> str:
    """How many groups the new model approves relatively more or less of, compared with the largest of their segment."""
    changes = fairness.table.xs(("approval_rate", "ratio change"), level=("measure", "figure"))
    others = changes[[group != fairness.largest[segment] for segment, group in changes.index]]
    nearer, further = (int((others[end] * sign > 0).sum()) for end, sign in (("low", 1), ("high", -1)))
    return (
        f"Compared with the largest group of its segment, the new model ({labels(pair)[1]}) approves relatively more "
        f"of {nearer} of the {len(others)} other groups and relatively less of {further}; of the rest no change can "
        "be shown. One in twenty such intervals excludes no change by luck."
    )


def segment_finding(fairness: Fairness, segment: str, pair: Pair) -> str:
    """The lowest group beside the highest under both models, and the groups whose approval changes relatively."""
    gap, (alone, federated) = fairness.gaps.loc[segment], labels(pair)
    ratio, difference = gap.loc[("approval_rate", "ratio")], gap.loc[("approval_rate", "difference")]
    text = (
        f"Approval rate of the lowest group over that of the highest: {ratio[_OLD]:.2f} {alone}, {ratio[_NEW]:.2f} "
        f"{federated} (difference {100 * difference[_OLD]:.1f} and {100 * difference[_NEW]:.1f} points)."
    )
    changes = fairness.table.loc[segment].xs(("approval_rate", "ratio change"), level=("measure", "figure"))
    for word, rows in (
        ("relatively more of", changes[changes["low"] > 0]),
        ("relatively less of", changes[changes["high"] < 0]),
    ):
        if len(rows):
            named = ", ".join(f"{group} ({_signed(row)})" for group, row in rows.iterrows())
            text += f" Compared with {fairness.largest[segment]}, the largest, it approves {word} {named}."
    return text


def segment_table(fairness: Fairness, segment: str) -> pd.DataFrame:
    """How both models treat the groups of a segment, as a table of text: least approved first, withheld ones last."""
    of_segment, largest = fairness.table.loc[segment], fairness.largest[segment]
    applicants = of_segment.xs(APPLICANTS, level="measure").droplevel("figure")["value"]
    shown = of_segment.loc[(slice(None), "approval_rate", _OLD), "value"].sort_values().index
    hidden = applicants.index[applicants.isna()]
    rows = [
        {segment: group, **_row(of_segment.loc[group], largest, group == largest)}
        for group in shown.get_level_values("group")
    ]
    rows += [{segment: group, "applicants": f"fewer than {LEAST_GROUP}"} for group in hidden]
    return pd.DataFrame(rows).fillna(DASH)


def _row(figures: pd.DataFrame, largest: str, is_largest: bool) -> dict[str, str]:
    """One group; figures have the index (measure, figure)."""

    def both(measure: str) -> str:
        return f"{_percent(figures, measure, _OLD)} → {_percent(figures, measure, _NEW)}"

    calibration = figures.loc[("calibration", _NEW)]
    row = {
        "applicants": f"{figures.loc[(APPLICANTS, _NEW), 'value']:,.0f}",
        "approved": f"{both('approval_rate')}: {_points(figures.loc[('approval_rate', 'change')])}",
        f"ratio to {largest}": "1" if is_largest else _ratio(figures, "approval_rate"),
        f"difference from {largest}": (
            DASH if is_largest else _points(figures.loc[("approval_rate", f"{_NEW} difference")])
        ),
        "good payers approved": both("true_positive_rate")
        + ("" if is_largest else f"; ratio {_ratio(figures, 'true_positive_rate')}"),
        "bad rate of the approved": both("bad_rate") if ("bad_rate", _OLD) in figures.index else DASH,
        "mean PD less observed rate": (
            f"{_percent(figures, 'mean_pd', _NEW)} less {_percent(figures, 'observed_rate', _NEW)}: "
            f"{_points(calibration)}"
        ),
    }
    if ("sound_approved", _NEW) in figures.index:
        row["true PD"] = _percent(figures, "mean_true_pd", _NEW)
        row["approved of those sound by true PD"] = both("sound_approved")
    if (GINI, "change") in figures.index:
        gini = [figures.loc[(GINI, side), "value"] for side in SIDES]
        row["Gini"] = f"{gini[0]:.2f} → {gini[1]:.2f}: {_signed(figures.loc[(GINI, 'change')])}"
    return row


def mitigation_table(mitigations: pd.DataFrame) -> pd.DataFrame:
    """What each mitigation changes, as a table of text."""
    return pd.DataFrame(
        {
            "mitigation": name,
            "": MEASURES[measure],
            "as it is": _level(measure, row["before"]),
            "mitigated": _level(measure, row["after"]),
            "change": _change(measure, row),
        }
        for (name, measure), row in mitigations.iterrows()
    )


def _level(measure: str, value: float) -> str:
    if pd.isna(value):
        return DASH
    if measure.endswith("profit"):
        return f"{value:,.0f} CNY"
    return f"{value:.3f}" if measure.endswith(("ratio", GINI)) else f"{100 * value:.1f} %"


def _change(measure: str, row: "pd.Series[float]") -> str:
    if measure.endswith("profit"):
        return f"{row['change']:+z,.0f} CNY ({row['low']:+z,.0f} to {row['high']:+z,.0f})"
    return _signed(row, "change", 3) if measure.endswith(("ratio", GINI)) else _points(row, "change")


def _percent(figures: pd.DataFrame, measure: str, figure: str) -> str:
    return f"{100 * figures.loc[(measure, figure), 'value']:.1f} %"


def _ratio(figures: pd.DataFrame, measure: str) -> str:
    old, new = figures.loc[(measure, f"{_OLD} ratio")], figures.loc[(measure, f"{_NEW} ratio")]
    return f"{old['value']:.2f} → {new['value']:.2f} ({new['low']:.2f} to {new['high']:.2f})"


def _points(row: "pd.Series[float]", name: str = "value") -> str:
    value, low, high = (100 * row[end] for end in (name, "low", "high"))
    return f"{value:+z.1f} points ({low:+z.1f} to {high:+z.1f})"


def _signed(row: "pd.Series[float]", name: str = "value", digits: int = 2) -> str:
    value, low, high = (f"{row[end]:+z.{digits}f}" for end in (name, "low", "high"))
    return f"{value} ({low} to {high})"
