import io
from pathlib import Path

import pytest
from matplotlib.image import imread

from server.tracking import drawing

KNOWN = (
    "bank-only-network",
    "bank-only-trees",
    "federated-network",
    "pooled-network",
    "pooled-trees",
    "true-pd",
)


def test_known_contenders_have_different_colours():
    assert len({drawing.colour(name) for name in KNOWN}) == len(KNOWN)


def test_an_unknown_contender_has_a_lasting_colour_that_no_known_one_has():
    assert drawing.colour("my-own-model") == drawing.colour("my-own-model")
    assert drawing.colour("my-own-model") not in {drawing.colour(name) for name in KNOWN}


def test_learners_differ_by_their_line():
    assert drawing.line_style("federated-network") == drawing.line_style("pooled-network")
    assert drawing.line_style("pooled-network") != drawing.line_style("pooled-trees")


def test_axes_of_figures_do_not_share_state():
    (first, _), (second, _) = drawing.new_axes("a", "x", "y"), drawing.new_axes("b", "x", "y")
    assert first is not second
    assert [axes.get_title(loc="left") for axes in first.axes] == ["a"]


@pytest.mark.parametrize("curves", [1, 3, 13])
def test_a_legend_hides_nothing_and_the_saved_figure_holds_it_whole(curves: int, tmp_path: Path) -> None:
    figure, axes = drawing.new_axes("a title that is longer than its figure is wide " * 3, "x", "y")
    axes.set_yticks([0, 1], ["the name of a party that is longer than the margin", "tax"])
    for number in range(curves):
        axes.plot([0, 1], [0, number], label=f"{number} a contender with a very long name")

    drawing.save(drawing.with_legend(figure), tmp_path / "x.png", dpi=100)

    legend = axes.get_legend().get_window_extent()
    assert not legend.overlaps(axes.bbox)
    assert not legend.overlaps(axes.xaxis.get_tightbbox())
    height, width, _ = imread(tmp_path / "x.png").shape
    whole = figure.get_tightbbox()
    assert (width, height) >= (100 * whole.width, 100 * whole.height)


def test_a_figure_that_fits_keeps_its_size() -> None:
    buffer = io.BytesIO()
    drawing.save(drawing.new_axes("a", "x", "y")[0], buffer)
    buffer.seek(0)
    assert imread(buffer).shape[:2] == (480, 640)
