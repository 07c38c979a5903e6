"""A fourth bank takes the models of three: what it gets, what it makes of them, and what is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clients.aligned import read_applications
from clients.audit import Trail
from clients.banks import Model
from clients.binned import assigned
from clients.data.declaration import read_declaration, write_declaration
from clients.policy import Policy
from clients.scores import Scores
from clients.store import Store
from experiments.backends.inline import InlineGrid
from fl.calibration import Calibration
from fl.config.banks import BanksConfig
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError, ProtocolError
from fl.metrics import auc
from fl.splits import TEST, Roles, Split
from fl.studies import sub_study
from server.coordinator import Trained, coordinate
from server.exchange import FederationError
from server.progress import ignore
from tests.server.test_resume import often_dying

pytestmark = pytest.mark.usefixtures("quick_tracking")

BANKS, NEWCOMER = ("bank_a", "bank_b", "bank_c"), "bank_d"
MODELS = ("banks-boosting", "banks-scorecard", "banks-network")


@pytest.fixture(scope="module")
def data(banks_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three banks, of which the first has lost 160 of its 400 applicants to a fourth."""
    folder = tmp_path_factory.mktemp("four") / "data"
    shutil.copytree(banks_tables, folder)
    shutil.copytree(folder / "bank_a", folder / NEWCOMER)
    frame = pd.read_csv(folder / "bank_a" / "table.csv", dtype=str)
    for bank, rows in (("bank_a", frame[:240]), (NEWCOMER, frame[240:])):
        rows.to_csv(folder / bank / "table.csv", index=False)
    write_declaration(folder / NEWCOMER, replace(read_declaration(folder / NEWCOMER), name=NEWCOMER))
    return folder


