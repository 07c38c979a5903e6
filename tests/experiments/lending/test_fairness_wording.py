from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from experiments.lending import fairness_wording
from experiments.lending.cases import Case
from experiments.lending.fairness import Fairness, measure_fairness
from experiments.lending.measures import choose_cutoffs
from experiments.lending.policy import Policy

PAIR = ("bank-only-boosting", "federated-boosting")


@pytest.fixture(scope="module")
def found(make_case: Callable[..., Case]) -> Fairness:
    def with_areas(case: Case) -> Case:
        area = np.random.default_rng(0).choice(["city", "town", "isle"], len(case.test), p=[0.6, 0.39, 0.01])
        return replace(case, test=replace(case.test, segments={"area": area}))

    cases = [with_areas(make_case(economy, rows=600)) for economy in (1, 2)]
    policy = Policy()
    return measure_fairness(cases, [choose_cutoffs(case, policy) for case in cases], policy)


def test_a_segment_has_a_line_for_each_group_and_withholds_the_small(found: Fairness) -> None:
    table = fairness_wording.segment_table(found, "area")

    assert table["area"].tolist()[-1] == "isle"
    assert table["applicants"].tolist()[-1] == "fewer than 50"
    assert (table.iloc[-1, 2:] == "–").all()
    rates = found.table.loc["area"].xs(("approval_rate", "reference"), level=("measure", "figure"))["value"]
    assert table["area"].tolist()[:-1] == rates.sort_values().index.tolist()
    city = table.set_index("area").loc["city"]
    assert (city["ratio to city"], city["difference from city"]) == ("1", "–")
    row = found.table.loc["area", "city", "approval_rate"]
    assert city["approved"].startswith(
        f"{100 * row.loc['reference', 'value']:.1f} % → {100 * row.loc['challenger', 'value']:.1f} %: "
    )


def test_groups_that_gain_or_lose_relatively_are_named(found: Fairness) -> None:
    def shifted(low: float, high: float) -> Fairness:
        table = found.table.copy()
        key = ("area", "town", "approval_rate", "ratio change")
        table.loc[key, ["value", "low", "high"]] = (low + high) / 2, low, high
        return replace(found, table=table)

    gap = found.gaps.loc["area", "approval_rate"]
    said = fairness_wording.segment_finding(shifted(0.02, 0.06), "area", PAIR)
    assert (
        f"{gap.loc['ratio', 'reference']:.2f} bank alone, {gap.loc['ratio', 'challenger']:.2f} federated"
        in said
    )
    assert "relatively more of town (+0.04 (+0.02 to +0.06))." in said
    assert "relatively less of town" in fairness_wording.segment_finding(shifted(-0.2, -0.1), "area", PAIR)
    assert "town" not in fairness_wording.segment_finding(shifted(-0.2, 0.1), "area", PAIR)
    assert "more of 1 of the 1 other groups" in fairness_wording.finding(shifted(0.02, 0.06), PAIR)
    assert "relatively less of 1;" in fairness_wording.finding(shifted(-0.2, -0.1), PAIR)


def test_a_mitigation_has_a_line_for_each_measure() -> None:
    index = pd.MultiIndex.from_product(
        [["x"], ["approval_ratio", "approval_rate", "expected_profit", "gini"]]
    )
    frame = pd.DataFrame(
        {"before": 0.5, "after": 0.75, "change": 0.25, "low": 0.1, "high": 0.4}, index.set_names(["a", "b"])
    )
    table = fairness_wording.mitigation_table(frame)
    assert table["change"].tolist() == [
        "+0.250 (+0.100 to +0.400)",
        "+25.0 points (+10.0 to +40.0)",
        "+0 CNY (+0 to +0)",
        "+0.250 (+0.100 to +0.400)",
    ]
    assert table["mitigated"].tolist() == ["0.750", "75.0 %", "1 CNY", "0.750"]
