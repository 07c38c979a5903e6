"""Figures of one contender, drawn from the tables of its `fl.evaluation.Evaluation`.

Each function returns a matplotlib Figure of its own. The title states what the figure shows, with its
numbers; the axes carry the names.
"""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from fl.evaluation import Evaluation
from server.tracking.drawing import (
    BADS,
    GOODS,
    QUIET,
    colour,
    line_style,
    new_axes,
    pd_axis,
    percent,
    rate_axes,
    reference_line,
    share_axes,
    with_legend,
)


def roc(contender: str, evaluation: Evaluation) -> Figure:
    """ROC curve with the AUC and its interval."""
    metrics, table = evaluation.metrics, evaluation.tables["roc"]
    figure, axes = new_axes(
        f"{contender}: AUC {metrics['auc']:.3f}\n"
        f"95 % interval {metrics['auc_low']:.3f} to {metrics['auc_high']:.3f}",
        "goods refused (false positive rate)",
        "bads refused (true positive rate)",
    )
    share_axes(axes)
    axes.fill_between(table["fpr"], table["tpr"], color=colour(contender), alpha=0.08, linewidth=0)
    axes.plot(table["fpr"], table["tpr"], color=colour(contender), linewidth=2)
    reference_line(axes, "no discrimination")
    return with_legend(figure)


def ks(contender: str, evaluation: Evaluation) -> Figure:
    """Cumulative distributions of goods and bads, and where they are furthest apart."""
    table = evaluation.tables["ks"]
    cut_off, bads, goods = table["pd"], table["bads"], table["goods"]
    widest = int(np.argmax(np.abs(goods - bads)))
    figure, axes = new_axes(
        f"{contender}: KS {evaluation.metrics['ks']:.3f}\n"
        f"a cut-off at PD {percent(cut_off[widest], 1)} refuses {percent(1 - bads[widest])} of bads, "
        f"{percent(1 - goods[widest])} of goods",
        "PD",
        "share of class at or below this PD",
    )
    axes.plot(cut_off, goods, color=GOODS, linewidth=2, label="goods")
    axes.plot(cut_off, bads, color=BADS, linewidth=2, label="bads")
    axes.vlines(cut_off[widest], bads[widest], goods[widest], color="black", linewidth=1.2, label="KS")
    pd_axis(axes, cut_off[1], cut_off[-2])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    return with_legend(figure)


def calibration(contender: str, evaluation: Evaluation) -> Figure:
    """Predicted against observed bad rate by tenths of the applicants, with 95 % intervals."""
    metrics = evaluation.metrics
    figure, axes = new_axes(
        f"{contender}: predicted PD is {100 * metrics['calibration_error']:.1f} points off on average\n"
        f"mean PD {percent(metrics['mean_pd'], 1)}, bad rate {percent(metrics['bad_rate'], 1)}",
        "mean predicted PD",
        "observed bad rate, 95 % interval",
    )
    draw_calibration(axes, contender, evaluation, intervals=True)
    rate_axes(axes, 1.05 * highest_rate(evaluation, "high"))
    return with_legend(figure)


def gain(contender: str, evaluation: Evaluation) -> Figure:
    """Share of all bads among the riskiest applicants, between a random and a perfect order."""
    table, bad_rate = evaluation.tables["gain"], evaluation.metrics["bad_rate"]
    captured = float(np.interp(0.2, table["applicants"], table["bads"]))
    figure, axes = new_axes(
        f"{contender}: the riskiest 20 % of applicants\nhold {percent(captured)} of the defaults",
        "share of applicants, riskiest first",
        "share of all bads",
    )
    share_axes(axes)
    axes.plot([0, bad_rate, 1], [0, 1, 1], color=QUIET, linewidth=1, label="perfect order")
    axes.plot(table["applicants"], table["bads"], color=colour(contender), linewidth=2, label=contender)
    reference_line(axes, "random order")
    axes.plot([0.2, 0.2, 0], [0, captured, captured], color="black", linewidth=0.8, linestyle=":")
    return with_legend(figure)


def distribution(contender: str, evaluation: Evaluation) -> Figure:
    """Densities of the goods' and the bads' PDs over the log-odds, on which the model's scores are linear."""
    table, below = evaluation.tables["distribution"], evaluation.tables["ks"]
    ends = np.clip(np.append(table["low"], table["high"][-1]), 1e-6, 1 - 1e-6)
    odds = np.log(ends / (1 - ends))
    medians = {name: float(np.interp(0.5, below[name], below["pd"])) for name in ("goods", "bads")}
    figure, axes = new_axes(
        f"{contender}: half of the goods have a PD below {percent(medians['goods'], 1)},\n"
        f"half of the bads one above {percent(medians['bads'], 1)}",
        "PD",
        "density over the log-odds",
    )
    # One applicant far out would stretch the outermost bin over half the figure.
    odds[0], odds[-1] = max(odds[0], odds[1] - 2.0), min(odds[-1], odds[-2] + 2.0)
    for name, shade in (("goods", GOODS), ("bads", BADS)):
        density = table[name] / np.maximum(np.diff(odds), 1e-9)
        ends = 1 / (1 + np.exp(-odds))
        axes.stairs(density, ends, color=shade, fill=True, alpha=0.25)
        axes.stairs(density, ends, color=shade, linewidth=1.8, label=name)
    pd_axis(axes, ends[0], ends[-1])
    return with_legend(figure)


FIGURES: dict[str, Callable[[str, Evaluation], Figure]] = {
    "roc": roc,
    "ks": ks,
    "calibration": calibration,
    "gain": gain,
    "distribution": distribution,
}
"""The figures of one contender by the stem of their artefact."""


def highest_rate(evaluation: Evaluation, column: str) -> float:
    """The largest predicted PD, or rate in `column` of the calibration table, whichever is larger."""
    table = evaluation.tables["calibration"]
    return float(max(np.max(table["predicted"]), np.max(table[column])))


def draw_calibration(axes: Axes, contender: str, evaluation: Evaluation, *, intervals: bool) -> None:
    """Add a contender's reliability curve to `axes`."""
    table = evaluation.tables["calibration"]
    x, y = table["predicted"], table["observed"]
    axes.plot(
        x,
        y,
        linestyle=line_style(contender),
        color=colour(contender),
        marker="o",
        markersize=4,
        label=contender,
    )
    if intervals:
        axes.errorbar(
            x,
            y,
            [y - table["low"], table["high"] - y],
            fmt="none",
            ecolor=colour(contender),
            elinewidth=1,
            alpha=0.7,
        )
