"""A federation of three banks: each in its sub-study with the passive parties, and all in the study of the whole."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from clients.aligned import read_applications
from clients.scores import Scores
from clients.store import Store
from experiments.backends.inline import InlineGrid
from fl.config.banks import BanksConfig
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.reserve import RESERVE
from fl.secure_sums import noise
from fl.studies import sub_study
from server.coordinator import connect, coordinate
from server.progress import Progress, ignore
from tests.server.test_resume import often_dying, undisturbed

pytestmark = pytest.mark.usefixtures("quick_tracking")

BANKS = ("bank_a", "bank_b", "bank_c")


@pytest.fixture
def config(banks_tables: Path, tmp_path: Path) -> TrainingConfig:
    config = TrainingConfig(
        data=str(banks_tables),
        parties=(*BANKS, "supply", "tax"),
        state=str(tmp_path / "state"),
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
        study="s",
        contenders=("federated-boosting",),
    )
    for section in (
        BoostingConfig(trees=4, depth=2, min_leaf_count=10, parallel=1, encryption="plain"),
        ScorecardConfig(bins=5, min_group=5, max_p=1.0, exchanges=2, encryption="plain"),
    ):
        config = config.with_section(section)
    return config


def scores_of(config: TrainingConfig, bank: str, study: str, model: str) -> np.ndarray:
    return Store(Path(config.state, bank, study, *model.split("/"))).read(Scores).log_odds


@pytest.mark.slow
def test_each_bank_has_the_model_that_it_has_in_a_federation_of_its_own(config: TrainingConfig) -> None:
    events: list[Progress] = []
    trained = coordinate(InlineGrid(config), config, events.append)

    assert [(one.contender, one.bank, one.of_banks) for one in trained] == [
        ("federated-boosting", bank, {}) for bank in BANKS
    ]
    assert {event.bank for event in events if event.stage in (RESERVE, "federated-boosting")} == set(BANKS)
    client = MlflowClient(config.tracking_uri)
    tags = {one.bank: client.get_run(one.run_id).data.tags for one in trained}
    assert {bank: (tag["bank"], tag["mlflow.runName"]) for bank, tag in tags.items()} == {
        bank: (bank, f"federated-boosting · {bank} · seed 1") for bank in BANKS
    }
    alone = replace(
        config, parties=("bank_c", "supply", "tax"), state=f"{config.state}-alone", experiment="alone"
    )
    (expected,) = coordinate(InlineGrid(alone), alone, ignore)
    for model in ("federated-boosting/1", f"{RESERVE}/1"):
        np.testing.assert_array_equal(
            scores_of(config, "bank_c", sub_study("s", "bank_c"), model),
            scores_of(alone, "bank_c", "s", model),
        )
    assert trained[-1].evaluation.metrics == expected.evaluation.metrics


def test_a_bank_sees_its_own_rows_and_passive_parties_keep_the_banks_apart(config: TrainingConfig) -> None:
    federation = connect(InlineGrid(config), config, ignore)

    assert {bank: len(block) for bank, block in federation.alignment.blocks.items()} == dict(
        zip(BANKS, (400, 240, 160), strict=True)
    )
    assert federation.alignment.positions == 800
    for party in ("supply", "tax"):
        known = sum(part.alignment.known[party] for part in federation.of_banks.values())
        assert federation.alignment.known[party] == known > 0
        assert {path.name for path in Path(config.state, party).glob("s*/")} == {
            sub_study("s", bank) for bank in BANKS
        }
    for bank in BANKS:
        assert {path.name for path in Path(config.state, bank).glob("s*/")} == {sub_study("s", bank)}
        rows = read_applications(Store(Path(config.state, bank, sub_study("s", bank)))).ids
        assert set(rows) == set(pd.read_csv(Path(config.data, bank, "table.csv"), dtype=str)["business_id"])


def test_epsilon_and_delta_stand_in_mlflow_where_sums_had_noise(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noise, "budget", lambda epsilon, delta: 1.0)
    contenders = ("federated-boosting", "banks-boosting", "banks-scorecard")
    private = replace(config, contenders=contenders).with_section(BanksConfig(epsilon=2.0, delta=1e-6))
    coordinate(InlineGrid(private), private, ignore)

    client = MlflowClient(private.tracking_uri)
    (experiment,) = client.search_experiments(filter_string=f"name = '{private.experiment}'")
    runs = client.search_runs([experiment.experiment_id], "tags.contender != ''")
    told = {(run.data.tags["contender"], run.data.tags.get("bank", "")): run.data.tags for run in runs}
    assert set(told) == {
        *(("federated-boosting", bank) for bank in BANKS),
        *((contender, bank) for contender in contenders[1:] for bank in ("", *BANKS)),
    }
    for (contender, _), tags in told.items():
        expected = (None, None) if contender == "federated-boosting" else ("2.0", "1e-06")
        assert (tags.get("epsilon"), tags.get("delta")) == expected


@pytest.mark.slow
def test_a_coordinator_of_several_banks_that_dies_at_every_step_makes_the_same_models(
    config: TrainingConfig,
) -> None:
    contenders = ("federated-boosting", "banks-boosting", "hybrid-boosting", "hybrid-scorecard")
    config = replace(config, contenders=contenders, journal=f"{config.state}-journal")
    trained, deaths, replies = often_dying(config, coordinate)
    calm, expected = undisturbed(config)

    assert deaths > 40
    assert {len(of_step) for of_step in replies.values()} == {1}
    assert not list(Path(config.journal).glob("*"))
    for one, other in zip(trained, expected, strict=True):
        assert (one.contender, one.bank) == (other.contender, other.bank)
        assert one.evaluation.metrics == other.evaluation.metrics
        assert one.costs.round_trips == other.costs.round_trips
    for bank in BANKS:
        own = sub_study("{}", bank)
        models = [("{}", "banks-boosting/1")]
        models += [(own, f"{name}/1") for name in contenders if name != "banks-boosting"]
        for study, model in models:
            np.testing.assert_array_equal(
                scores_of(config, bank, study.format(config.study), model),
                scores_of(calm, bank, study.format(calm.study), model),
            )
