"""Figures of one contender and of all contenders together, drawn from the tables of `fl.evaluation`.

Every function takes tables and returns a matplotlib Figure of its own (the object-oriented interface: no
pyplot, no global state), so figures can be drawn in any process and thread. A contender has the same colour
in every figure, from the colour-blind-safe palette of Okabe and Ito (2008), and each kind of learner its own
line. A title states what the figure shows, with its numbers; axes carry the names.
"""

from collections.abc import Callable, Iterable, Mapping
from zlib import crc32

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.scale import FuncScale
from matplotlib.ticker import FuncFormatter, PercentFormatter

from fl.evaluation import Evaluation

BADS, GOODS, QUIET = "#D55E00", "#0072B2", "#8A8A8A"

_COLOURS = {
    "bank-only-network": "#E69F00",
    "bank-only-trees": "#D55E00",
    "federated-network": "#0072B2",
    "federated-boosting": "#56B4E9",
    "federated-scorecard": "#332288",
    "pooled-network": "#009E73",
    "pooled-trees": "#CC79A7",
    "true-pd": "#000000",
}
_SPARE_COLOURS = ("#882255", "#999933", "#117733", "#AA4499", "#44AA99", "#661100")
_LINES = {"network": "-", "trees": "--", "boosting": "--", "scorecard": "-.", "pd": ":"}


def colour(contender: str) -> str:
    """The contender's colour: the same in every figure, study and session, even for a name unknown here."""
    return _COLOURS.get(contender) or _SPARE_COLOURS[crc32(contender.encode()) % len(_SPARE_COLOURS)]


def _line(contender: str) -> str:
    return _LINES.get(contender.rpartition("-")[2], "-")


def _axes(title: str, x: str, y: str, width: float = 6.4, height: float = 4.8) -> tuple[Figure, Axes]:
    """An empty figure in the house style. Fixed margins, as automatic layout would double the drawing time."""
    figure = Figure(figsize=(width, height), dpi=100)
    axes = figure.add_axes((0.78 / width, 0.6 / height, 1 - 1.0 / width, 1 - 1.25 / height))
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def _shares(axes: Axes) -> None:
    """Both axes from 0 to 100 %."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))


def _reference_line(axes: Axes, label: str) -> None:
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=(0, (4, 4)), label=label, zorder=1)


# ------------------------------------------------------------------------------------------- one contender


def roc(contender: str, evaluation: Evaluation) -> Figure:
    """ROC curve with the AUC and its interval."""
    found, table = evaluation.metrics, evaluation.tables["roc"]
    figure, axes = _axes(
        f"{contender}: AUC {found['auc']:.3f}\n"
        f"95 % interval {found['auc_low']:.3f} to {found['auc_high']:.3f}",
        "goods refused (false positive rate)",
        "bads refused (true positive rate)",
    )
    _shares(axes)
    axes.fill_between(table["fpr"], table["tpr"], color=colour(contender), alpha=0.08, linewidth=0)
    axes.plot(table["fpr"], table["tpr"], color=colour(contender), linewidth=2)
    _reference_line(axes, "no discrimination")
    axes.legend(loc="lower right", frameon=False)
    return figure


def ks(contender: str, evaluation: Evaluation) -> Figure:
    """Cumulative distributions of goods and bads, and where they are furthest apart."""
    table = evaluation.tables["ks"]
    cut_off, bads, goods = (np.asarray(table[name], dtype=float) for name in ("pd", "bads", "goods"))
    widest = int(np.argmax(np.abs(goods - bads)))
    figure, axes = _axes(
        f"{contender}: KS {evaluation.metrics['ks']:.3f}\n"
        f"a cut-off at PD {_percent(cut_off[widest], 1)} refuses {_percent(1 - bads[widest])} of bads, "
        f"{_percent(1 - goods[widest])} of goods",
        "PD",
        "share of class at or below this PD",
    )
    axes.plot(cut_off, goods, color=GOODS, linewidth=2, label="goods")
    axes.plot(cut_off, bads, color=BADS, linewidth=2, label="bads")
    axes.vlines(cut_off[widest], bads[widest], goods[widest], color="black", linewidth=1.2, label="KS")
    _pd_scale(axes, cut_off[1], cut_off[-2])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.legend(loc="upper left", frameon=False)
    return figure


def calibration(contender: str, evaluation: Evaluation) -> Figure:
    """Predicted against observed bad rate by tenths of the applicants, with 95 % intervals."""
    found = evaluation.metrics
    figure, axes = _axes(
        f"{contender}: predicted PD is {100 * found['calibration_error']:.1f} points off on average\n"
        f"mean PD {_percent(found['mean_pd'], 1)}, bad rate {_percent(found['bad_rate'], 1)}",
        "mean predicted PD",
        "observed bad rate, 95 % interval",
    )
    _draw_calibration(axes, contender, evaluation, intervals=True)
    _rate_scale(axes, 1.05 * _highest_rate(evaluation, "high"))
    axes.legend(loc="upper left", frameon=False)
    return figure


def gain(contender: str, evaluation: Evaluation) -> Figure:
    """Share of all bads among the riskiest applicants, between a random and a perfect order."""
    table, bad_rate = evaluation.tables["gain"], evaluation.metrics["bad_rate"]
    captured = float(np.interp(0.2, table["applicants"], table["bads"]))
    figure, axes = _axes(
        f"{contender}: the riskiest 20 % of applicants\nhold {_percent(captured)} of the defaults",
        "share of applicants, riskiest first",
        "share of all bads",
    )
    _shares(axes)
    axes.plot([0, bad_rate, 1], [0, 1, 1], color=QUIET, linewidth=1, label="perfect order")
    axes.plot(table["applicants"], table["bads"], color=colour(contender), linewidth=2, label=contender)
    _reference_line(axes, "random order")
    axes.plot([0.2, 0.2, 0], [0, captured, captured], color="black", linewidth=0.8, linestyle=":")
    axes.legend(loc="lower right", frameon=False)
    return figure


def distribution(contender: str, evaluation: Evaluation) -> Figure:
    """Densities of the goods' and the bads' PDs over the log-odds, on which the model's scores are linear."""
    table = evaluation.tables["distribution"]
    low, high = (np.asarray(table[name], dtype=float) for name in ("low", "high"))
    ends = np.clip(np.append(low, high[-1]), 1e-6, 1 - 1e-6)
    odds = np.log(ends / (1 - ends))
    medians = {name: _median(evaluation, name) for name in ("goods", "bads")}
    figure, axes = _axes(
        f"{contender}: half of the goods have a PD below {_percent(medians['goods'], 1)},\n"
        f"half of the bads one above {_percent(medians['bads'], 1)}",
        "PD",
        "density over the log-odds",
    )
    # One applicant far out would stretch the outermost bin over half the figure.
    odds[0], odds[-1] = max(odds[0], odds[1] - 2.0), min(odds[-1], odds[-2] + 2.0)
    for name, shade in (("goods", GOODS), ("bads", BADS)):
        density = np.asarray(table[name], dtype=float) / np.maximum(np.diff(odds), 1e-9)
        ends = 1 / (1 + np.exp(-odds))
        axes.stairs(density, ends, color=shade, fill=True, alpha=0.25)
        axes.stairs(density, ends, color=shade, linewidth=1.8, label=name)
    _pd_scale(axes, ends[0], ends[-1])
    axes.legend(loc="upper right", frameon=False)
    return figure