@pytest.fixture(scope="module")
def three(data: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    """The configuration of a study in which three banks have trained."""
    folder = tmp_path_factory.mktemp("three")
    config = TrainingConfig(
        data=str(data),
        parties=BANKS,
        state=str(folder / "state"),
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
        study="s",
        contenders=MODELS,
        register=False,
    )
    for section in (
        BoostingConfig(trees=8, depth=3, min_leaf_count=10),
        ScorecardConfig(bins=6, min_group=10, max_p=0.2),
        NetworkConfig(rounds=3),
    ):
        config = config.with_section(section)
    coordinate(InlineGrid(config), config, ignore)
    return config


def joining(three: TrainingConfig, study: str, giver: str = "bank_b") -> TrainingConfig:
    return replace(three, study=study, parties=(NEWCOMER, giver), joins="s", newcomer=NEWCOMER)


@pytest.fixture(scope="module")
def joined(three: TrainingConfig) -> tuple[TrainingConfig, list[Trained]]:
    config = joining(three, "j")
    return config, coordinate(InlineGrid(config), config, ignore)


def model_of(config: TrainingConfig, bank: str, contender: str) -> Store:
    return Store(Path(config.state, bank, config.study, contender, "1"))


def rows_of(config: TrainingConfig, bank: str) -> tuple[np.ndarray, Roles]:
    """The labels and the roles of a bank's rows."""
    study = Store(Path(config.state, bank, sub_study(config.study, bank)))
    return read_applications(study).labels, assigned(study, 1).read(Split).roles


@pytest.mark.parametrize("contender", MODELS)
def test_the_newcomer_has_the_model_of_all_banks_and_evaluates_it_on_its_own_rows(
    three: TrainingConfig, joined: tuple[TrainingConfig, list[Trained]], contender: str
) -> None:
    config, trained = joined
    models = [model_of(three, bank, contender).read(Model).state for bank in BANKS]
    kept = model_of(config, NEWCOMER, contender)
    assert {*models, kept.read(Model).state} == {models[0]}
    labels, roles = rows_of(config, NEWCOMER)
    pd, test = kept.read(Scores).pd, roles == TEST
    assert len(np.unique(pd)) > 5
    (evaluation,) = (one.evaluation for one in trained if one.contender == contender)
    assert evaluation.metrics["auc"] == pytest.approx(auc(labels[test], pd[test]), abs=1e-4)
    assert evaluation.tables["roc"]["tpr"][-1] == 1


def test_all_that_leaves_the_giver_are_letters_to_the_newcomer(
    joined: tuple[TrainingConfig, list[Trained]],
) -> None:
    config, _ = joined
    lines = [line for line in Trail(Path(config.state, "bank_b")).lines() if line.study == "j"]
    assert [(line.action, line.receiver) for line in lines if line.letter] == [("hand_over", NEWCOMER)] * 3
    told = {kind for line in lines if line.conversation == "joining" for kind in line.content}
    assert told == {"setting", "aggregate"}
    # It reads none of its own rows, and the study pushes none of its trained ones out.
    assert {path.name for path in Path(config.state, "bank_b").glob("j*")} == {"j"}
    assert not Store(Path(config.state, "bank_b", "j")).is_trained
    assert Store(Path(config.state, NEWCOMER, "j")).is_trained


@pytest.mark.parametrize("kind", ["offset", "logistic"])
def test_the_newcomer_recalibrates_by_all_rows_that_do_not_test(
    three: TrainingConfig, joined: tuple[TrainingConfig, list[Trained]], kind: str
) -> None:
    as_it_is, plain = joined
    config = joining(three, f"j-{kind}", "bank_c").with_section(BanksConfig(recalibrate=kind))
    trained = coordinate(InlineGrid(config), config, ignore)

    labels, roles = rows_of(config, NEWCOMER)
    unseen = roles != TEST
    for contender, before, after in zip(MODELS, plain, trained, strict=True):
        log_odds = model_of(as_it_is, NEWCOMER, contender).read(Scores).log_odds
        fitted = Calibration.fit_if_needed(log_odds[unseen], labels[unseen], kind == "logistic")
        store = model_of(config, NEWCOMER, contender)
        assert store.read(Model).recalibration == fitted
        np.testing.assert_allclose(store.read(Scores).log_odds, fitted.log_odds(log_odds), rtol=1e-12)
        assert after.evaluation.metrics["auc"] == before.evaluation.metrics["auc"]


def with_party(three: TrainingConfig, folder: Path, bank: str, **changes: object) -> TrainingConfig:
    """The same with another declaration of a bank, and the state as it is."""
    shutil.copytree(three.data, folder)
    write_declaration(folder / bank, replace(read_declaration(folder / bank), **changes))
    return replace(three, data=str(folder), contenders=("banks-boosting",))


def refusal(config: TrainingConfig) -> str:
    with pytest.raises((FederationError, ProtocolError)) as refused:
        coordinate(InlineGrid(config), config, ignore)
    return str(refused.value)


def test_a_bank_whose_policy_forbids_it_hands_no_model_over(three: TrainingConfig, tmp_path: Path) -> None:
    forbidding = with_party(three, tmp_path / "data", "bank_b", policy=Policy(hand_over=False))
    assert (
        "the policy of bank_b allows no model of several banks to be handed to another bank (policy.hand_over), and "
        "the run asks for s/banks-boosting/1 for bank_d"
    ) in refusal(joining(forbidding, "p"))
    assert Policy().with_defaults().hand_over is False
    # Another bank, whose policy says nothing, does.
    willing = joining(forbidding, "q", "bank_a")
    assert coordinate(InlineGrid(willing), willing, ignore)


def test_a_model_of_other_columns_is_refused(three: TrainingConfig, tmp_path: Path) -> None:
    declared = read_declaration(Path(three.data, NEWCOMER))
    columns = tuple(replace(one, levels=one.levels[:2]) for one in declared.columns)
    other = with_party(three, tmp_path / "data", NEWCOMER, columns=columns)
    assert "the model of bank_b is of other columns, levels or special values" in refusal(joining(other, "o"))


def test_what_is_no_joining_is_refused(three: TrainingConfig) -> None:
    boosting = replace(three, contenders=("banks-boosting",))
    absent = replace(joining(boosting, "x"), joins="t")
    assert "it does not keep the model t/banks-boosting/1 (any more)" in refusal(absent)
    crowd = replace(joining(boosting, "y"), parties=(NEWCOMER, "bank_a", "bank_b"))
    assert "the banks of this run are bank_a, bank_b, bank_d" in refusal(crowd)
    stranger = replace(joining(boosting, "z"), newcomer="bank_x")
    assert "The newcomer 'bank_x' joins by one bank" in refusal(stranger)
    with pytest.raises(ConfigError, match="newcomer"):
        replace(three, joins="s")


@pytest.mark.slow
def test_a_joining_whose_coordinator_dies_goes_on(three: TrainingConfig, tmp_path: Path) -> None:
    config = replace(joining(three, "d"), contenders=MODELS[:2], journal=str(tmp_path / "journal"))
    trained, deaths, replies = often_dying(config, coordinate)
    assert deaths > 5
    assert {len(of_step) for of_step in replies.values()} == {1}
    assert [one.contender for one in trained] == [*MODELS[:2]]
