"""Figures of a report, drawn from its frames. The title states the finding, with its numbers."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from experiments.lending.fairness import Fairness
from experiments.lending.measures import APPROVAL, BAD_RATE, RANKING, SIDES
from experiments.lending.wording import change, finding, sure
from server.tracking.drawing import BADS, GOODS, QUIET, colour, new_axes, percent, with_legend

Pair = tuple[str, str]
"""The names of the reference and the challenger."""
_LEAST_APPROVED = 0.2
"""Below, a handful of bads makes the curve."""
_GROUPS = {
    "approved_by_both": "approved by both",
    "swapped_in": "approved by {1} only",
    "swapped_out": "approved by {0} only",
    "refused_by_both": "declined by both",
}
_LINES = {
    "average_line": "all approved",
    "average_line_common": "those whom both approve",
    "average_line_first_time": "first-time borrowers",
    "average_line_platform": "supply-chain firms",
}


def gains(summaries: Mapping[str, pd.DataFrame], pair: Pair, claimed: Mapping[str, float]) -> Figure:
    """Relative gain of Gini with its interval in every world, beside gains that others claim (by name, rising)."""
    rows = {world: summary.loc[(RANKING, "gini")] for world, summary in summaries.items()}
    none = [world for world, row in rows.items() if not sure(row)]
    findings = [f"{change('gini', row['change'])} in {world}" for world, row in rows.items() if sure(row)]
    findings += [f"none to be shown in {' and '.join(none)}"] if none else []
    figure, axes = _bars(
        f"Gain of Gini by federation:\n{'; '.join(findings)}",
        f"Gini of {pair[1]} over that of {pair[0]}, 95 % interval",
        left=0.21,
        height=2.1 + 0.55 * len(rows),
    )
    places = range(len(rows) - 1, -1, -1)
    for place, row in zip(places, rows.values(), strict=True):
        shade = colour(pair[1]) if sure(row) else QUIET
        axes.plot([row["low"], row["high"]], [place, place], color=shade, linewidth=3, solid_capstyle="round")
        axes.plot(row["change"], place, "o", color=shade, markersize=8)
        axes.text(row["change"], place + 0.17, change("gini", row["change"]), ha="center", fontsize=9)
    axes.axvline(0, color="black", linewidth=1)
    for number, (name, gain) in enumerate(claimed.items()):
        axes.axvline(gain, color=QUIET, linewidth=1, linestyle=(0, (4, 4)), zorder=1)
        axes.text(
            gain,
            len(rows) - 0.42,
            f" {name} ",
            color="#555555",
            fontsize=8,
            ha="left" if number else "right",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0},
        )
    axes.set(yticks=places, yticklabels=rows, ylim=(-0.6, len(rows) - 0.15))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    return figure


def trade_off(curves: pd.DataFrame, summary: pd.DataFrame, world: str, pair: Pair) -> Figure:
    """Bad rate of the approved against approval rate of both models, and the steps between them at equal risk or reach.

    curves is as of `measures.trade_off`, summary as of `intervals.summarise`.
    """
    shown = curves[curves.index >= _LEAST_APPROVED]
    approved, bads = summary.loc[(BAD_RATE, "approval_rate")], summary.loc[(APPROVAL, "bad_rate")]
    figure, axes = new_axes(
        f"{world}: at equal bad rate {percent(approved['reference'])} approved become "
        f"{percent(approved['challenger'])};\nat equal approval {percent(bads['reference'], 1)} bads become "
        f"{percent(bads['challenger'], 1)}",
        "approval rate",
        "bad rate of the approved",
        width=7.4,
    )
    for name, contender in zip(SIDES, pair, strict=True):
        axes.plot(shown.index, shown[name], color=colour(contender), linewidth=2.2, label=contender)
    # Above a rising curve there is room to the left, below one to the right.
    for cutoffs, label, named, offset, ha, va in (
        (BAD_RATE, "equal bad rate", "challenger", (9, -4), "left", "top"),
        (APPROVAL, "equal approval", "reference", (-8, 6), "right", "bottom"),
    ):
        ends = summary.loc[cutoffs].loc[["approval_rate", "bad_rate"]]
        for side, contender in zip(SIDES, pair, strict=True):
            axes.plot(*ends[side], "o", color=colour(contender), markersize=7, zorder=3)
        axes.annotate(
            "",
            tuple(ends["challenger"]),
            tuple(ends["reference"]),
            arrowprops={"arrowstyle": "-|>", "color": "black", "lw": 1.3},
        )
        axes.annotate(label, tuple(ends[named]), offset, textcoords="offset points", fontsize=9, ha=ha, va=va)
    axes.set(xlim=(_LEAST_APPROVED, 1.01), ylim=(0, None))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1, symbol=" %"))
    return with_legend(figure)


def swap(groups: pd.DataFrame, world: str, pair: Pair) -> Figure:
    """Bad rate and size of the groups on whom the models agree and differ; groups is as of `measures.swap`."""
    rates = {name: percent(rate, 1) for name, rate in groups["bad_rate"].items()}
    figure, axes = _bars(
        f"{world}: at equal approval {percent(groups.loc['swapped_in', 'share'], 1)} of applicants are exchanged.\n"
        f"Of those let in {rates['swapped_in']} default, of those turned away {rates['swapped_out']}",
        "bad rate",
        left=0.37,
        height=3.4,
    )
    shades = {"swapped_in": GOODS, "swapped_out": BADS}
    labels = [
        f"{text.format(*pair)}\n({percent(groups.loc[name, 'share'], 1)} of applicants)"
        for name, text in _GROUPS.items()
    ]
    for place, name in enumerate(reversed(_GROUPS)):
        rate = groups.loc[name, "bad_rate"]
        axes.barh(place, rate, color=shades.get(name, "#BDBDBD"), height=0.62)
        axes.text(rate, place, f"  {rates[name]}", va="center", fontsize=10)
    axes.set_yticks(range(len(_GROUPS)), labels[::-1], fontsize=8.5)
    axes.set_xlim(0, 1.18 * groups["bad_rate"].max())
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=None, symbol=" %"))
    return figure


def lines(summary: pd.DataFrame, world: str, pair: Pair) -> Figure:
    """Average credit lines at equal bad rate, of all approved and by group; summary is as of `intervals.summarise`."""
    rows = summary.loc[BAD_RATE].reindex([name for name in _LINES if (BAD_RATE, name) in summary.index])
    lead = rows.loc["average_line"]
    figure, axes = _bars(
        f"{world}: the average line at equal bad rate is {lead['challenger'] / 1e3:,.0f} thousand CNY\n"
        f"instead of {lead['reference'] / 1e3:,.0f}: {finding('average_line', lead)}",
        "average line, thousand CNY",
        left=0.27,
        height=1.9 + 0.6 * len(rows),
    )
    for place, (name, row) in enumerate(rows[::-1].iterrows()):
        for side, contender, shift in zip(SIDES, pair, (0.19, -0.19), strict=True):
            label = None if place else contender
            axes.barh(place + shift, row[side], color=colour(contender), height=0.34, label=label)
        axes.text(
            row["challenger"], place - 0.19, f"  {change(name, row['change'])}", va="center", fontsize=9
        )
    axes.set_yticks(range(len(rows)), [_LINES[name] for name in rows.index[::-1]])
    axes.set_xlim(0, 1.16 * float(rows[["reference", "challenger"]].max(axis=None)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1e3:,.0f}"))
    return with_legend(figure)


def approvals_by_group(fairness: Fairness, world: str, pair: Pair) -> Figure:
    """Approval rate of every group under both models, by segment, and the 95 % interval of the new model's."""
    rates = fairness.table.xs("approval_rate", level="measure")
    value = rates["value"].unstack("figure")
    order = [
        group for segment in fairness.largest for group in value.loc[[segment]].sort_values(SIDES[0]).index
    ]
    gained, lost = (int((signs * value["change"] > 0).sum()) for signs in (1, -1))
    figure, axes = _bars(
        f"{world}: {pair[1]} approves more of {gained} groups\nand fewer of {lost}, at each model's own cut-off",
        "approval rate, 95 % interval",
        left=0.37,
        height=1.7 + 0.27 * len(order),
    )
    for place, group in enumerate(reversed(order)):
        low, high = rates.loc[(*group, SIDES[1]), ["low", "high"]]
        axes.plot([low, high], [place, place], color=colour(pair[1]), linewidth=3, alpha=0.45)
        for side, contender in zip(SIDES, pair, strict=True):
            label = contender if place == 0 else None
            axes.plot(value.loc[group, side], place, "o", color=colour(contender), markersize=6, label=label)
    axes.set_ylim(-0.6, len(order) - 0.4)
    axes.set_yticks(range(len(order)), [": ".join(group) for group in reversed(order)], fontsize=8.5)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    return with_legend(figure)


def _bars(title: str, x: str, left: float, height: float) -> tuple[Figure, Axes]:
    """Axes for horizontal bars: room for names at the `left` (share of the width), the title above them, too."""
    figure, axes = new_axes(title, x, "", width=7.4, height=height)
    box = axes.get_position()
    axes.set_position((left, box.y0, 0.97 - left, box.height))
    start = (0.02 - left) / (0.97 - left)
    axes.set_title(title, loc="left", x=start, fontsize=11, fontweight="bold", pad=10)
    axes.grid(visible=False, axis="y")
    return figure, axes
