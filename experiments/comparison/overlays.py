"""Figures of all contenders of a study together: who is ahead, by how much, and how surely."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.comparison.summary import is_usable
from fl.escaping import figure_text
from fl.evaluation import Evaluation
from server.tracking.drawing import (
    colour,
    line_style,
    new_axes,
    percent,
    rate_axes,
    reference_line,
    share_axes,
    with_legend,
)
from server.tracking.figures import draw_calibration, highest_rate

_MARKERS, _SHADES = "osD^vP", ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
"""Of the banks of a figure: the palette of Okabe and Ito, and markers for those who see no colours."""


def _by_auc(evaluations: Mapping[str, Evaluation]) -> list[tuple[str, Evaluation]]:
    return sorted(evaluations.items(), key=lambda item: -item[1].metrics["auc"])


def roc_overlay(evaluations: Mapping[str, Evaluation]) -> Figure:
    """The ROC curves of all contenders, best first in the legend, with their AUC."""
    ordered = _by_auc(evaluations)
    figure, axes = new_axes(
        f"AUC from {ordered[-1][1].metrics['auc']:.3f} ({ordered[-1][0]})\n"
        f"to {ordered[0][1].metrics['auc']:.3f} ({ordered[0][0]})",
        "goods refused (false positive rate)",
        "bads refused (true positive rate)",
    )
    share_axes(axes)
    for name, evaluation in ordered:
        table = evaluation.tables["roc"]
        axes.plot(
            table["fpr"],
            table["tpr"],
            linestyle=line_style(name),
            color=colour(name),
            linewidth=1.8,
            label=f"{evaluation.metrics['auc']:.3f}  {name}",
        )
    reference_line(axes, "0.500  no discrimination")
    return with_legend(figure, title="AUC", alignment="left")


def calibration_overlay(evaluations: Mapping[str, Evaluation]) -> Figure:
    """The reliability curves of all contenders, without intervals."""
    errors = {name: evaluation.metrics["calibration_error"] for name, evaluation in evaluations.items()}
    best, worst = min(errors, key=errors.__getitem__), max(errors, key=errors.__getitem__)
    figure, axes = new_axes(
        f"Calibration error from {100 * errors[best]:.1f} ({best})\n"
        f"to {100 * errors[worst]:.1f} points ({worst})",
        "mean predicted PD",
        "observed bad rate",
    )
    for name, evaluation in _by_auc(evaluations):
        draw_calibration(axes, name, evaluation, intervals=False)
    rate_axes(axes, 1.1 * max(highest_rate(evaluation, "observed") for evaluation in evaluations.values()))
    return with_legend(figure)


def gain_overlay(evaluations: Mapping[str, Evaluation]) -> Figure:
    """The gain curves of all contenders, with the share of defaults in the riskiest fifth."""
    captured = {
        name: float(np.interp(0.2, e.tables["gain"]["applicants"], e.tables["gain"]["bads"]))
        for name, e in _by_auc(evaluations)
    }
    least, most = min(captured, key=captured.__getitem__), max(captured, key=captured.__getitem__)
    figure, axes = new_axes(
        f"The riskiest 20 % of applicants hold {percent(captured[least])} ({least})\n"
        f"to {percent(captured[most])} of the defaults ({most})",
        "share of applicants, riskiest first",
        "share of all bads",
    )
    share_axes(axes)
    for name, share in captured.items():
        x, y = (evaluations[name].tables["gain"][column] for column in ("applicants", "bads"))
        axes.plot(
            x,
            y,
            linestyle=line_style(name),
            color=colour(name),
            linewidth=1.8,
            label=f"{percent(share)}  {name}",
        )
    reference_line(axes, "20 %  random order")
    axes.axvline(0.2, color="black", linewidth=0.8, linestyle=":")
    return with_legend(figure, title="bads in the riskiest 20 %", alignment="left")


def auc_bars(comparison: pd.DataFrame, title: str) -> Figure:
    """AUC of each contender with its 95 % interval and its uplift over bank-only, best first.

    `comparison` has the columns contender, auc, auc_low, auc_high and uplift_auc (NaN where it is the
    baseline).
    """
    rows = comparison.sort_values("auc").reset_index(drop=True)
    figure, axes = new_axes(title, "AUC, 95 % interval", "", height=1.5 + 0.42 * len(rows))
    figure.set_size_inches(7.4, figure.get_size_inches()[1])
    axes.set_position((0.25, axes.get_position().y0, 0.72, axes.get_position().height))
    # A dot with its interval and no bar from zero: AUC starts at 0.5 and the differences are small.
    for place, row in rows.iterrows():
        shade = colour(row.contender)
        axes.plot([row.auc_low, row.auc_high], [place, place], color=shade, linewidth=5, alpha=0.35)
        axes.plot(row.auc, place, "o", color=shade, markersize=8)
        uplift = "" if np.isnan(row.uplift_auc) else f"  ({row.uplift_auc:+.3f})"
        axes.annotate(
            f"{row.auc:.3f}{uplift}", (row.auc, place), (0, 8), textcoords="offset points", ha="center"
        )
    axes.set(yticks=range(len(rows)), yticklabels=rows["contender"], ylim=(-0.6, len(rows) - 0.25))
    axes.grid(visible=False, axis="y")
    return figure


def bank_dots(of_banks: pd.DataFrame, measure: str) -> Figure:
    """A dot per bank for each contender, on a line from the worst bank to the best; the best worst bank on top.

    `of_banks` has the columns contender, bank and the measure, an AUC.
    """
    table = of_banks.pivot(index="contender", columns="bank", values=measure)
    table = table.loc[table.min(axis=1).sort_values().index]
    best = ([name for name in table.index if is_usable(name)] or [*table.index])[-1]
    figure, axes = new_axes(
        f"Worst bank: {measure.replace('_', ' ').replace('auc', 'AUC')} {table.loc[best].min():.3f} by {best}",
        measure.replace("_", " ").replace("auc", "AUC"),
        "",
        height=1.8 + 0.32 * len(table),
    )
    figure.set_size_inches(7.4, figure.get_size_inches()[1])
    axes.set_position((0.27, axes.get_position().y0, 0.7, axes.get_position().height))
    places = np.arange(len(table))
    axes.hlines(places, table.min(axis=1), table.max(axis=1), color="#C8C8C8", linewidth=3, zorder=1)
    for number, bank in enumerate(dict.fromkeys(of_banks["bank"])):
        marker, shade = _MARKERS[number % len(_MARKERS)], _SHADES[number % len(_SHADES)]
        axes.plot(table[bank], places, marker, color=shade, markersize=7, label=figure_text(bank))
    axes.set(yticks=places, yticklabels=table.index, ylim=(-0.6, len(table) - 0.4))
    axes.grid(visible=False, axis="y")
    return with_legend(figure)


def training_curves(curves: Mapping[str, list[tuple[int, float]]], metric: str) -> Figure:
    """A validation metric of each contender over its rounds; `curves` maps its name to (round, value)."""
    series = {name: np.array(sorted(points), dtype=float) for name, points in curves.items() if points}
    best = {name: points[:, 1].max() for name, points in series.items()}
    leader = max(best, key=best.__getitem__)
    figure, axes = new_axes(f"Best {metric} {best[leader]:.3f} ({leader})", "round", metric)
    for name, points in series.items():
        axes.plot(
            points[:, 0],
            points[:, 1],
            linestyle=line_style(name),
            color=colour(name),
            linewidth=1.8,
            label=name,
        )
    return with_legend(figure)
