import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.comparison.banks import compare_banks, losers, spread, written_banks, written_losers
from experiments.comparison.result import Result
from experiments.comparison.results import compare, write_json
from fl.evaluation.measures import evaluate
from fl.metrics import auc, delong_test

BANKS = {"bank_a": slice(0, 500), "bank_b": slice(500, 700)}
NOISE = {
    # By contender the noise of its log odds at each bank: bank_a has less by the others' help.
    "bank-only-boosting": (0.3, 2.0),
    "banks-boosting": (1.5, 0.8),
    "federated-boosting": (0.2, 1.5),
    "pooled-boosting": (0.5, 0.1),
}
COSTS = dict.fromkeys(("round_trips", "bytes_up", "bytes_down", "seconds", "cpu_seconds"), 1.0)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    made = []
    for seed in (1, 2):
        rng = np.random.default_rng(seed)
        logit = rng.normal(size=700) - 1
        labels = (rng.random(700) < 1 / (1 + np.exp(-logit))).astype(np.int8)
        for name, noise in NOISE.items():
            scale = np.repeat(noise, [500, 200])
            pd = 1 / (1 + np.exp(-(logit + scale * rng.normal(size=700))))
            for bank, rows in {"": slice(0, 700), **BANKS}.items():
                evaluation, expected = evaluate(labels[rows], pd[rows]), 0.7 if bank == "bank_b" else 0.6
                made.append(Result(name, seed, pd[rows], labels[rows], evaluation, COSTS, bank, expected))
    return made


def of(results: list[Result], contender: str, bank: str) -> list[Result]:
    return [one for one in results if (one.contender, one.bank) == (contender, bank)]


def test_each_bank_is_compared_with_what_it_could_have_without_the_others(results: list[Result]) -> None:
    table = compare_banks(results).set_index(["contender", "bank"])

    assert list(table.index) == [(name, bank) for name in NOISE for bank in BANKS]
    row = table.loc["banks-boosting", "bank_a"]
    pairs = list(
        zip(of(results, "banks-boosting", "bank_a"), of(results, "bank-only-boosting", "bank_a"), strict=True)
    )
    assert row["auc"] == pytest.approx(np.mean([auc(one.labels, one.pd) for one, _ in pairs]))
    tests = [delong_test(one.labels, one.pd, other.pd) for one, other in pairs]
    assert row["gain"] == pytest.approx(np.mean([test.difference for test in tests]))
    assert row["p_value"] == pytest.approx(np.median([test.p_value for test in tests]))
    assert table.loc["pooled-boosting", "rival"].tolist() == ["federated-boosting"] * 2
    assert table.loc["federated-boosting", "rival"].tolist() == ["bank-only-boosting"] * 2
    assert table.loc["bank-only-boosting", "gain"].isna().all()


def test_the_worst_bank_and_the_mean_are_those_of_the_banks_alike_whatever_their_size(
    results: list[Result],
) -> None:
    of_banks = compare_banks(results)
    ends, figures = (
        spread(of_banks).loc["bank-only-boosting"],
        of_banks.set_index(["contender", "bank"])["auc"],
    )

    assert ends["mean"] == pytest.approx(figures["bank-only-boosting"].mean())
    assert (ends["worst"], ends["worst_bank"]) == (figures["bank-only-boosting", "bank_b"], "bank_b")
    assert spread(of_banks, "expected_auc")["worst_bank"].tolist() == ["bank_a"] * len(NOISE)


def test_who_loses_is_named_of_models_that_can_exist(results: list[Result]) -> None:
    lost = losers(compare_banks(results))
    assert lost[["contender", "bank"]].to_numpy().tolist() == [["banks-boosting", "bank_a"]]
    assert written_losers(compare_banks(results)).iloc[0].tolist()[:3] == [
        "bank_a",
        "banks-boosting",
        "bank-only-boosting",
    ]


def test_the_table_of_a_measure_has_a_column_for_each_bank(results: list[Result]) -> None:
    texts = written_banks(compare_banks(results), "expected_auc")
    assert texts.columns.tolist() == ["", "Mean", "Worst", "bank_a", "bank_b"]
    assert texts.iloc[0].tolist() == ["bank-only-boosting", "0.650", "0.600", "0.600", "0.700"]


def test_the_overall_comparison_is_about_all_rows(results: list[Result]) -> None:
    overall = [one for one in results if not one.bank]
    pd.testing.assert_frame_equal(compare(results), compare(overall))
    assert compare_banks(overall).empty


def test_machines_get_every_bank(results: list[Result], tmp_path: Path) -> None:
    write_json(tmp_path / "out.json", results, {})
    content = json.loads((tmp_path / "out.json").read_text("utf-8"))["contenders"]

    assert {*content["banks-boosting"]["banks"]} == {*BANKS}
    figures = compare_banks(results).set_index(["contender", "bank"])
    told = content["banks-boosting"]["banks"]["bank_b"]
    assert told["auc"] == pytest.approx(figures.loc[("banks-boosting", "bank_b"), "auc"])
    assert (told["rival"], told["expected_auc"]) == ("bank-only-boosting", pytest.approx(0.7))

    write_json(tmp_path / "one.json", [one for one in results if not one.bank], {})
    assert (
        "banks" not in json.loads((tmp_path / "one.json").read_text("utf-8"))["contenders"]["banks-boosting"]
    )
