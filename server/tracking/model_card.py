"""The model card of a scorecard, in Markdown and HTML: what it is, how good, how stable, and for whom it is less so.

It is written from the scorecard's own tables of an evaluation (`scorecard`, `groups`, `reasons`, `scale`), so it needs
nothing but what the coordinator has been told. Columns of passive parties have the names that their handshake told, if
it told any.
"""

import numpy as np
import pandas as pd

from fl.evaluation import Evaluation
from server.tracking.pages import Heading, Part, to_html, to_markdown

STABLE, SHIFTED = 0.1, 0.25
"""Population stability indices below the first are customarily called stable, above the second shifted."""


def files(contender: str, evaluation: Evaluation) -> dict[str, str]:
    """The card by file name; none for a model that is no scorecard."""
    if "scorecard" not in evaluation.tables:
        return {}
    page = [Heading(f"Model card: {contender}", 1), *parts(evaluation)]
    return {"model_card.md": to_markdown(page), "model_card.html": to_html(page, {})}


def parts(evaluation: Evaluation) -> list[Part]:
    """What the card says below its title."""
    tables = {name: pd.DataFrame(dict(table)) for name, table in evaluation.tables.items()}
    columns, groups, scale = tables["scorecard"], tables["groups"], tables["scale"].iloc[0]
    of_bank = groups[groups["party"] == scale["bank"]]
    least, most = _range(columns, of_bank, scale)
    alone = (
        f" A business that no other party knows has {int(scale['alone_base'])} to begin with, and the points that the "
        "bank would give by itself."
        if _has_alone(of_bank)
        else ""
    )
    intended = (
        f"Points add up: {int(scale['base'])} to begin with, and those of one group in every column.{alone} "
        f"{scale['pdo']:g} points double the odds of being good; {scale['base_score']:g} stand for "
        f"{scale['base_odds']:g} goods per bad. Scores can lie between {least} and {most}. The probability of "
        "default is calibrated on validation rows. Learned from applicants whose outcome is known: it says nothing of "
        "others, and a person should decide on cases near a cut-off."
    )
    return [
        Heading("What it is"),
        intended,
        Heading("Quality"),
        "On the test rows, which took no part in training.",
        _quality(evaluation),
        Heading("Columns"),
        "Information value is that of the single column, on the training rows.",
        _columns(columns),
        Heading("Points"),
        _told_by(groups),
        _points(columns, groups, str(scale["bank"])),
        Heading("Signs"),
        _signs(columns),
        Heading("Stability"),
        _stability(columns, float(scale["score_stability"])),
        Heading("Segments"),
        "On the test rows; small segments are withheld.",
        _segments(tables["segments"]),
        Heading("Reasons"),
        "What a customer who loses points is told.",
        tables["reasons"].rename(columns={"text": "English", "text_zh": "中文"}),
    ]


def _quality(evaluation: Evaluation) -> pd.DataFrame:
    metrics = evaluation.metrics
    shown = {
        "AUC (95 %)": f"{metrics['auc']:.4f} ({metrics['auc_low']:.4f}–{metrics['auc_high']:.4f})",
    } | {
        label: f"{metrics[name]:.4f}"
        for label, name in (
            ("Gini", "gini"),
            ("KS", "ks"),
            ("Brier score", "brier"),
            ("Calibration error", "calibration_error"),
            ("Bad rate", "bad_rate"),
            ("Mean PD", "mean_pd"),
        )
    }
    return pd.DataFrame(shown.items(), columns=["measure", "value"])


def _columns(columns: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "party": columns["party"],
            "column": _names(columns),
            "code": columns["code"],
            "groups": columns["groups"],
            "points": [
                f"{low} to {high}" for low, high in zip(columns["least"], columns["most"], strict=True)
            ],
            "information value": columns["information"].map(_number),
            "demanded sign": columns["sign"].map({-1: "−", 0: "", 1: "+"}),
            "stability": columns["stability"].map(_number),
        }
    )


def _names(columns: pd.DataFrame) -> pd.Series:
    """The names of the columns, or their numbers."""
    return columns["name"].where(columns["name"] != "", (columns["column"].astype(int) + 1).astype(str))


def _has_alone(of_bank: pd.DataFrame) -> bool:
    """Whether the bank's groups have points of their own for businesses that only the bank knows."""
    return bool((of_bank["alone"] != of_bank["points"]).any())


def _range(columns: pd.DataFrame, of_bank: pd.DataFrame, scale: pd.Series) -> tuple[int, int]:
    """The lowest and the highest score that can be; of_bank are the bank's groups."""
    alone = of_bank.groupby("code")["alone"]
    least = min(scale["base"] + columns["least"].sum(), scale["alone_base"] + alone.min().sum())
    most = max(scale["base"] + columns["most"].sum(), scale["alone_base"] + alone.max().sum())
    return int(least), int(most)


def _told_by(groups: pd.DataFrame) -> str:
    """What is to be said of the table of points."""
    text = (
        "Each column gives the points of the group in which its value lies. Numbers are rounded; "
        "applicants are the share of the training rows that the party knows."
    )
    keeping = [
        party for party, values in groups.groupby("party", sort=False)["values"] if not (values != "").any()
    ]
    if not keeping:
        return text
    return (
        f"{text} Which values a group holds is told by parties with publish_bins = true in their party.toml; "
        f"not by {', '.join(keeping)}: their own people find it in the file points.csv beside their part of the "
        "model."
    )


def _points(columns: pd.DataFrame, groups: pd.DataFrame, bank: str) -> pd.DataFrame:
    """The points of every group, and the bank's for businesses that no other party knows, if they differ."""
    names = dict(zip(columns["code"], _names(columns), strict=True))
    number = (groups.groupby("code", sort=False).cumcount() + 1).astype(str)
    table = pd.DataFrame(
        {
            "party": groups["party"],
            "column": groups["code"].map(names),
            "values": groups["values"].where(groups["values"] != "", "group " + number),
            "applicants": groups["applicants"].map("{:.1%}".format),
            "points": groups["points"],
        }
    )
    of_bank = groups["party"] == bank
    if _has_alone(groups[of_bank]):
        table["known to no other"] = groups["alone"].astype(str).where(of_bank, "–")
    return table


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.4f}"


def _signs(columns: pd.DataFrame) -> str:
    demanded = columns[columns["sign"] != 0]
    broken = demanded[~demanded["obeys"].astype(bool)]
    if not len(demanded):
        return "No column has a demanded direction."
    if not len(broken):
        return f"The points of all {len(demanded)} columns with a demanded direction keep to it."
    return f"Against their demanded direction: {', '.join(broken['code'])}, of {len(demanded)} with one."


def _stability(columns: pd.DataFrame, score: float) -> str:
    verdict = "stable" if score < STABLE else "shifted" if score > SHIFTED else "in doubt"
    moved = columns[columns["stability"] >= STABLE]
    text = f"Population stability index of the score, test against training rows: {score:.4f}, {verdict}. "
    if not len(moved):
        return text + f"That of every column is below {STABLE:g}."
    listed = (f"{code} {value:.3f}" for code, value in zip(moved["code"], moved["stability"], strict=True))
    return text + f"Columns of {STABLE:g} or more: {', '.join(listed)}."


def _segments(segments: pd.DataFrame) -> pd.DataFrame:
    titles = {"bad_rate": "bad rate", "mean_pd": "mean PD", "auc": "AUC"}
    return segments[["segment", "level", "size"]].join(
        segments[[*titles]].map(_number).rename(columns=titles)
    )
