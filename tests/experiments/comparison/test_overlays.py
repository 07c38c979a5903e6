import io

import numpy as np
import pandas as pd
import pytest

from experiments.comparison import overlays
from server.tracking import drawing


def labels(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


@pytest.fixture(params=[overlays.roc_overlay, overlays.calibration_overlay, overlays.gain_overlay])
def overlay(request, toy_study):
    return request.param(toy_study.evaluations)


def test_an_overlay_shows_every_contender_in_its_colour(overlay, toy_study):
    drawn = {line.get_label().split()[-1]: line.get_color() for line in overlay.axes[0].lines}
    for name in toy_study.evaluations:
        assert drawn[name] == drawing.colour(name)
    drawing.save(overlay, io.BytesIO())


def test_the_roc_legend_ranks_contenders_by_auc(toy_study):
    best = max(toy_study.evaluations.items(), key=lambda item: item[1].metrics["auc"])
    first = labels(overlays.roc_overlay(toy_study.evaluations))[0]
    assert first == f"{best[1].metrics['auc']:.3f}  {best[0]}"


def test_the_auc_figure_shows_interval_and_uplift_under_the_given_title(toy_study):
    figure = overlays.auc_bars(toy_study.comparison, "federated-network wins")
    axes = figure.axes[0]
    row = toy_study.comparison.set_index("contender").loc["federated-network"]
    assert axes.get_title(loc="left") == "federated-network wins"
    assert f"{row.auc:.3f}  ({row.uplift_auc:+.3f})" in [text.get_text() for text in axes.texts]
    intervals = [tuple(line.get_xdata()) for line in axes.lines]
    assert (row.auc_low, row.auc_high) in intervals
    best = toy_study.comparison.loc[toy_study.comparison["auc"].idxmax(), "contender"]
    assert axes.get_yticklabels()[-1].get_text() == best
    drawing.save(figure, io.BytesIO())


def test_training_curves_are_drawn_in_order_of_rounds():
    figure = overlays.training_curves({"federated-network": [(2, 0.7), (1, 0.6)], "true-pd": []}, "AUC")
    (line,) = figure.axes[0].lines
    np.testing.assert_array_equal(line.get_xdata(), [1, 2])
    assert "0.700 (federated-network)" in figure.axes[0].get_title(loc="left")


def test_the_figure_of_banks_has_a_dot_for_each_and_names_the_best_worst_that_can_exist():
    of_banks = pd.DataFrame(
        [
            ("bank-only-boosting", "north", 0.70),
            ("bank-only-boosting", "south", 0.80),
            ("banks-boosting", "north", 0.75),
            ("banks-boosting", "south", 0.78),
            ("true-pd", "north", 0.90),
            ("true-pd", "south", 0.91),
        ],
        columns=["contender", "bank", "auc"],
    )

    figure = overlays.bank_dots(of_banks, "auc")

    axes = figure.axes[0]
    assert axes.get_title(loc="left") == "Worst bank: AUC 0.750 by banks-boosting"
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "bank-only-boosting",
        "banks-boosting",
        "true-pd",
    ]
    assert {line.get_label(): list(line.get_xdata()) for line in axes.lines} == {
        "north": [0.70, 0.75, 0.90],
        "south": [0.80, 0.78, 0.91],
    }
