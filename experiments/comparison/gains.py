"""What each party adds, in words and as a figure.

The gains are a frame, made by `experiments.ablation`, with a row per question and party and the columns question,
party, auc_with, auc_without, gain, gain_low, gain_high and p_value.
"""

import pandas as pd
from matplotlib.figure import Figure

from experiments.comparison.summary import p_value_text
from fl.escaping import figure_text
from server.tracking.drawing import BADS, GOODS, QUIET, new_axes, with_legend
from server.tracking.pages import to_markdown

LEAVE_ONE_OUT, ADD_ONE = "to all others", "to the bank alone"
"""The two questions: what a party adds to the federation of all others, and to the bank by itself."""

_COLOURS = {LEAVE_ONE_OUT: GOODS, ADD_ONE: BADS}


def headline(gains: pd.DataFrame) -> str:
    """Who adds most to all others."""
    rows = gains[gains["question"] == LEAVE_ONE_OUT]
    best = rows.loc[rows["gain"].idxmax()]
    return f"{best.party} adds {best.gain:+.3f} AUC to the others"


def describe(study: str, contender: str, gains: pd.DataFrame) -> str:
    """The study's description in Markdown: headline, table, and how to read it."""
    return to_markdown(
        [
            f"**{headline(gains)}** ({contender})",
            written(gains),
            "Each line compares two federations on the same test rows, with the party and without it (paired DeLong "
            "interval; means over the seeds).",
            f"Study: {study}. Each federation and seed is a run nested below it.",
        ]
    )


def written(gains: pd.DataFrame) -> pd.DataFrame:
    """The gains as texts."""
    low, high = (gains[name].map("{:+.3f}".format) for name in ("gain_low", "gain_high"))
    return pd.DataFrame(
        {
            "Party": gains["party"],
            "": gains["question"],
            "AUC with": gains["auc_with"].map("{:.3f}".format),
            "without": gains["auc_without"].map("{:.3f}".format),
            "Gain": gains["gain"].map("{:+.3f}".format),
            "95 %": low + " to " + high,
            "p": gains["p_value"].map(p_value_text),
        }
    )


def draw_gains(gains: pd.DataFrame) -> Figure:
    """A point with its interval per party and question."""
    parties = list(dict.fromkeys(gains["party"]))
    figure, axes = new_axes(
        figure_text(headline(gains)), "gain in AUC, with 95 % interval", "", height=2.0 + 0.7 * len(parties)
    )
    for shift, (question, colour) in zip((-0.12, 0.12), _COLOURS.items(), strict=True):
        rows = gains[gains["question"] == question].set_index("party").loc[parties]
        places = [place + shift for place in range(len(parties))]
        spans = [rows["gain"] - rows["gain_low"], rows["gain_high"] - rows["gain"]]
        axes.errorbar(rows["gain"], places, xerr=spans, fmt="o", color=colour, capsize=3, label=question)
    # Names of parties may be long, and stand where other figures have numbers.
    left, below, _, tall = axes.get_position().bounds
    left = max(left, min(0.4, 0.05 + 0.014 * max(len(party) for party in parties)))
    axes.set_position((left, below, 0.96 - left, tall))
    axes.axvline(0, color=QUIET, linewidth=1)
    axes.set(
        yticks=range(len(parties)),
        yticklabels=[figure_text(party) for party in parties],
        ylim=(len(parties) - 0.5, -0.5),
    )
    return with_legend(figure)