FIGURES: dict[str, Callable[[str, Evaluation], Figure]] = {
    "roc": roc,
    "ks": ks,
    "calibration": calibration,
    "gain": gain,
    "distribution": distribution,
}
"""The figures of one contender by the stem of their artefact."""


def _highest_rate(evaluation: Evaluation, column: str) -> float:
    table = evaluation.tables["calibration"]
    return float(max(np.max(table["predicted"]), np.max(table[column])))


def _median(evaluation: Evaluation, name: str) -> float:
    """The PD below which half of the class lies, read off the KS table."""
    table = evaluation.tables["ks"]
    return float(np.interp(0.5, table[name], table["pd"]))


def _pd_scale(axes: Axes, low: float, high: float) -> None:
    """A log-odds axis labelled in per cent: most PDs are small, and their ratios are what matters."""
    axes.set_xscale("logit")
    axes.set_xlim(max(low, 1e-6), min(max(high, low + 1e-6), 1 - 1e-6))
    ticks = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.95, 0.99]
    axes.xaxis.set_ticks([tick for tick in ticks if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]])
    axes.xaxis.set_ticks([], minor=True)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))


def _draw_calibration(axes: Axes, contender: str, evaluation: Evaluation, *, intervals: bool) -> None:
    table = {name: np.asarray(v, dtype=float) for name, v in evaluation.tables["calibration"].items()}
    x, y = table["predicted"], table["observed"]
    axes.plot(x, y, _line(contender), color=colour(contender), marker="o", markersize=4, label=contender)
    if intervals:
        reach = np.vstack([y - table["low"], table["high"] - y])
        axes.errorbar(x, y, reach, fmt="none", ecolor=colour(contender), elinewidth=1, alpha=0.7)


def _rate_scale(axes: Axes, highest: float) -> None:
    """Square-root axes from 0 to `highest`: low rates get room, and the error of a rate is as long everywhere."""
    ticks = [tick for tick in (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1) if tick <= highest]
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        axes.set(**{f"{name}scale": FuncScale(axis, (np.sqrt, np.square))})
        axis.set_ticks(ticks, [_percent(tick) for tick in ticks])
    axes.set(xlim=(0, highest), ylim=(0, highest))
    _reference_line(axes, "perfect")


# ------------------------------------------------------------------------------------------- all contenders


def _by_auc(evaluations: Mapping[str, Evaluation]) -> list[tuple[str, Evaluation]]:
    return sorted(evaluations.items(), key=lambda item: -item[1].metrics["auc"])


