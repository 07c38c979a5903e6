"""Three banks and two passive parties train one scorecard over encrypted and secure sums, against its pooled twin."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from clients.aligned import read_table
from clients.banks import schema_of
from clients.data.declaration import read_declaration
from clients.hybrid_scorecard import passive
from clients.hybrid_scorecard.passive import Mask
from clients.pads import Pads
from clients.scorecard.export import export_scorecard
from clients.scorecard.label_holder import OwnerKey
from clients.scorecard.model import BankModel, Groupings, PassiveModel
from clients.scorecard.passive import Masking
from clients.scores import Scores
from clients.session import Session
from clients.store import Store
from experiments.backends.inline import InlineGrid
from experiments.baselines.hybrid_scorecard import Scorecard, fit_scorecard
from fl.config.banks import BanksConfig
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.encrypted_sums import Sums
from fl.errors import ConfigError
from fl.hybrid_scorecard import BinRequest, JoinRequest, PointsRequest
from fl.messages import DIGITS, Letter
from fl.metrics import auc
from fl.scorecard import Points, Stepped, Told
from fl.splits import TEST
from fl.studies import sub_study
from server.coordinator import Trained, assign_roles, connect
from server.exchange import FederationError
from server.progress import Progress, ignore
from tests.clients.hybrids import BANKS, PASSIVE, config_in, part, rows_of, train

pytestmark = pytest.mark.usefixtures("quick_tracking")

MODEL = "hybrid-scorecard/1"


def quick(banks_tables: Path, folder: Path) -> TrainingConfig:
    config = config_in(banks_tables, folder, "hybrid-scorecard")
    return config.with_section(
        ScorecardConfig(bins=5, min_group=5, max_p=1.0, exchanges=6, encryption="plain")
    )


@pytest.fixture
def config(banks_tables: Path, tmp_path: Path) -> TrainingConfig:
    return quick(banks_tables, tmp_path)


def with_options(config: TrainingConfig, **options: object) -> TrainingConfig:
    return config.with_section(replace(config.section(ScorecardConfig), **options))


def twin(config: TrainingConfig, banks: tuple[str, ...]) -> Scorecard:
    """The pooled scorecard of the rows of the banks, in this order."""
    rows = [rows_of(config, bank) for bank in banks]
    partners = [{name: read_table(part(config, bank, name, "")) for name in PASSIVE} for bank in banks]
    schema = schema_of(read_declaration(Path(config.data, banks[0])), rows[0].table)
    signs = {
        name: {one.name: one.sign for one in read_declaration(Path(config.data, name)).columns}
        for name in PASSIVE
    }
    return fit_scorecard(rows, partners, signs, schema, config.section(ScorecardConfig))


def assert_equals_twin(config: TrainingConfig, pooled: Scorecard, banks: tuple[str, ...]) -> None:
    """Points of all parties, and the PD of every row, bit for bit."""
    log_odds = [part(config, bank).read(Scores).log_odds for bank in banks]
    np.testing.assert_array_equal(np.concatenate(log_odds), pooled.log_odds)
    for bank in banks:
        store = part(config, bank)
        of_bank = store.read(BankModel).weights.points(store.read(Groupings).columns, config)
        assert (of_bank.base, of_bank.alone_base) == (pooled.base, pooled.alone[0])
        np.testing.assert_array_equal(of_bank.table.points, pooled.points[""])
        np.testing.assert_array_equal(of_bank.alone_table.points, pooled.alone[1])
        for name in PASSIVE:
            kept = part(config, bank, name).read(PassiveModel).table
            np.testing.assert_array_equal(kept.points, pooled.points.get(name, np.empty(0)))


def assert_keys_are_gone(config: TrainingConfig) -> None:
    for bank in BANKS:
        whole = Store(Path(config.state, bank, "s", *MODEL.split("/")))
        assert not whole.has(Pads)
        assert not part(config, bank).has(OwnerKey)
        assert whole.last().state == part(config, bank).last().state == b""
        for name in PASSIVE:
            assert not part(config, bank, name).has(Mask)
            assert part(config, bank, name).last().state == b""


SLOW = {
    "lattice": {"encryption": "lattice"},
    "l1, no signs, until validation settles": {
        "l1_ratio": 0.5,
        "c": 1.0,
        "monotone": False,
        "exchanges": 30,
        "settled": 0.001,
    },
    "one exchange, not calibrated": {"exchanges": 1, "calibrate": False},
    "the defaults of the fit": {"exchanges": 30},
}


@dataclass(frozen=True)
class Finished:
    """A finished run; by passive party and sub-study the sums that it stepped by, and the masks of what was opened."""

    config: TrainingConfig
    trained: Trained
    events: list[Progress]
    sums: dict[tuple[str, str], list[np.ndarray]]
    masks: dict[tuple[str, str], list[np.ndarray]]


@pytest.fixture(scope="module")
def finished(banks_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    config, sums, masks = quick(banks_tables, tmp_path_factory.mktemp("card")), {}, {}
    honest = passive.take_step

    def watched(session: Session, state: Masking, opened: Sums) -> Stepped:
        key = session.declaration.name, session.envelope.study
        sums.setdefault(key, []).append(np.concatenate([part.ravel() for part in opened]))
        masks.setdefault(key, []).append(session.store.read(Mask).numbers)
        return honest(session, state, opened)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passive, "take_step", watched)
        trained, events = train(config)
    return Finished(config, trained, events, sums, masks)


def test_the_scorecard_of_all_banks_equals_its_pooled_twin(finished: Finished) -> None:
    pooled = twin(finished.config, BANKS)
    assert set(pooled.points) == {"", *PASSIVE}
    assert_equals_twin(finished.config, pooled, BANKS)
    told = [{name: round(figure, DIGITS) for name, figure in look.items()} for look in pooled.curve]
    assert [dict(event.metrics) for event in finished.events] == told
    assert_keys_are_gone(finished.config)


@pytest.mark.slow
@pytest.mark.parametrize("options", SLOW.values(), ids=SLOW)
def test_it_does_so_by_any_engine_and_settings_and_in_any_order_of_banks(
    config: TrainingConfig, options: dict
) -> None:
    config = with_options(config, **options)
    train(config)
    assert_equals_twin(config, twin(config, BANKS), BANKS)
    assert_equals_twin(config, twin(config, BANKS[::-1]), BANKS[::-1])


def test_each_bank_evaluates_it_by_its_own_test_rows_and_all_by_counts(finished: Finished) -> None:
    labels, pds = [], []
    for bank in BANKS:
        rows = rows_of(finished.config, bank)
        test = rows.roles == TEST
        labels.append(rows.labels[test])
        pds.append(part(finished.config, bank).read(Scores).pd[test])
        evaluation = finished.trained.of_banks[bank]
        assert evaluation.metrics["auc"] == pytest.approx(auc(labels[-1], pds[-1]), abs=1e-4)
        assert {"a", "known to supply"} <= set(evaluation.tables["scorecard"]["name"].tolist())
    exact = auc(np.concatenate(labels), np.concatenate(pds))
    whole = finished.trained.evaluation.metrics["auc"]
    assert whole == pytest.approx(exact, abs=0.01)  # 200 rows; see test_banks.py


def test_a_passive_party_reads_sums_over_all_banks_only(finished: Finished) -> None:
    """It steps by the same sums in each sub-study; what each bank opens is hidden by another mask."""
    for name in PASSIVE:
        first, *others = (sums for (party, _), sums in finished.sums.items() if party == name)
        assert len(first) > 1
        assert len(others) == len(BANKS) - 1
        for other in others:
            np.testing.assert_array_equal(np.stack(other), np.stack(first))
    drawn = np.concatenate([mask for of_party in finished.masks.values() for mask in of_party])
    assert len(np.unique(drawn)) == drawn.size


@pytest.mark.slow
def test_two_banks_have_to_be_allowed_and_then_equal_their_twin(config: TrainingConfig) -> None:
    two = replace(config, parties=(*BANKS[:2], *PASSIVE))
    with pytest.raises(FederationError, match=r"of two banks each can take its own numbers .* --allow-two"):
        train(two)
    allowed = replace(two, study="allowed").with_section(BanksConfig(allow_two=True))
    train(allowed)
    assert_equals_twin(allowed, twin(allowed, BANKS[:2]), BANKS[:2])


def test_an_engine_whose_masks_do_not_add_up_is_refused(config: TrainingConfig) -> None:
    refused = r"Setting 'scorecard\.encryption' = paillier is for one bank; choose lattice or plain"
    with pytest.raises(FederationError, match=refused):
        train(with_options(config, encryption="paillier"))


@pytest.mark.slow
def test_who_has_no_column_worth_its_place_is_asked_no_more(config: TrainingConfig) -> None:
    config = with_options(config, min_group=150)
    train(config)
    pooled = twin(config, BANKS)
    assert set(pooled.points) == {""}
    assert_equals_twin(config, pooled, BANKS)


def test_points_that_are_not_those_of_the_card_are_noticed_over_all_banks(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lying(session: Session, request: PointsRequest) -> Told:
        told = passive.points(session, request)
        if "bank_b" not in session.envelope.study:
            return told
        read, known = told.points.read(Points), np.flatnonzero(read_table(session.study).known)
        read.points[known[:5]] += 1
        return replace(told, points=Letter.of(read))

    monkeypatch.setattr("clients.hybrid_scorecard.points", lying)
    with pytest.raises(FederationError, match="the points of supply must be those of its card"):
        train(config)


def test_a_party_waits_for_all_banks_that_the_others_name_too(config: TrainingConfig) -> None:
    parts = connect(InlineGrid(config), config, ignore).of_banks
    studies = tuple(sub_study("s", bank) for bank in BANKS)

    def ask(bank: str, request: object, seed: int = 1) -> None:
        parts[bank].exchange.ask({"tax": request}, f"hybrid-scorecard/{seed}")

    def join(bank: str, studies: tuple[str, ...] = studies, seed: int = 1) -> None:
        split = assign_roles(parts[bank], seed).split
        ask(bank, JoinRequest(seed=seed, split=split, studies=studies), seed)

    wrong = (studies[:1], (*studies[:2], sub_study("s", "bank_x")), studies[1:])
    for seed, named in enumerate(wrong, start=2):
        with pytest.raises(FederationError, match=r"sub-studies of all of them|that are aligned"):
            join("bank_a", named, seed)
    join("bank_a")
    with pytest.raises(FederationError, match="begun in the sub-studies of all banks"):
        ask("bank_a", BinRequest())
    join("bank_b", studies[:2])
    join("bank_c")
    with pytest.raises(FederationError, match="with the same banks"):
        ask("bank_c", BinRequest())


def test_a_bank_exports_its_part_and_a_passive_party_that_of_a_bank(finished: Finished) -> None:
    data, state = Path(finished.config.data), Path(finished.config.state)
    for bank in BANKS:
        exported = export_scorecard(data / bank, state / bank, "s/hybrid-scorecard")
        assert exported.run == f"{sub_study('s', bank)}/{MODEL}"
        assert exported.score is not None
        assert exported.score.partners == PASSIVE
    with pytest.raises(ConfigError, match=r"name the bank's part: s--bank_a/hybrid-scorecard or s--bank_b/"):
        export_scorecard(data / "tax", state / "tax", "s/hybrid-scorecard")
    assert export_scorecard(data / "tax", state / "tax", "s--bank_b/hybrid-scorecard").party == "tax"
