import pandas as pd
import pytest

from experiments.comparison.gains import ADD_ONE, LEAVE_ONE_OUT, describe, draw_gains, headline


@pytest.fixture
def gains() -> pd.DataFrame:
    rows = [
        (LEAVE_ONE_OUT, "tax", 0.84, 0.80, 0.04, 0.02, 0.06, 0.0001),
        (LEAVE_ONE_OUT, "supply", 0.84, 0.83, 0.01, -0.01, 0.03, 0.2),
        (ADD_ONE, "tax", 0.83, 0.76, 0.07, 0.04, 0.10, 0.0001),
        (ADD_ONE, "supply", 0.80, 0.76, 0.04, 0.02, 0.06, 0.001),
    ]
    names = ["question", "party", "auc_with", "auc_without", "gain", "gain_low", "gain_high", "p_value"]
    return pd.DataFrame(rows, columns=names)


def test_the_headline_names_who_adds_most(gains: pd.DataFrame) -> None:
    assert headline(gains) == "tax adds +0.040 AUC to the others"


def test_the_description_has_a_line_per_party_and_question(gains: pd.DataFrame) -> None:
    text = describe("s", "federated-boosting", gains)
    assert "| supply | to all others | 0.840 | 0.830 | +0.010 | -0.010 to +0.030 | 0.200 |" in text
    assert text.count("\n| ") == 2 + 4
    assert "Study: s." in text


def test_the_figure_has_every_gain_with_its_interval(gains: pd.DataFrame) -> None:
    (axes,) = draw_gains(gains).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["tax", "supply"]
    shown = {
        text.get_text(): bars
        for bars, text in zip(axes.containers, axes.get_legend().get_texts(), strict=True)
    }
    for question, bars in shown.items():
        rows = gains[gains["question"] == question]
        assert bars[0].get_xdata().tolist() == pytest.approx(rows["gain"].tolist())
        ends = [segment[:, 0].tolist() for segment in bars[2][0].get_segments()]
        for (low, high), (_, row) in zip(ends, rows.iterrows(), strict=True):
            assert (low, high) == pytest.approx((row["gain_low"], row["gain_high"]))


def test_names_of_parties_have_room(gains: pd.DataFrame) -> None:
    figure = draw_gains(gains.replace("supply", "supply_chain_platform"))
    figure.canvas.draw()
    (axes,) = figure.axes
    assert all(label.get_window_extent().x0 >= 0 for label in axes.get_yticklabels())
