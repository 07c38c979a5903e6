from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from experiments.lending import wording
from experiments.lending.cases import Case
from experiments.lending.claims import CLAIMS
from experiments.lending.intervals import summarise
from experiments.lending.measures import APPROVAL, BAD_RATE, MEASURES, RANKING
from experiments.lending.policy import Policy

PAIR = ("bank-only-boosting", "federated-boosting")


@pytest.fixture(scope="module")
def summary(make_case: Callable[..., Case]) -> pd.DataFrame:
    return summarise([make_case(economy) for economy in (1, 2, 3)], Policy())


@pytest.mark.parametrize(
    ("measure", "level", "change", "interval"),
    [
        ("gini", "0.500", "+12.3 %", "-1.0 to +30.0 %"),
        ("approval_rate", "50.0 %", "+12.3 points", "-1.0 to +30.0 points"),
        ("price", "50.00 %", "+12.35 points", "-1.00 to +30.00 points"),
        ("average_line", "0 CNY", "+12.3 %", "-1.0 to +30.0 %"),
        ("realised_profit", "0 CNY", "+0 CNY", "+0 to +0 CNY"),
    ],
)
def test_a_figure_has_the_unit_of_its_kind(measure: str, level: str, change: str, interval: str) -> None:
    assert wording.level(measure, 0.5) == level
    assert wording.change(measure, 0.12346) == change
    assert wording.interval(measure, -0.01, 0.3) == interval


@pytest.mark.parametrize("measure", MEASURES)
def test_what_is_not_known_is_a_dash(measure: str) -> None:
    row = pd.Series({"change": np.nan, "low": np.nan, "high": np.nan})
    assert {wording.level(measure, np.nan), wording.interval(measure, np.nan, 1.0)} == {"–"}
    assert wording.finding(measure, row) == "–"


@pytest.mark.parametrize(
    ("pair", "labels"),
    [
        (PAIR, ("bank alone", "federated")),
        (("bank-only-trees", "pooled-trees"), ("bank alone", "pooled-trees")),
        (("federated-network", "federated-boosting"), ("federated-network", "federated-boosting")),
    ],
)
def test_models_are_called_by_what_tells_them_apart(pair: tuple[str, str], labels: tuple[str, str]) -> None:
    assert wording.labels(pair) == labels


def test_a_change_without_interval_stands_alone() -> None:
    assert wording.finding("gini", pd.Series({"change": 0.1, "low": np.nan, "high": np.nan})) == "+10.0 %"


def test_the_headline_tells_a_gain_from_none(summary: pd.DataFrame) -> None:
    row = summary.loc[(RANKING, "gini")]
    assert wording.sure(row)
    said = wording.headline("base", summary)
    assert said.startswith(f"**base**: Gini {100 * row['change']:+.1f} % (")
    assert "At equal bad rate" in said

    unsure = summary.copy()
    unsure.loc[(RANKING, "gini"), "low"] = -0.1
    assert wording.headline("base", unsure).startswith("**base**: no gain can be shown. Gini +")


def test_a_table_leaves_out_what_is_equal_by_construction(summary: pd.DataFrame) -> None:
    titles = set(wording.measure_table(summary, APPROVAL, PAIR)[""])
    assert MEASURES["approval_rate"].title not in titles
    assert MEASURES["bad_rate"].title in titles
    assert MEASURES["bad_rate"].title not in set(wording.measure_table(summary, BAD_RATE, PAIR)[""])


def test_every_claim_stands_beside_a_measure_and_what_can_be_compared(summary: pd.DataFrame) -> None:
    table = wording.claim_table({"base": summary, "other": summary.drop(index="own", level="cut-offs")}, PAIR)
    assert len(table) == len(CLAIMS) == 5
    assert (table["base"] != "–").all()
    levels = table[table["who"].isin(["MYbank", "WeBank"])]
    assert levels["base"].str.contains("bank alone").all()
    assert (levels["other"] == "–").all()
    assert table["comparable?"].str.contains("Comparable").all()
    for claim in CLAIMS:
        assert (claim.cutoffs, claim.measure) in summary.index


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({}, "at the largest expected profit"),
        ({"choose": "approval-rate", "target": 0.6}, "to approve 60 % of the applicants"),
        ({"choose": "bad-rate", "target": 0.02}, "for a bad rate of 2 %"),
        ({"choose": "none", "maximum_pd": 0.05}, "at PD 5 %"),
    ],
)
def test_a_policy_in_words(choice: dict, said: str) -> None:
    table = wording.policy_table(Policy(**choice))
    assert table.iloc[0, 1] == said
    assert "PD up to 1 %: 12 %" in table.iloc[1, 1]
