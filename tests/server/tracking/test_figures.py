import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from fl.evaluation import Evaluation
from fl.evaluation.measures import evaluate
from fl.records import decode, encode
from server.tracking import drawing, figures
from server.tracking.drawing import save


def title(figure: Figure) -> str:
    return figure.axes[0].get_title(loc="left")


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    save(figure, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("name", figures.FIGURES)
def test_a_figure_names_the_contender_and_its_axes_and_can_be_drawn(name, toy_study):
    figure = figures.FIGURES[name]("federated-network", toy_study.evaluations["federated-network"])
    axes = figure.axes[0]
    assert title(figure).startswith("federated-network: ")
    assert axes.get_xlabel()
    assert axes.get_ylabel()
    assert png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", figures.FIGURES)
@pytest.mark.parametrize("pd", [np.full(60, 0.2), np.tile([0.0, 1.0], 30), np.linspace(0, 1, 60)])
def test_extreme_scores_can_be_drawn(name, pd):
    assert png(figures.FIGURES[name]("x", evaluate(np.tile([0, 0, 1], 20), pd)))


@pytest.mark.parametrize("name", figures.FIGURES)
def test_a_figure_needs_only_what_crosses_the_border(name, toy_study):
    received = decode(Evaluation, encode(toy_study.evaluations["true-pd"]))
    assert png(figures.FIGURES[name]("true-pd", received))


def test_titles_state_the_finding(toy_study):
    evaluation = toy_study.evaluations["federated-network"]
    found = evaluation.metrics
    assert f"AUC {found['auc']:.3f}" in title(figures.roc("x", evaluation))
    assert f"KS {found['ks']:.3f}" in title(figures.ks("x", evaluation))
    gain = evaluation.tables["gain"]
    captured = np.interp(0.2, gain["applicants"], gain["bads"])
    assert f"{100 * captured:.0f} % of the defaults" in title(figures.gain("x", evaluation))
    assert f"bad rate {100 * found['bad_rate']:.1f} %" in title(figures.calibration("x", evaluation))


def test_the_curve_has_the_contender_s_colour(toy_study):
    figure = figures.roc("pooled-trees", toy_study.evaluations["pooled-trees"])
    assert figure.axes[0].lines[0].get_color() == drawing.colour("pooled-trees")


def test_the_distribution_shows_both_classes_whole(toy_study):
    table = toy_study.evaluations["true-pd"].tables["distribution"]
    ends = np.append(table["low"], table["high"][-1])
    axes = figures.distribution("true-pd", toy_study.evaluations["true-pd"]).axes[0]
    goods = next(patch for patch in axes.patches if patch.get_label() == "goods").get_data()
    np.testing.assert_allclose(goods.edges[1:-1], ends[1:-1])
    log_odds = np.log(goods.edges / (1 - goods.edges))
    assert np.sum(goods.values * np.diff(log_odds)) == pytest.approx(1)
