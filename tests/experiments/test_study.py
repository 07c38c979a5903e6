import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from experiments.contenders import all_contenders
from experiments.dataset import open_dataset
from experiments.display import explanation
from experiments.estimate.kept import compared, keep
from experiments.failures import StudyError
from experiments.study import FinishedStudy, run_study
from fl.config.blend import BlendConfig
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError
from server.progress import Progress
from server.tracking.tracked_run import NOTE

ALL = all_contenders()

pytestmark = pytest.mark.usefixtures("quick_tracking")


@pytest.fixture(scope="module")
def base(make_tables: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    folder = tmp_path_factory.mktemp("study")
    data = make_tables()
    ids = pd.read_csv(data / "bank" / "table.csv")["business_id"]
    (data / "truth").mkdir()
    truth = pd.DataFrame({"business_id": ids, "true_pd": np.linspace(0.01, 0.9, len(ids))})
    truth.to_parquet(data / "truth" / "applicants.parquet")
    config = TrainingConfig(
        data=str(data),
        parties=("bank", "supply", "tax"),
        state=str(folder / "state"),
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
    )
    # So few rows prove little of a column, and a scorecard without any would be refused.
    for section in (
        NetworkConfig(batches=6, batch_size=64, defence="none", party_dropout=0.0),
        BoostingConfig(trees=4, encryption="plain"),
        ScorecardConfig(min_group=5, max_p=1.0, encryption="plain"),
    ):
        config = config.with_section(section)
    return config


def study(config: TrainingConfig, contenders: tuple[str, ...]) -> tuple[FinishedStudy, list[Progress]]:
    events: list[Progress] = []
    return run_study(open_dataset(Path(config.data)), config, contenders, "inline", events.append), events


@pytest.fixture(scope="module")
def whole(base: TrainingConfig) -> tuple[FinishedStudy, list[Progress]]:
    return study(replace(base, study="whole"), ALL)


def estimate_of(finished: FinishedStudy, config: TrainingConfig) -> pd.DataFrame:
    """The table in which a study says how far off its estimate was."""
    path = MlflowClient(config.tracking_uri).download_artifacts(finished.run_id, "tables/estimate.json")
    return pd.read_json(path, orient="split")


def test_all_contenders_are_judged_on_the_same_rows(whole: tuple) -> None:
    results = whole[0].results
    assert [one.contender for one in results] == list(ALL)
    first, *others = (one.labels for one in results)
    assert len(first) == 100
    for labels in others:
        np.testing.assert_array_equal(labels, first)


def test_without_defence_the_federated_network_is_the_pooled_one(whole: tuple) -> None:
    pds = {one.contender: one.pd for one in whole[0].results}
    np.testing.assert_allclose(pds["federated-network"], pds["pooled-network"], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(pds["federated-blend"], pds["pooled-blend"], rtol=1e-3, atol=1e-5)


def test_the_federated_scorecard_is_the_pooled_one_and_every_scorecard_has_a_model_card(
    whole: tuple, base: TrainingConfig
) -> None:
    pds = {one.contender: one.pd for one in whole[0].results}
    np.testing.assert_array_equal(pds["federated-scorecard"], pds["pooled-scorecard"])
    client = MlflowClient(base.tracking_uri)
    found = client.search_runs([whole[0].experiment_id], "tags.contender LIKE '%'")
    cards = {
        run.data.tags["contender"]: {
            file.path for file in client.list_artifacts(run.info.run_id) if file.path.startswith("model_card")
        }
        for run in found
    }
    for contender in ("bank-only-scorecard", "federated-scorecard", "pooled-scorecard"):
        assert cards.pop(contender) == {"model_card.md", "model_card.html"}
    assert not any(cards.values())


def test_only_federated_contenders_cost_round_trips(whole: tuple) -> None:
    for one in whole[0].results:
        assert (one.costs["round_trips"] > 0) == one.contender.startswith("federated-")
        if one.contender == "federated-network":
            assert one.costs["round_trips"] == 16


def test_mlflow_has_every_contender_alike_under_one_parent(whole: tuple, base: TrainingConfig) -> None:
    client = MlflowClient(base.tracking_uri)
    parent = client.get_run(whole[0].run_id)
    found = client.search_runs([whole[0].experiment_id], f"tags.`mlflow.parentRunId` = '{whole[0].run_id}'")
    assert {(run.data.tags["contender"], run.data.tags["seed"]) for run in found} == {
        (name, "1") for name in ALL
    }
    assert {run.info.status for run in (parent, *found)} == {"FINISHED"}
    final = {
        run.data.tags["contender"]: {name for name in run.data.metrics if "." not in name} for run in found
    }
    for name, metrics in final.items():
        assert metrics | {"uplift_auc"} == final["federated-network"], name


def test_a_run_in_mlflow_says_what_it_did(whole: tuple, base: TrainingConfig) -> None:
    client = MlflowClient(base.tracking_uri)
    assert client.get_run(whole[0].run_id).data.params["contenders"] == ",".join(ALL)
    for run in client.search_runs([whole[0].experiment_id], "tags.contender LIKE '%'"):
        assert run.data.params["contenders"] == run.data.tags["contender"]
        assert run.data.params["seeds"] == run.data.tags["seed"]


def test_a_study_logs_how_far_off_the_formulas_were(whole: tuple, base: TrainingConfig) -> None:
    logged = estimate_of(whole[0], base)

    federated = [name for name in ALL if name.startswith("federated-")]
    assert [*dict.fromkeys(logged["contender"])] == federated
    assert {*logged["quantity"]} == {"round trips", "megabytes"}
    np.testing.assert_allclose(logged["off_by"], logged["estimated"] / logged["measured"] - 1, rtol=1e-6)
    network = logged.set_index(["contender", "quantity"]).loc[("federated-network", "round trips")]
    assert (network["estimated"], network["measured"]) == (4 + 2 * 6, 4 + 2 * 6)


def test_a_study_logs_how_far_off_an_estimate_of_the_same_settings_was(base: TrainingConfig) -> None:
    config, contenders = replace(base, study="estimated"), ("pooled-network",)
    dataset = open_dataset(config.data_folder)
    said = {"contender": "pooled-network", "cpu_seconds": 2.0, "inline": 0.5}

    keep(pd.DataFrame([said]), dataset, replace(config, study="another", seeds=(7, 8)))
    finished = run_study(dataset, config, contenders)

    logged = estimate_of(finished, config).set_index("quantity")
    assert logged["estimated"].to_dict() == {"CPU seconds": 2.0, "seconds": 30.0}
    spent = finished.results[0].costs["cpu_seconds"]
    assert logged.loc["CPU seconds", "measured"] == pytest.approx(spent)
    changed = config.with_section(replace(config.section(NetworkConfig), batches=7))
    assert compared(dataset, changed, finished.results, "inline").empty


def test_the_banks_own_forest_grows_once(base: TrainingConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        pytest.fail("the bank's own boosting was trained outside of the federation, too")

    monkeypatch.setattr("experiments.baselines.boosting.train", never)

    finished, _ = study(
        replace(base, study="once"), ("bank-only-boosting", "federated-network", "pooled-network")
    )

    assert {one.contender for one in finished.results} >= {"bank-only-boosting", "pooled-network"}


def test_the_reserve_model_is_the_banks_own_boosting_bit_for_bit(whole: tuple, base: TrainingConfig) -> None:
    alone, _ = study(replace(base, study="twin"), ("bank-only-boosting",))

    trained = next(one for one in whole[0].results if one.contender == "bank-only-boosting")
    np.testing.assert_array_equal(alone.results[0].pd, trained.pd)


def test_the_watcher_hears_of_every_contender(whole: tuple) -> None:
    stages = [event.stage for event in whole[1]]
    assert set(ALL) <= set(stages)
    assert stages[-1] == "done"


def test_the_same_study_again_gives_the_same_scores(whole: tuple, base: TrainingConfig) -> None:
    again, _ = study(replace(base, study="again"), ("federated-network",))
    first = {one.contender: one.pd for one in whole[0].results}
    for one in again.results:
        np.testing.assert_array_equal(one.pd, first[one.contender])


@pytest.mark.slow
def test_a_blend_that_comes_alone_brings_its_members(base: TrainingConfig) -> None:
    config = base.with_section(BlendConfig(members=("boosting", "scorecard")))
    config = replace(config, study="brings").with_section(BoostingConfig(trees=2))
    finished, _ = study(config, ("pooled-blend",))
    assert [one.contender for one in finished.results] == [
        "pooled-boosting",
        "pooled-scorecard",
        "pooled-blend",
    ]


def test_a_model_of_the_pool_alone_needs_no_federated_one(base: TrainingConfig) -> None:
    finished, _ = study(replace(base, study="alone"), ("bank-only-trees",))
    assert finished.comparison["contender"].tolist() == ["bank-only-trees"]


@pytest.mark.parametrize(
    ("contenders", "said"),
    [
        (("federated-dreams",), "no contender 'federated-dreams'; there are bank-only-"),
        (("pooled-trees", "pooled-trees"), "can stand only once"),
        ((), "no other contender"),
    ],
)
def test_contenders_must_make_sense(base: TrainingConfig, contenders: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        study(base, contenders)


def test_without_truth_there_is_no_ceiling(base: TrainingConfig, tables: Path) -> None:
    config = replace(base, data=str(tables), study="no-truth")
    with pytest.raises(ConfigError, match="has no true PD"):
        study(config, ("true-pd",))
    finished, _ = study(config, ("bank-only-trees", "true-pd"))
    assert finished.comparison["contender"].tolist() == ["bank-only-trees"]


def runs_of(finished: FinishedStudy, config: TrainingConfig) -> dict[str, Run]:
    """A study's runs in MLflow by contender; its own is under an empty name."""
    found = MlflowClient(config.tracking_uri).search_runs([finished.experiment_id])
    return {run.data.tags.get("contender", ""): run for run in found}


def test_a_contender_that_is_refused_does_not_keep_the_others_from_it(base: TrainingConfig) -> None:
    config = replace(base, study="diverges", experiment="diverges").with_section(
        NetworkConfig(batches=6, batch_size=64, learning_rate=1e30)
    )
    config = config.with_section(BoostingConfig(trees=2, encryption="plain"))
    refused, trained = ("bank-only-network", "federated-network"), ("federated-boosting", "bank-only-trees")

    finished, events = study(config, (*refused, *trained))

    assert [one.contender for one in finished.results] == finished.comparison["contender"].tolist()
    assert set(finished.comparison["contender"]) == set(trained)
    reasons = finished.failures
    assert tuple(sorted(reasons)) == refused
    assert all("training diverged" in reason.lower() for reason in reasons.values())
    assert [event.stage for event in events if event.failure] == ["federated-network", "bank-only-network"]
    with pytest.raises(StudyError, match="federated-network failed: Party bank refused"):
        finished.complete()
    runs = runs_of(finished, config)
    assert {name: run.info.status for name, run in runs.items()} == {
        "": "FINISHED",
        **dict.fromkeys(refused, "FAILED"),
        **dict.fromkeys(trained, "FINISHED"),
    }
    for name in refused:
        assert "lower network.learning-rate" in runs[name].data.tags[NOTE]
        assert f"{name} failed: {reasons[name]}" in runs[""].data.tags[NOTE]


def test_a_study_of_refused_contenders_only_has_failed(base: TrainingConfig) -> None:
    config = replace(base, study="refused", experiment="refused").with_section(
        NetworkConfig(batches=6, batch_size=64, learning_rate=1e30)
    )
    with pytest.raises(StudyError, match=r"^Party bank refused train.network_backward: .*training diverged"):
        study(config, ("federated-network",))
    client = MlflowClient(base.tracking_uri)
    runs = client.search_runs([client.get_experiment_by_name("refused").experiment_id])
    assert [run.info.status for run in runs] == ["FAILED", "FAILED"]


def test_a_model_that_predicts_the_same_for_everyone_is_named(base: TrainingConfig) -> None:
    config = replace(base, study="flat", experiment="flat").with_section(
        BoostingConfig(trees=2, min_leaf_count=10_000, encryption="plain")
    )

    finished, _ = study(config, ("bank-only-boosting", "federated-boosting", "bank-only-trees"))

    assert [one.partition(":")[0] for one in finished.doubts] == [
        f"{owner}-boosting predicts the same for everyone" for owner in ("bank-only", "federated")
    ]
    assert finished.doubts[0] in runs_of(finished, config)[""].data.tags[NOTE]


def test_of_a_gain_that_is_not_above_noise_nothing_is_recovered(base: TrainingConfig, tmp_path: Path) -> None:
    data = tmp_path / "tiny-overlap"
    shutil.copytree(base.data, data, ignore=shutil.ignore_patterns("state", "supply", "truth"))
    table = pd.read_csv(data / "tax" / "table.csv")
    table.loc[20:, "business_id"] = [f"stranger{row}" for row in range(len(table) - 20)]
    table.to_csv(data / "tax" / "table.csv", index=False)
    config = replace(base, study="tiny", experiment="tiny", data=str(data), parties=("bank", "tax"))

    finished, _ = study(config, ("bank-only-trees", "pooled-trees"))

    assert finished.comparison["recovered"].isna().all()
    why = (
        "Recovered is empty, because the pooled gain (pooled-trees minus bank-only-trees) is not above noise."
    )
    assert why in explanation(finished.comparison)
    assert why in runs_of(finished, config)[""].data.tags[NOTE]


def test_a_bug_ends_a_study(base: TrainingConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("experiments.baselines.scorecard.train", fail)
    with pytest.raises(ZeroDivisionError):
        study(replace(base, study="bug"), ("bank-only-scorecard", "bank-only-trees"))


def test_a_study_that_fails_is_failed_in_mlflow(base: TrainingConfig) -> None:
    config = replace(base, study="failed", experiment="failed", test_ids="/nowhere/ids.csv")
    with pytest.raises(Exception, match="Party bank refused"):
        study(config, ("federated-network",))
    client = MlflowClient(base.tracking_uri)
    runs = client.search_runs([client.get_experiment_by_name("failed").experiment_id])
    assert {run.info.status for run in runs} == {"FAILED"}
