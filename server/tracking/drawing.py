"""The house style of the figures: colours, lines and axes. Nothing here knows what a figure shows.

Figures are drawn through matplotlib's object-oriented interface, without pyplot and its global state, so they
can be drawn in any process and thread. A contender has the same colour in every figure, from the
colour-blind-safe palette of Okabe and Ito (2008), and each kind of learner its own line.
"""

from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.scale import FuncScale
from matplotlib.ticker import FuncFormatter, PercentFormatter
from matplotlib.transforms import Bbox

from fl.protocols import algorithms

LineStyle: TypeAlias = str | tuple[int, tuple[int, ...]]

BADS, GOODS, QUIET = "#D55E00", "#0072B2", "#8A8A8A"

_SHARES = ("bank-only", "federated", "pooled")
_PALETTE = (
    ("#B79F00", "#56B4E9", "#117733"),
    ("#E69F00", "#0072B2", "#009E73"),
    ("#AA4499", "#332288", "#44AA99"),
    ("#999933", "#88CCEE", "#882255"),
)
"""By algorithm, in the order of `fl.protocols`, a colour for each way to share data."""
_OF_BANKS = {
    "banks": ("#7A5C00", "#7F3C8D", "#DDAA33", "#6699CC"),
    "hybrid": ("#004488", "#D00000", "#BB5566", "#225522"),
}
"""By way to share data among several banks, a colour for each algorithm."""
_FEW = 3
_LEGEND_BELOW = 0.55  # inches, under the axes' label
_YARDSTICKS = {"bank-only-trees": "#D55E00", "pooled-trees": "#CC79A7", "true-pd": "#000000"}
_LINES = ("--", "-", "-.", (0, (3, 1, 1, 1, 1, 1)))


def colour(contender: str) -> str:
    """The contender's colour: the same in every figure, study and session."""
    share, _, algorithm = contender.rpartition("-")
    if share in _OF_BANKS:
        return _OF_BANKS[share][_number(algorithm) % len(_PALETTE)]
    by_share = dict(zip(_SHARES, _PALETTE[_number(algorithm) % len(_PALETTE)], strict=True))
    return _YARDSTICKS.get(contender) or by_share.get(share, by_share[_SHARES[-1]])


def line_style(contender: str) -> LineStyle:
    """The line of the contender's algorithm; stock trees are dashed, the truth is dotted."""
    algorithm = contender.rpartition("-")[2]
    return {"trees": "--", "pd": ":"}.get(algorithm) or _LINES[_number(algorithm) % len(_LINES)]


def _number(algorithm: str) -> int:
    """The place of an algorithm in `fl.protocols`; that of a name from elsewhere is after all others."""
    names = algorithms()
    return names.index(algorithm) if algorithm in names else len(names)


def new_axes(title: str, x: str, y: str, width: float = 6.4, height: float = 4.8) -> tuple[Figure, Axes]:
    """An empty figure, `width` by `height` inches, with fixed margins; `save` makes room for what does not fit."""
    figure = Figure(figsize=(width, height), dpi=100)
    axes = figure.add_axes((0.78 / width, 0.6 / height, 1 - 1.0 / width, 1 - 1.25 / height))
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=10)
    axes.set(xlabel=x, ylabel=y, axisbelow=True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E4E4E4", linewidth=0.8)
    return figure, axes


def with_legend(figure: Figure, **options: Any) -> Figure:
    """The figure with a legend of its curves outside of the axes, where it hides nothing: a few below, many beside."""
    (axes,) = figure.axes
    entries = len(axes.get_legend_handles_labels()[1])
    if entries > _FEW:
        place: dict[str, Any] = {"bbox_to_anchor": (1.01, 1.0)}
    else:
        below = _LEGEND_BELOW / (figure.get_figheight() * axes.get_position().height)
        place = {"bbox_to_anchor": (0.0, -below), "ncols": entries}
    axes.legend(loc="upper left", frameon=False, borderaxespad=0.0, **place, **options)
    return figure


def save(figure: Figure, file: Path | IO[bytes], dpi: float = 100) -> None:
    """Write a figure as PNG, larger than it is where a legend, a title or a name does not fit into it."""
    whole = Bbox.union([figure.bbox_inches, figure.get_tightbbox().padded(0.08)])
    figure.savefig(file, format="png", dpi=dpi, bbox_inches=whole)


def percent(share: float, digits: int = 0) -> str:
    """The share in per cent: 0.5 is "50 %"."""
    return f"{100 * share:.{digits}f} %"


def share_axes(axes: Axes) -> None:
    """Both axes from 0 to 100 %."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))


def reference_line(axes: Axes, label: str) -> None:
    """The diagonal, quiet and behind the curves."""
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=(0, (4, 4)), label=label, zorder=1)


def pd_axis(axes: Axes, low: float, high: float) -> None:
    """A log-odds axis labelled in per cent: most PDs are small, and their ratios are what matters."""
    # A model of few rows may have nothing but PDs of 0 or 1.
    low = min(max(low, 1e-6), 1 - 2e-6)
    axes.set(xscale="logit", xlim=(low, min(max(high, low + 1e-6), 1 - 1e-6)))
    ticks = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.95, 0.99]
    axes.xaxis.set_ticks([tick for tick in ticks if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]])
    axes.xaxis.set_ticks([], minor=True)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))


def rate_axes(axes: Axes, highest: float) -> None:
    """Square-root axes from 0 to `highest`: low rates get room, and errors of rates the same length."""
    # Below the least of these, labels would run into each other.
    ticks = [
        tick for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1) if highest / 40 <= tick <= highest
    ]
    # First, since the limits that matplotlib would choose may be negative, and have no root.
    axes.set(xlim=(0, highest), ylim=(0, highest))
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        axes.set(**{f"{name}scale": FuncScale(axis, (np.sqrt, np.square))})
        axis.set_ticks([0, *ticks], [percent(tick) for tick in (0, *ticks)])
    reference_line(axes, "perfect")
