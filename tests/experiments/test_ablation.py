from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from experiments.ablation import ADD_ONE, LEAVE_ONE_OUT, Judged, federations, gains, run_ablation
from experiments.dataset import open_dataset
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from fl.metrics import auc, delong_test
from server.exchange import FederationError
from server.progress import ignore

pytestmark = pytest.mark.usefixtures("quick_tracking")


def test_each_federation_is_trained_once() -> None:
    assert federations(("a",)) == [{"a"}, set()]
    assert federations(("a", "b")) == [{"a", "b"}, {"b"}, {"a"}, set()]
    assert len(federations(("a", "b", "c"))) == len(set(federations(("a", "b", "c")))) == 8
    assert len(federations(("a", "b", "c", "d"))) == 10


def test_gains_are_those_of_the_pairs() -> None:
    rng = np.random.default_rng(1)
    labels = (rng.random(300) < 0.3).astype(np.int8)
    judged = {
        (members, seed): Judged(1 / (1 + np.exp(-(labels * len(members) + rng.normal(size=300)))), labels)
        for members in federations(("a", "b"))
        for seed in (1, 2)
    }
    found = gains(("a", "b"), judged).set_index(["question", "party"])

    def pair(with_: set, without: set) -> float:
        tests = [
            delong_test(labels, judged[frozenset(with_), s].pd, judged[frozenset(without), s].pd)
            for s in (1, 2)
        ]
        return float(np.mean([test.difference for test in tests]))

    assert found.loc[(LEAVE_ONE_OUT, "a"), "gain"] == pytest.approx(pair({"a", "b"}, {"b"}))
    assert found.loc[(ADD_ONE, "a"), "gain"] == pytest.approx(pair({"a"}, set()))
    for row in found.itertuples():
        assert row.gain == pytest.approx(row.auc_with - row.auc_without)
        assert row.gain_low < row.gain < row.gain_high
    alone = np.mean([auc(labels, judged[frozenset(), seed].pd) for seed in (1, 2)])
    assert found.loc[(ADD_ONE, "b"), "auc_without"] == pytest.approx(alone)


def test_a_contender_that_is_refused_ends_an_ablation(config: TrainingConfig) -> None:
    network = NetworkConfig(batches=4, batch_size=64, learning_rate=1e30)
    config = replace(config, study="refused", experiment="refused").with_section(network)
    dataset = open_dataset(config.data_folder)
    with pytest.raises(FederationError, match=r"Party bank refused .* training diverged"):
        run_ablation(dataset, config, "federated-network", "inline", ignore)


@pytest.fixture(scope="module")
def config(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    config = TrainingConfig(
        data=str(tables),
        parties=("bank", "supply", "tax"),
        study="s",
        tracking_uri=f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db",
    )
    return config.with_section(
        BoostingConfig(trees=6, depth=3, min_leaf_count=10, l2=1.0, encryption="plain")
    )


@pytest.mark.slow
def test_an_ablation_is_one_parent_run(config: TrainingConfig, tables: Path, tmp_path: Path) -> None:
    before = set(tables.rglob("state/*"))
    outcome = run_ablation(open_dataset(tables), config, "federated-boosting", "inline", ignore)

    assert outcome.gains["party"].tolist() == ["supply", "tax"] * 2
    client = MlflowClient(config.tracking_uri)
    parent = client.get_run(outcome.run_id)
    children = client.search_runs([outcome.experiment_id], f"tags.`mlflow.parentRunId` = '{outcome.run_id}'")
    assert {run.data.tags["parties"] for run in children} == {
        "bank, supply, tax",
        "bank, tax",
        "bank, supply",
        "bank",
    }
    assert {run.info.run_name for run in children} >= {"federated-boosting · seed 1 · bank, tax"}
    assert "AUC to the others" in parent.info.run_name
    assert "| tax | to the bank alone |" in parent.data.tags["mlflow.note.content"]
    paths = {
        file.path for kind in ("figures", "tables") for file in client.list_artifacts(outcome.run_id, kind)
    }
    assert paths == {"figures/gains.png", "tables/gains.json"}
    auc_of = {run.data.tags["parties"]: run.data.metrics["auc"] for run in children}
    gain = outcome.gains.set_index(["question", "party"]).loc[(LEAVE_ONE_OUT, "tax"), "gain"]
    assert gain == pytest.approx(auc_of["bank, supply, tax"] - auc_of["bank, supply"], abs=2e-4)
    # Models that are thrown away are neither registered nor kept beside the data.
    assert client.search_registered_models() == []
    assert set(tables.rglob("state/*")) == before


def test_what_cannot_be_left_out_is_said(config: TrainingConfig, tables: Path) -> None:
    with pytest.raises(ConfigError, match="no federated contender 'pooled-trees'"):
        run_ablation(open_dataset(tables), config, "pooled-trees", "inline", ignore)
    with pytest.raises(ConfigError, match="no party beside bank"):
        run_ablation(open_dataset(tables, ("bank",)), config, "federated-boosting", "inline", ignore)
