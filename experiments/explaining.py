"""Why an applicant got its score: a page from a file of scores, for the applicant's loan officer and for an auditor."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from clients.reasons import ADDS
from experiments.outputs import check_file
from fl.errors import ConfigError
from fl.escaping import csv_cell, figure_text
from fl.scorecard.points import REASONS
from server.tracking.drawing import BADS, GOODS, new_axes, percent
from server.tracking.pages import Heading, Part, Picture, to_html

SHOWN = 15
"""Bars of the figure at most; the rest is one bar."""
_OTHERS = "all other columns"
_NEEDED = ("pd", "parties", "model", "review", "base", "text_1", "text_zh_1")


@dataclass(frozen=True)
class Explained:
    """One applicant of a file of scores.

    answer         the row of the file
    contributions  by column, such as `TAX07: Taxes were left unpaid`, the log odds that it adds, largest first
    """

    id: str
    answer: "pd.Series[str]"
    contributions: "pd.Series[float]"

    @property
    def reasons(self) -> pd.DataFrame:
        """Its reasons, worst first: column, log odds added, English, Chinese."""
        rows = [
            (
                self.answer[f"reason_{number}"],
                float(self.answer[f"adds_{number}"]),
                self.answer[f"text_{number}"],
                self.answer[f"text_zh_{number}"],
            )
            for number in range(1, REASONS + 1)
            if self.answer[f"reason_{number}"]
        ]
        return pd.DataFrame(rows, columns=["code", "adds", "reason", "reason_zh"])

    def figure(self) -> Figure:
        """What each column adds to the log odds, as bars; those that add or take least as one."""
        by_size = self.contributions[self.contributions.abs().sort_values(ascending=False).index]
        shown = by_size[by_size != 0].head(SHOWN).sort_values()
        others = by_size.sum() - shown.sum()
        bars = pd.concat([pd.Series({_OTHERS: others}), shown])
        figure, axes = new_axes(
            f"{percent(float(self.answer['pd']), 1)} probability of default: what raises it and what lowers it",
            "log odds added to those of the average business",
            "",
            height=1.6 + 0.28 * len(bars),
        )
        shades = [BADS if added > 0 else GOODS for added in bars]
        axes.barh([_label(name) for name in bars.index], bars, color=shades)
        axes.axvline(0, color="black", linewidth=1)
        return figure


def read_explained(scores: Path, id: str) -> Explained:
    """An applicant of a file that `siloscore score` has written.

    Raises ConfigError for a file that is none, and for an id that is not in it.
    """
    answers = _read(scores)
    missing = [name for name in _NEEDED if name not in answers]
    if missing:
        raise ConfigError(
            f"{scores} is no file of scores with reasons: it has no column {missing[0]!r}. "
            "Name a file that siloscore score has written."
        )
    ids = answers.iloc[:, 0]
    found = answers[ids.isin([id, csv_cell(id)])]
    if not len(found):
        raise ConfigError(f"There is no applicant {id!r} among the {len(answers):,} of {scores}.")
    added = {name.removeprefix(ADDS): found[name].iloc[0] for name in answers if name.startswith(ADDS)}
    contributions = pd.Series(added, dtype=float).sort_values(ascending=False)
    return Explained(id, found.iloc[0], contributions)


def write_explanation(explained: Explained, out: Path) -> None:
    """Write an applicant's page: the reasons in English and Chinese, a figure, and what each column adds."""
    if out.suffix != ".html":
        raise ConfigError(f"The page goes to an .html file, not to {out}.")
    check_file(out, "The page")
    answer, reasons = explained.answer, explained.reasons
    looked_at = (
        "A person should look at this application before it is decided: the PD is near the cut-off, or the bank's "
        "reserve model had a say."
        if answer["review"].lower() == "true"
        else "Nothing marks this application for review by a person."
    )
    table = explained.contributions.round(4)
    parts: list[Part] = [
        Heading(f"Why {explained.id} has a PD of {percent(float(answer['pd']), 1)}", 1),
        f"The model `{answer['model']}` answered, with records of {answer['parties'].replace('; ', ', ')}. {looked_at}",
        Heading("Reasons · 理由"),
        reasons.rename(columns={"reason_zh": "理由", "adds": "log odds added"}).round(3)
        if len(reasons)
        else "No column raises the risk above that of the average business. · 没有任何指标使风险高于平均水平。",
        Heading("What raises the risk, and what lowers it"),
        Picture("contributions", "bars of the log odds that each column adds"),
        f"The average business has log odds of default of {float(answer['base']):.3f}. To these each column adds, and "
        "together they are the log odds of this applicant. A number above zero raises the risk. A partner's column is "
        "named by its reason, which does not apply to this applicant where the number is below zero.",
        table[table != 0].rename_axis("column").rename("log odds added").reset_index(),
    ]
    out.write_text(to_html(parts, {"contributions": explained.figure()}), "utf-8")


def _read(scores: Path) -> pd.DataFrame:
    """The file's rows as texts. Raises ConfigError if there is none, or it is neither CSV nor Parquet."""
    if not scores.is_file():
        raise ConfigError(f"There is no file of scores {scores}.")
    try:
        if scores.suffix == ".parquet":
            return pd.read_parquet(scores).astype(str)
        return pd.read_csv(scores, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise ConfigError(
            f"{scores} is no file of scores: it cannot be read as {scores.suffix or 'CSV'} ({error})."
        ) from None


def _label(name: str) -> str:
    """A column's name beside its bar; matplotlib's font has no Chinese signs, so that such a name is its code alone."""
    text = name if name.isascii() else name.partition(":")[0]
    return figure_text(text if len(text) <= 60 else f"{text[:59]}…")
