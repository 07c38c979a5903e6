"""Three banks and two passive parties train one forest over encrypted and secure sums, against its pooled twin."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clients.aligned import read_table
from clients.banks import schema_of
from clients.data.declaration import read_declaration
from clients.forests import BankModel
from clients.pads import Pads
from clients.scores import Scores
from clients.store import Store
from experiments.backends.inline import InlineGrid
from experiments.baselines import Fitted, hybrid_boosting
from fl.boosting import CommonStartRequest
from fl.config.banks import BanksConfig
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.hybrid import CountRequest, growing
from fl.messages import DIGITS
from fl.metrics import auc
from fl.records import encode
from fl.splits import TEST
from fl.studies import sub_study
from server.coordinator import Trained, assign_roles, connect
from server.exchange import FederationError
from server.progress import ignore
from tests.clients.hybrids import BANKS, PASSIVE, config_in, part, rows_of, train

pytestmark = pytest.mark.usefixtures("quick_tracking")

MODEL = "hybrid-boosting/1"
QUICK = {
    "trees": 4,
    "depth": 3,
    "min_leaf_count": 10,
    "min_bin_count": 6,
    "parallel": 2,
    "bins": 8,
    "l2": 1.0,
}


@pytest.fixture
def config(banks_tables: Path, tmp_path: Path) -> TrainingConfig:
    config = config_in(banks_tables, tmp_path, "hybrid-boosting")
    return config.with_section(BoostingConfig(**QUICK, encryption="plain"))


def with_options(config: TrainingConfig, **options: object) -> TrainingConfig:
    return config.with_section(replace(config.section(BoostingConfig), **options))


def twin(config: TrainingConfig) -> Fitted:
    banks = [rows_of(config, bank) for bank in BANKS]
    partners = [{name: read_table(part(config, bank, name, "")) for name in PASSIVE} for bank in BANKS]
    schema = schema_of(read_declaration(Path(config.data, "bank_a")), banks[0].table)
    signs = {name: {} for name in PASSIVE}
    return hybrid_boosting.train(banks, partners, signs, schema, 1, config.section(BoostingConfig))


def assert_evaluated(config: TrainingConfig, trained: Trained) -> None:
    """Each bank by its own test rows, and the whole by counts of the scores of all."""
    labels, pds = [], []
    for bank in BANKS:
        rows, scores = rows_of(config, bank), part(config, bank).read(Scores)
        test = rows.roles == TEST
        labels.append(rows.labels[test])
        pds.append(scores.pd[test])
        assert trained.of_banks[bank].metrics["auc"] == pytest.approx(auc(labels[-1], pds[-1]), abs=1e-4)
    exact = auc(np.concatenate(labels), np.concatenate(pds))
    assert trained.evaluation.metrics["auc"] == pytest.approx(exact, abs=0.01)  # 200 rows; see test_banks.py


def assert_keys_are_gone(config: TrainingConfig) -> None:
    for bank in BANKS:
        whole = Store(Path(config.state, bank, "s", *MODEL.split("/")))
        assert not whole.has(Pads)
        assert whole.last().state == part(config, bank).last().state == b""


SLOW = {
    "not ahead, sides not handed over": {"ahead": "none", "sealed_sides": False},
    "a tree ahead, gradients of a few units": {"ahead": "tree", "parallel": 1, "precision": 4},
    "paillier, samples": {"encryption": "paillier", "row_share": 0.7, "column_share": 0.6},
    "lattice": {"encryption": "lattice", "trees": 4},
}


@pytest.mark.parametrize(
    "options",
    [{}, *(pytest.param(each, marks=pytest.mark.slow) for each in SLOW.values())],
    ids=["plain", *SLOW],
)
def test_the_forest_of_all_banks_equals_its_pooled_twin(config: TrainingConfig, options: dict) -> None:
    config = with_options(config, **options)
    trained, events = train(config)
    pooled = twin(config)

    unmixed = [part(config, bank).read(Scores).unmixed for bank in BANKS]
    np.testing.assert_array_equal(np.concatenate(unmixed), pooled.log_odds)
    told = [{name: round(figure, DIGITS) for name, figure in look.items()} for look in pooled.curve]
    assert [dict(event.metrics) for event in events] == told
    forests = [part(config, bank).read(BankModel).forest for bank in BANKS]
    assert (forests[0].owners > 0).any()
    assert len({encode(replace(forest, covers=forests[0].covers)) for forest in forests}) == 1
    boosting = config.section(BoostingConfig)
    if not options:
        assert trained.costs.round_trips == 11 + 3 * (boosting.depth + 1) * boosting.rounds
    assert_evaluated(config, trained)
    assert_keys_are_gone(config)


@pytest.mark.slow
def test_a_split_that_parts_merged_bins_is_refused(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing, "_at_home", lambda split, homes: split)
    with pytest.raises(FederationError, match="parts bins that have been merged"):
        train(config)


def test_settings_that_need_other_banks_rows_are_refused(config: TrainingConfig) -> None:
    with pytest.raises(FederationError, match=r"Setting 'boosting\.goss-top' is for one bank"):
        train(with_options(config, goss_top=0.2))


def test_noise_on_sums_is_refused_rather_than_left_out(config: TrainingConfig) -> None:
    private = config.with_section(BanksConfig(epsilon=3.0))
    with pytest.raises(FederationError, match="hybrid-boosting has no noise on its sums"):
        train(private)


def test_a_model_in_a_sub_study_needs_keys_and_common_rows(config: TrainingConfig) -> None:
    federation = connect(InlineGrid(config), config, ignore)
    part, bank = federation.of_banks["bank_c"], "bank_c"
    split = assign_roles(part, 1).split
    with pytest.raises(FederationError, match="have not agreed on keys for this model"):
        part.exchange.ask({bank: CountRequest(seed=1, split=split)}, MODEL)
    studies = (sub_study("s", bank), sub_study("s", "bank_x"))
    start = CommonStartRequest(seed=1, split=split, studies=studies)
    with pytest.raises(FederationError, match="common bins need this bank's sub-study"):
        part.exchange.ask({"tax": start}, MODEL)
