import io
from collections.abc import Callable

import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.lending import figures
from experiments.lending.cases import Case
from experiments.lending.content import World, world_from_cases
from experiments.lending.measures import APPROVAL, BAD_RATE, RANKING
from experiments.lending.policy import Policy
from server.tracking.drawing import colour, save

PAIR = ("bank-only-boosting", "federated-boosting")


@pytest.fixture(scope="module")
def world(make_case: Callable[..., Case]) -> World:
    return world_from_cases("base", [make_case(economy) for economy in (1, 2, 3)], Policy())


def title(figure: Figure) -> str:
    return figure.axes[0].get_title(loc="left")


def drawn(figure: Figure) -> bool:
    buffer = io.BytesIO()
    save(figure, buffer)
    return buffer.getvalue().startswith(b"\x89PNG")


def percent(value: float, digits: int = 0) -> str:
    return f"{100 * value:.{digits}f} %"


def test_gains_name_the_worlds_that_have_one_and_those_that_have_none(world: World) -> None:
    none = world.summary.copy()
    none.loc[(RANKING, "gini"), ["change", "low", "high"]] = 0.01, -0.1, 0.12
    figure = figures.gains({"base": world.summary, "bare": none}, PAIR, {"A +10 %": 0.1, "B +20 %": 0.2})
    assert f"{100 * world.summary.loc[(RANKING, 'gini'), 'change']:+.1f} % in base" in title(figure)
    assert "none to be shown in bare" in title(figure)
    texts = {text.get_text().strip() for text in figure.axes[0].texts}
    assert {"A +10 %", "B +20 %"} <= texts
    assert drawn(figure)


def test_the_trade_off_states_both_steps_and_draws_them_in_the_contenders_colours(world: World) -> None:
    figure = figures.trade_off(world.trade_off, world.summary, "base", PAIR)
    summary = world.summary
    for row, digits in (((BAD_RATE, "approval_rate"), 0), ((APPROVAL, "bad_rate"), 1)):
        for side in ("reference", "challenger"):
            assert percent(summary.loc[row, side], digits) in title(figure)
    curves = [line for line in figure.axes[0].lines if len(line.get_xdata()) > 1]
    assert [line.get_color() for line in curves] == [colour(name) for name in PAIR]
    assert curves[0].get_ydata()[-1] == world.trade_off.loc[1.0, "reference"]
    assert drawn(figure)


def test_the_swap_set_shows_every_group(world: World) -> None:
    figure = figures.swap(world.swap, "base", PAIR)
    for name in ("swapped_in", "swapped_out"):
        assert percent(world.swap.loc[name, "bad_rate"], 1) in title(figure)
    bars = sorted(bar.get_width() for bar in figure.axes[0].patches)
    assert bars == pytest.approx(sorted(world.swap["bad_rate"]))
    assert drawn(figure)


def test_lines_are_those_at_equal_bad_rate(world: World) -> None:
    figure = figures.lines(world.summary, "base", PAIR)
    row = world.summary.loc[(BAD_RATE, "average_line")]
    assert f"{row['challenger'] / 1e3:,.0f} thousand CNY" in title(figure)
    assert row["reference"] in [bar.get_width() for bar in figure.axes[0].patches]
    assert drawn(figure)


def test_groups_that_the_data_do_not_tell_have_no_lines(world: World) -> None:
    summary = world.summary.drop(index="average_line_first_time", level="measure")
    assert len(figures.lines(summary, "base", PAIR).axes[0].patches) == 6


def test_a_group_without_anybody_can_be_drawn(world: World) -> None:
    groups = pd.DataFrame(world.swap)
    groups.loc["swapped_in"] = 0.0, float("nan")
    assert drawn(figures.swap(groups, "base", PAIR))
