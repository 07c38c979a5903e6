from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from experiments.lending.cases import Case
from experiments.lending.content import World, compose, draw, metrics, world_from_cases
from experiments.lending.measures import RANKING
from experiments.lending.policy import Policy
from server.tracking.pages import Picture, to_markdown

PAIR = ("bank-only-boosting", "federated-boosting")


@pytest.fixture(scope="module")
def worlds(make_case: Callable[..., Case]) -> list[World]:
    policy = Policy()
    return [
        world_from_cases("base", [make_case(economy, seed) for economy in (1, 2) for seed in (1, 2)], policy),
        world_from_cases("bare", [make_case(economy, better=0.0) for economy in (1, 2)], policy),
    ]


def test_curves_and_swaps_are_means_over_the_cases(
    make_case: Callable[..., Case], worlds: list[World]
) -> None:
    cases = [make_case(economy, seed) for economy in (1, 2) for seed in (1, 2)]
    bad_rate = sum(case.test.labels.mean() for case in cases) / 4
    assert worlds[0].trade_off.loc[1.0, "reference"] == pytest.approx(bad_rate)
    assert worlds[0].swap["share"].sum() == pytest.approx(1)
    assert worlds[0].sizes == (2, 2, 1_500)


def test_the_page_has_every_figure_and_the_command(worlds: list[World]) -> None:
    parts = compose(worlds, PAIR, Policy(), "siloscore report --out x")
    shown = [part.name for part in parts if isinstance(part, Picture)]
    assert sorted(shown) == sorted(draw(worlds, PAIR))
    text = to_markdown(parts)
    assert "siloscore report --out x" in text
    assert "base: 2 economies with 2 training seeds and 1,500 test applicants each" in text
    for lender in ("UnionPay", "ICBC", "MYbank", "WeBank"):
        assert f"| {lender} |" in text


def test_the_page_tells_what_kind_of_interval_it_shows(
    make_case: Callable[..., Case], worlds: list[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Student's t over the economies" in to_markdown(compose(worlds, PAIR, Policy(), ""))
    monkeypatch.setattr("experiments.lending.intervals.RESAMPLES", 5)
    alone = world_from_cases("data", [make_case(0, rows=300)], Policy())
    assert "a bootstrap over the test applicants" in to_markdown(compose([alone], PAIR, Policy(), ""))


def test_metrics_are_those_of_the_summary_without_gaps(worlds: list[World]) -> None:
    found = metrics(worlds)
    row = worlds[0].summary.loc[(RANKING, "gini")]
    assert found["base/uplift_gini_relative"] == row["change"]
    assert found["base/uplift_gini_relative_low"] == row["low"]
    assert not pd.isna(list(found.values())).any()


def test_the_page_tells_whom_the_models_treat_worse_where_there_are_segments(
    make_case: Callable[..., Case], worlds: list[World]
) -> None:
    assert "Whom does it treat worse?" not in to_markdown(compose(worlds, PAIR, Policy(), ""))
    cases = []
    for economy in (1, 2):
        case, rng = make_case(economy, rows=600), np.random.default_rng(economy)
        parts = [
            replace(rows, segments={"area": rng.choice(["city", "town"], len(rows))})
            for rows in (case.validation, case.test)
        ]
        cases.append(replace(case, validation=parts[0], test=parts[1]))
    world = world_from_cases("base", cases, Policy(groups="area"))

    page = to_markdown(compose([world], PAIR, Policy(groups="area"), ""))

    assert "### Whom does it treat worse?" in page
    assert "**area.** Approval rate of the lowest group over that of the highest:" in page
    assert "a cut-off for each area, for equal approval rates" in page
    assert f"{world.name}-fairness" in draw([world], PAIR)
    ratios = world.fairness.gaps.loc["area", "approval_rate", "ratio"]
    assert metrics([world])["base/least_approval_rate_ratio_challenger"] == ratios["challenger"]
