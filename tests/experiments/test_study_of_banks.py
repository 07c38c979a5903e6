"""A study of several banks: every contender has a PD for each bank's rows, and is judged at each of them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from experiments.contenders import all_contenders
from experiments.dataset import open_dataset
from experiments.scoring import score_applicants
from experiments.study import FinishedStudy, run_study
from fl.config.banks import BanksConfig
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError
from fl.metrics import auc, expected_auc
from fl.splits import TEST
from server.tracking.leaderboard import TAG
from server.tracking.tracked_run import NOTE

pytestmark = pytest.mark.usefixtures("quick_tracking")

BANKS = ("bank_a", "bank_b", "bank_c")


@pytest.fixture(scope="module")
def config(banks_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    folder = tmp_path_factory.mktemp("banks")
    ids = pd.concat([pd.read_csv(banks_tables / bank / "table.csv")["business_id"] for bank in BANKS])
    (banks_tables / "truth").mkdir(exist_ok=True)
    truth = pd.DataFrame({"business_id": ids, "true_pd": np.linspace(0.01, 0.9, len(ids))})
    truth.to_parquet(banks_tables / "truth" / "applicants.parquet")
    config = TrainingConfig(
        data=str(banks_tables),
        parties=(*BANKS, "supply", "tax"),
        state=str(folder / "state"),
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
    )
    for section in (
        NetworkConfig(batches=4, batch_size=64, defence="none", party_dropout=0.0),
        BoostingConfig(trees=3, min_leaf_count=5, encryption="plain"),
        ScorecardConfig(min_group=5, max_p=1.0, encryption="plain"),
    ):
        config = config.with_section(section)
    return config


def study(config: TrainingConfig, *contenders: str) -> FinishedStudy:
    return run_study(open_dataset(Path(config.data), config.parties), config, contenders)


OWN = ("bank-only-boosting", "federated-boosting")
TOGETHER = (
    "banks-boosting",
    "hybrid-boosting",
    "hybrid-scorecard",
    "pooled-banks-boosting",
    "pooled-hybrid-boosting",
    "pooled-hybrid-scorecard",
    "pooled-boosting",
    "pooled-banks-trees",
    "true-pd",
)


@pytest.fixture(scope="module")
def whole(config: TrainingConfig) -> FinishedStudy:
    return study(replace(config, study="whole"), *OWN, *TOGETHER)


def test_every_contender_is_judged_at_every_bank_and_on_all_rows(whole: FinishedStudy) -> None:
    assert [(one.contender, one.bank) for one in whole.results] == [
        (name, bank) for name in (*OWN, *TOGETHER) for bank in ("", *BANKS)
    ]
    for name in (*OWN, *TOGETHER):
        overall, *of_banks = (one for one in whole.results if one.contender == name)
        np.testing.assert_array_equal(overall.pd, np.concatenate([one.pd for one in of_banks]))
        np.testing.assert_array_equal(overall.labels, np.concatenate([one.labels for one in of_banks]))


def test_what_banks_train_over_secure_sums_is_what_their_pooled_rows_give(whole: FinishedStudy) -> None:
    for name in ("banks-boosting", "hybrid-boosting", "hybrid-scorecard"):
        np.testing.assert_array_equal(whole.pds[name, 1], whole.pds[f"pooled-{name}", 1])
        assert len(np.unique(whole.pds[name, 1])) > 10


def test_a_banks_own_models_are_those_of_its_vertical_study(
    whole: FinishedStudy, config: TrainingConfig
) -> None:
    vertical = study(
        replace(config, study="vertical", experiment="vertical", parties=("bank_b", "supply", "tax")), *OWN
    )
    for one in vertical.results:
        (same,) = (r for r in whole.results if (r.contender, r.bank) == (one.contender, "bank_b"))
        np.testing.assert_array_equal(same.pd, one.pd)
        assert same.evaluation.metrics == one.evaluation.metrics


def test_of_a_simulated_economy_each_banks_expected_auc_is_told(
    whole: FinishedStudy, config: TrainingConfig
) -> None:
    joined = whole.joined
    true_pd = pd.read_parquet(Path(config.data, "truth", "applicants.parquet")).set_index("business_id")[
        "true_pd"
    ]
    rows = joined.blocks["bank_c"]
    test = whole.roles[1][rows] == TEST
    told = whole.of_banks.set_index(["contender", "bank"])["expected_auc"]
    expected = expected_auc(
        true_pd[joined.applications.ids[rows][test]], whole.pds["federated-boosting", 1][rows][test]
    )
    assert told["federated-boosting", "bank_c"] == pytest.approx(expected)
    assert (told["true-pd"] >= told["pooled-boosting"]).all()


def test_mlflow_nests_the_runs_of_banks_below_that_of_all(
    whole: FinishedStudy, config: TrainingConfig
) -> None:
    client = MlflowClient(config.tracking_uri)
    runs = {run.info.run_id: run for run in client.search_runs([whole.experiment_id])}

    def below(run_id: str) -> dict[tuple[str, str], str]:
        return {
            (run.data.tags["contender"], run.data.tags.get("bank", "")): run.info.run_id
            for run in runs.values()
            if run.data.tags.get("mlflow.parentRunId") == run_id
        }

    of_all = below(whole.run_id)
    assert set(of_all) == {(name, "") for name in (*OWN, *TOGETHER)}
    for name in (*OWN, "banks-boosting", "hybrid-boosting", "hybrid-scorecard"):
        assert set(below(of_all[name, ""])) == {(name, bank) for bank in BANKS}
    metrics = runs[of_all["federated-boosting", ""]].data.metrics
    of_banks = whole.of_banks.set_index("contender").loc["federated-boosting"]
    assert metrics["auc_mean"] == pytest.approx(of_banks["auc"].mean(), abs=1e-4)
    assert metrics["auc_worst"] == pytest.approx(of_banks["auc"].min(), abs=1e-4)
    tags = client.get_experiment(whole.experiment_id).tags
    assert "metrics.`auc_worst`" in json.loads(tags[TAG])["selectedColumns"]
    assert "AUC on each bank's own test rows" in client.get_run(whole.run_id).data.tags[NOTE]
    assert {f"figures/{name}_of_banks.png" for name in ("auc", "expected_auc")} <= {
        file.path for file in client.list_artifacts(whole.run_id, "figures")
    }


def test_costs_of_models_of_each_bank_add_up(whole: FinishedStudy) -> None:
    overall, *of_banks = (one.costs for one in whole.results if one.contender == "federated-boosting")
    assert overall["round_trips"] == sum(one["round_trips"] for one in of_banks) > 0


def test_banks_without_passive_parties_have_models_of_their_own_and_of_all(
    config: TrainingConfig,
) -> None:
    finished = study(
        replace(config, study="alone", parties=("bank_a", "bank_c"), experiment="alone"),
        "bank-only-boosting",
        "pooled-trees",
    )
    assert {one.bank for one in finished.results} == {"", "bank_a", "bank_c"}
    only = finished.results[0]
    assert only.evaluation.metrics["auc"] == auc(only.labels, only.pd)


def test_what_a_study_offers_goes_by_the_layout(config: TrainingConfig) -> None:
    assert not [name for name in all_contenders() if name.startswith(("banks-", "hybrid-", "pooled-banks-"))]
    assert not [name for name in all_contenders("horizontal") if name.startswith(("federated-", "hybrid-"))]
    hybrid = all_contenders("hybrid")
    assert {*all_contenders()} < {*hybrid}
    with pytest.raises(ConfigError, match="no contender 'federated-boosting'"):
        study(replace(config, study="x", parties=BANKS), "federated-boosting")


@pytest.fixture(scope="module")
def recalibrated(config: TrainingConfig) -> FinishedStudy:
    config = replace(config, study="recalibrated", experiment="recalibrated", parties=BANKS)
    return study(
        config.with_section(BanksConfig(recalibrate="logistic")), "banks-boosting", "banks-scorecard"
    )


@pytest.mark.parametrize("contender", ["banks-boosting", "banks-scorecard"])
def test_a_bank_scores_and_explains_by_its_own_recalibration(
    recalibrated: FinishedStudy, config: TrainingConfig, tmp_path: Path, contender: str
) -> None:
    rows = recalibrated.joined.blocks["bank_b"]
    ids, pds = recalibrated.joined.applications.ids[rows], recalibrated.pds[contender, 1][rows]
    pd.DataFrame({"business_id": ids}).to_csv(tmp_path / "new.csv", index=False)
    run, out = f"recalibrated/{contender}", tmp_path / "scores.csv"
    answers = score_applicants(config.tracking_uri, run, tmp_path / "new.csv", out, bank="bank_b").answers

    np.testing.assert_allclose(answers["pd"], pds, rtol=1e-12)
    adds = answers["base"] + answers.filter(like="adds ").sum(axis=1)
    np.testing.assert_allclose(adds, np.log(pds / (1 - pds)), atol=1e-9)
    client = MlflowClient(config.tracking_uri)
    notes = {
        run.data.tags.get("bank", ""): run.data.tags[NOTE]
        for run in client.search_runs([recalibrated.experiment_id], f"tags.contender = '{contender}'")
    }
    assert {bank for bank, note in notes.items() if "recalibrat" in note} == {*BANKS}


@pytest.mark.parametrize(
    "contender", ["federated-boosting", "banks-boosting", "hybrid-boosting", "hybrid-scorecard"]
)
def test_the_bank_that_asks_gets_the_scores_that_its_evaluation_computed(
    whole: FinishedStudy, config: TrainingConfig, tmp_path: Path, contender: str
) -> None:
    rows = whole.joined.blocks["bank_c"]
    ids, pds = whole.joined.applications.ids[rows], whole.pds[contender, 1][rows]
    pd.DataFrame({"business_id": ids}).to_csv(tmp_path / "new.csv", index=False)
    model, files = f"whole/{contender}", (tmp_path / "new.csv", tmp_path / "scores.csv")

    with pytest.raises(ConfigError, match=r"several banks. Name the one that asks by --bank: bank_a or"):
        score_applicants(config.tracking_uri, model, *files)
    with pytest.raises(ConfigError, match="There is no bank 'tax'"):
        score_applicants(config.tracking_uri, model, *files, bank="tax")
    finished = score_applicants(config.tracking_uri, model, *files, bank="bank_c")

    np.testing.assert_allclose(finished.answers["pd"], pds, rtol=1e-12)
