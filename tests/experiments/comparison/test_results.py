import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from experiments.comparison.result import Result
from experiments.comparison.results import compare, per_seed, write_json
from experiments.comparison.summary import COLUMNS
from fl.evaluation.measures import evaluate

NAMES = ("bank-only-network", "federated-network", "bank-only-trees", "pooled-trees")
NOISE = dict(zip(NAMES, (2.0, 0.8, 1.6, 0.5), strict=True))
COSTS = {
    "round_trips": 10,
    "bytes_up": 2_000_000,
    "bytes_down": 1_000_000,
    "seconds": 3.0,
    "cpu_seconds": 4.0,
}


def result(name: str, seed: int) -> Result:
    rng = np.random.default_rng(seed)
    logit = rng.normal(size=600) - 1.5
    labels = (rng.random(600) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    pd = 1 / (1 + np.exp(-(logit + NOISE[name] * rng.normal(size=600))))
    costs = COSTS if name == "federated-network" else dict.fromkeys(COSTS, 0)
    return Result(name, seed, pd, labels, evaluate(labels, pd), costs)


@pytest.fixture
def results() -> list[Result]:
    return [result(name, seed) for seed in (1, 2) for name in NAMES]


def test_figures_are_means_over_the_seeds(results: list[Result]) -> None:
    table = compare(results).set_index("contender")

    assert tuple(table.index) == NAMES
    for name in NAMES:
        own = [one for one in results if one.contender == name]
        aucs = [roc_auc_score(one.labels, one.pd) for one in own]
        assert table.loc[name, "auc"] == pytest.approx(np.mean(aucs))
        assert table.loc[name, "gini"] == pytest.approx(np.mean([2 * auc - 1 for auc in aucs]))
        bads = [np.mean((one.pd - one.labels) ** 2) for one in own]
        assert table.loc[name, "brier"] == pytest.approx(np.mean(bads))


def test_the_comparison_has_the_columns_that_the_summary_wants(results: list[Result]) -> None:
    assert set(compare(results).columns) == set(COLUMNS)


def test_uplift_is_over_the_bank_alone_under_the_same_seed(results: list[Result]) -> None:
    rows = per_seed(results).set_index(["contender", "seed"])
    for seed in (1, 2):
        base, own = (rows.loc[(name, seed)] for name in ("bank-only-network", "federated-network"))
        assert own["uplift_auc"] == pytest.approx(own["auc"] - base["auc"])
        assert own["uplift_gini_relative"] == pytest.approx(own["gini"] / base["gini"] - 1)
        assert 0 <= own["p_value"] < 0.05
        assert np.isnan([base["uplift_auc"], base["p_value"]]).all()


def test_approval_is_at_the_bad_rate_that_the_bank_alone_accepts(results: list[Result]) -> None:
    rows = per_seed(results).set_index(["contender", "seed"])
    for one in results:
        base = next(r for r in results if r.seed == one.seed and r.contender == NAMES[0])
        accepted = base.labels[np.argsort(base.pd)][:360].mean()  # 60 % of 600
        bad_rates = np.cumsum(one.labels[np.argsort(one.pd)]) / np.arange(1, 601)
        expected = (np.flatnonzero(bad_rates <= accepted).max() + 1) / 600
        assert rows.loc[(one.contender, one.seed), "approval_rate"] == pytest.approx(expected)


def test_recovered_is_the_share_of_the_gain_of_pooling(results: list[Result]) -> None:
    table = compare(results).set_index("contender")
    gain = table.loc["pooled-trees", "auc"] - table.loc["bank-only-trees", "auc"]
    expected = (table.loc["federated-network", "auc"] - table.loc["bank-only-trees", "auc"]) / gain
    assert table.loc["federated-network", "recovered"] == pytest.approx(expected)
    assert table.loc["bank-only-trees", "recovered"] == 0
    assert table.loc["pooled-trees", "recovered"] == 1


def test_nothing_is_recovered_of_a_gain_that_is_not_above_noise(tmp_path: Path) -> None:
    even = [replace(result("bank-only-trees", seed), contender=name) for seed in (1, 2) for name in NAMES[1:]]
    assert compare(even)["recovered"].isna().all()
    assert per_seed(even)["recovered"].isna().all()

    write_json(tmp_path / "out.json", even, {})
    content = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert content["contenders"]["federated-network"]["recovered"] is None


def test_without_anything_to_compare_with_there_are_dashes() -> None:
    table = compare([result("federated-network", 1)])
    assert tuple(sorted(table.columns)) == tuple(sorted(COLUMNS))
    unknown = ["approval_rate", "uplift_auc", "uplift_gini_relative", "p_value", "recovered"]
    assert table[unknown].isna().all(axis=None)


def test_machines_get_means_and_every_seed(results: list[Result], tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    write_json(path, results, {"pooled-network": "Too small."})
    whole = json.loads(path.read_text("utf-8"), parse_constant=lambda name: pytest.fail(name))
    content = whole["contenders"]
    assert whole["failed"] == {"pooled-network": "Too small."}

    assert tuple(content) == NAMES
    federated = content["federated-network"]
    promised = [
        "auc",
        "auc_low",
        "auc_high",
        "ks",
        "gini",
        "brier",
        "round_trips",
        "bytes",
        "seconds",
        "cpu_seconds",
    ]
    assert set(promised) <= set(federated)
    assert federated["bytes"] == 3_000_000
    assert federated["round_trips"] == 10
    assert set(federated["seeds"]) == {"1", "2"}
    for name in promised:
        assert federated[name] == pytest.approx(np.mean([one[name] for one in federated["seeds"].values()]))
    assert content["bank-only-network"]["uplift_auc"] is None


def test_a_baseline_that_ranks_nobody_leaves_no_relative_uplift() -> None:
    nobody, other = result("bank-only-network", 1), result("federated-network", 1)
    even = np.full(len(nobody.labels), 0.2)
    flat = Result(nobody.contender, 1, even, nobody.labels, evaluate(nobody.labels, even), nobody.costs)

    row = compare([flat, other]).set_index("contender").loc["federated-network"]

    assert np.isnan(row["uplift_gini_relative"])
    assert row["uplift_auc"] == pytest.approx(row["auc"] - 0.5)