def roc_overlay(evaluations: Mapping[str, Evaluation]) -> Figure:
    """The ROC curves of all contenders, best first in the legend, with their AUC."""
    ordered = _by_auc(evaluations)
    figure, axes = _axes(
        f"AUC from {ordered[-1][1].metrics['auc']:.3f} ({ordered[-1][0]})\n"
        f"to {ordered[0][1].metrics['auc']:.3f} ({ordered[0][0]})",
        "goods refused (false positive rate)",
        "bads refused (true positive rate)",
    )
    _shares(axes)
    for name, evaluation in ordered:
        table = evaluation.tables["roc"]
        label = f"{evaluation.metrics['auc']:.3f}  {name}"
        axes.plot(table["fpr"], table["tpr"], _line(name), color=colour(name), linewidth=1.8, label=label)
    _reference_line(axes, "0.500  no discrimination")
    axes.legend(loc="lower right", frameon=False, title="AUC", alignment="left")
    return figure


def calibration_overlay(evaluations: Mapping[str, Evaluation]) -> Figure:
    """The reliability curves of all contenders, without intervals."""
    errors = {name: evaluation.metrics["calibration_error"] for name, evaluation in evaluations.items()}
    best, worst = min(errors, key=errors.__getitem__), max(errors, key=errors.__getitem__)
    figure, axes = _axes(
        f"Calibration error from {100 * errors[best]:.1f} ({best})\n"
        f"to {100 * errors[worst]:.1f} points ({worst})",
        "mean predicted PD",
        "observed bad rate",
    )
    for name, evaluation in _by_auc(evaluations):
        _draw_calibration(axes, name, evaluation, intervals=False)
    _rate_scale(axes, 1.1 * max(_highest_rate(evaluation, "observed") for evaluation in evaluations.values()))
    axes.legend(loc="upper left", frameon=False)
    return figure


def gain_overlay(evaluations: Mapping[str, Evaluation]) -> Figure:
    """The gain curves of all contenders, with the share of defaults in the riskiest fifth."""
    captured = {
        name: float(np.interp(0.2, e.tables["gain"]["applicants"], e.tables["gain"]["bads"]))
        for name, e in _by_auc(evaluations)
    }
    least, most = min(captured, key=captured.__getitem__), max(captured, key=captured.__getitem__)
    figure, axes = _axes(
        f"The riskiest 20 % of applicants hold {_percent(captured[least])} ({least})\n"
        f"to {_percent(captured[most])} of the defaults ({most})",
        "share of applicants, riskiest first",
        "share of all bads",
    )
    _shares(axes)
    for name, share in captured.items():
        x, y = (evaluations[name].tables["gain"][column] for column in ("applicants", "bads"))
        axes.plot(x, y, _line(name), color=colour(name), linewidth=1.8, label=f"{_percent(share)}  {name}")
    _reference_line(axes, "20 %  random order")
    axes.axvline(0.2, color="black", linewidth=0.8, linestyle=":")
    axes.legend(loc="lower right", frameon=False, title="bads in the riskiest 20 %", alignment="left")
    return figure


def auc_bars(comparison: pd.DataFrame, title: str) -> Figure:
    """AUC of each contender with its 95 % interval and its uplift over bank-only, best first.

    `comparison` has the columns contender, auc, auc_low, auc_high and uplift_auc (NaN where it is the
    baseline).
    """
    rows = comparison.sort_values("auc").reset_index(drop=True)
    figure, axes = _axes(title, "AUC, 95 % interval", "", height=1.5 + 0.42 * len(rows))
    figure.set_size_inches(7.4, figure.get_size_inches()[1])
    axes.set_position((0.25, axes.get_position().y0, 0.72, axes.get_position().height))
    # A dot with its interval and no bar from zero: AUC starts at 0.5 and the differences are small.
    for place, row in rows.iterrows():
        shade = colour(row.contender)
        axes.plot([row.auc_low, row.auc_high], [place, place], color=shade, linewidth=5, alpha=0.35)
        axes.plot(row.auc, place, "o", color=shade, markersize=8)
        uplift = "" if np.isnan(row.uplift_auc) else f"  ({row.uplift_auc:+.3f})"
        label = f"{row.auc:.3f}{uplift}"
        axes.annotate(label, (row.auc, place), (0, 8), textcoords="offset points", ha="center")
    axes.set_yticks(range(len(rows)), rows["contender"])
    axes.set_ylim(-0.6, len(rows) - 0.25)
    axes.grid(visible=False, axis="y")
    return figure


def training_curves(curves: Mapping[str, Iterable[tuple[int, float]]], metric: str) -> Figure:
    """A validation metric of each contender over its rounds; `curves` maps its name to (round, value)."""
    series = {name: np.array(sorted(points), dtype=float).reshape(-1, 2) for name, points in curves.items()}
    series = {name: points for name, points in series.items() if len(points)}
    best = {name: points[:, 1].max() for name, points in series.items()}
    leader = max(best, key=best.__getitem__)
    figure, axes = _axes(f"Best {metric} {best[leader]:.3f} ({leader})", "round", metric)
    for name, points in series.items():
        axes.plot(points[:, 0], points[:, 1], _line(name), color=colour(name), linewidth=1.8, label=name)
    axes.legend(loc="lower right", frameon=False)
    return figure
