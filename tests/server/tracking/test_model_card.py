from dataclasses import replace

import numpy as np
import pytest

from fl.evaluation import Evaluation
from server.tracking import model_card


@pytest.fixture
def evaluation(toy_study) -> Evaluation:
    """An evaluation with the tables of a scorecard of two columns."""
    scorecard = {
        "name": np.array(["inflow", ""]),
        "party": np.array(["bank", "tax|east"]),
        "code": np.array(["BAN01", "TAX03"]),
        "column": np.array([0, 2]),
        "groups": np.array([5, 2]),
        "least": np.array([-10, -4]),
        "most": np.array([12, 3]),
        "sign": np.array([-1, 0]),
        "obeys": np.array([True, True]),
        "information": np.array([0.25, np.nan]),
        "stability": np.array([0.01, 0.3]),
    }
    groups = {
        "party": np.repeat(["bank", "tax|east"], [5, 2]),
        "code": np.repeat(["BAN01", "TAX03"], [5, 2]),
        "values": np.array(["≤ 3", "> 3 to 5", "> 5 to 9", "> 9", "missing", "", ""]),
        "applicants": np.array([0.2, 0.2, 0.3, 0.2, 0.1, 0.25, 0.75]),
        "points": np.array([12, 5, 0, -3, -10, 3, -4]),
        "alone": np.array([18, 5, 0, -3, -10, 0, 0]),
    }
    reasons = {
        "code": np.array(["BAN01", "TAX03"]),
        "text": np.array(["Low inflow", "Taxes <late>"]),
        "text_zh": np.array(["账户流入偏低", "逾期缴税"]),
    }
    scale = {
        "pdo": np.array([20.0]),
        "base_score": np.array([600.0]),
        "base_odds": np.array([50.0]),
        "base": np.array([540]),
        "alone_base": np.array([545]),
        "bank": np.array(["bank"]),
        "score_stability": np.array([0.02]),
    }
    before = toy_study.evaluations["federated-network"]
    return replace(
        before,
        tables=before.tables | {"scorecard": scorecard, "groups": groups, "reasons": reasons, "scale": scale},
    )


def test_only_a_scorecard_has_a_card(toy_study, evaluation: Evaluation) -> None:
    assert model_card.files("x", toy_study.evaluations["pooled-trees"]) == {}
    assert set(model_card.files("x", evaluation)) == {"model_card.md", "model_card.html"}


def test_both_say_the_same(evaluation: Evaluation) -> None:
    found = model_card.files("federated-scorecard", evaluation)
    for text in found.values():
        assert "Model card: federated-scorecard" in text
        assert "540 to begin with" in text
        assert "known to no other" in text
        assert "between 526 and 563" in text
        assert "账户流入偏低" in text
        assert "−10" not in text
        assert "-10 to 12" in text
        assert "0.0200, stable" in text
        assert "Columns of 0.1 or more: TAX03 0.300" in text
        assert "county" in text  # a segment's level


def test_a_column_without_a_name_goes_by_its_number_and_names_cannot_break_tables(
    evaluation: Evaluation,
) -> None:
    found = model_card.files("x", evaluation)
    assert "| tax\\|east | 3 | TAX03 | 2 | -4 to 3 | – |" in found["model_card.md"]
    assert "Taxes &lt;late&gt;" in found["model_card.html"]


def test_every_group_has_its_points_and_the_values_that_its_party_publishes(evaluation: Evaluation) -> None:
    found = model_card.files("x", evaluation)["model_card.md"]
    assert "| bank | inflow | > 3 to 5 | 20.0% | 5 |" in found
    assert "| bank | inflow | missing | 10.0% | -10 |" in found
    assert "| tax\\|east | 3 | group 2 | 75.0% | -4 |" in found
    assert "not by tax|east: their own people" in found
    groups = dict(evaluation.tables["groups"])
    told = groups | {"values": np.where(groups["values"] == "", "any value", groups["values"])}
    open_one = replace(evaluation, tables=evaluation.tables | {"groups": told})
    assert "publish_bins" not in model_card.files("x", open_one)["model_card.md"]


def test_signs_that_are_broken_are_named(evaluation: Evaluation) -> None:
    assert (
        "all 1 columns with a demanded direction keep" in model_card.files("x", evaluation)["model_card.md"]
    )
    broken = dict(evaluation.tables["scorecard"]) | {"obeys": np.array([False, True])}
    other = replace(evaluation, tables=evaluation.tables | {"scorecard": broken})
    assert "demanded direction: BAN01, of 1" in model_card.files("x", other)["model_card.md"]


def test_a_bank_none_of_whose_columns_has_points_says_so_of_nobody(evaluation: Evaluation) -> None:
    tables = dict(evaluation.tables)
    for name in ("scorecard", "groups"):
        rows = tables[name]["party"] != "bank"
        tables[name] = {key: column[rows] for key, column in tables[name].items()}
    found = model_card.files("x", replace(evaluation, tables=tables))["model_card.md"]
    assert "known to no other" not in found
    assert "between 536 and 545" in found
