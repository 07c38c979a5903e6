"""Three banks and two passive parties train one scorecard over encrypted and secure sums, against its pooled twin."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clients.aligned import read_applications, read_table
from clients.banks import schema_of
from clients.binned import assigned
from clients.data.declaration import read_declaration
from clients.hybrid_scorecard import passive
from clients.hybrid_scorecard.passive import Mask
from clients.pads import Pads
from clients.scorecard.export import export_scorecard
from clients.scorecard.label_holder import OwnerKey
from clients.scorecard.model import BankModel, Groupings, PassiveModel
from clients.scores import Scores
from clients.session import Session
from clients.store import Store
from experiments.backends.inline import InlineGrid
from experiments.baselines.hybrid_scorecard import Scorecard, fit_scorecard
from fl.banks.program import Rows
from fl.config.banks import BanksConfig
from fl.config.run import TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError
from fl.hybrid_scorecard import BinRequest, JoinRequest, PointsRequest
from fl.messages import DIGITS, Letter
from fl.metrics import auc
from fl.scorecard import Points, Told
from fl.splits import TEST, Split
from fl.studies import sub_study
from server.coordinator import Trained, assign_roles, connect, coordinate
from server.exchange import FederationError
from server.progress import Progress, ignore

pytestmark = pytest.mark.usefixtures("quick_tracking")

MODEL = "hybrid-scorecard/1"
BANKS = ("bank_a", "bank_b", "bank_c")
PASSIVE = ("supply", "tax")


@pytest.fixture
def config(banks_tables: Path, tmp_path: Path) -> TrainingConfig:
    config = TrainingConfig(
        data=str(banks_tables),
        parties=(*BANKS, *PASSIVE),
        state=str(tmp_path / "state"),
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
        study="s",
        contenders=("hybrid-scorecard",),
    )
    return config.with_section(
        ScorecardConfig(bins=5, min_group=5, max_p=1.0, exchanges=6, encryption="plain")
    )


def with_options(config: TrainingConfig, **options: object) -> TrainingConfig:
    return config.with_section(replace(config.section(ScorecardConfig), **options))


def banks_of(config: TrainingConfig) -> tuple[str, ...]:
    return tuple(party for party in config.parties if party in BANKS)


def part(config: TrainingConfig, bank: str, party: str = "", model: str = MODEL) -> Store:
    return Store(Path(config.state, party or bank, sub_study(config.study, bank), *model.split("/")))


def train(config: TrainingConfig) -> tuple[Trained, list[Progress]]:
    events: list[Progress] = []
    (trained,) = coordinate(InlineGrid(config), config, events.append)
    return trained, [event for event in events if event.stage == "hybrid-scorecard" and event.metrics]


def rows_of(config: TrainingConfig, bank: str) -> Rows:
    study, declared = part(config, bank, model=""), read_declaration(Path(config.data, bank))
    applications = read_applications(study)
    return Rows(
        name=bank,
        table=read_table(study),
        labels=applications.labels,
        roles=assigned(study, 1).read(Split).roles,
        signs={column.name: column.sign for column in declared.columns},
        segments=applications.segments,
    )


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
    for bank in banks_of(config):
        whole = Store(Path(config.state, bank, "s", *MODEL.split("/")))
        assert not whole.has(Pads)
        assert not part(config, bank).has(OwnerKey)
        assert whole.last().state == part(config, bank).last().state == b""


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


@pytest.mark.parametrize(
    "options",
    [{}, *(pytest.param(each, marks=pytest.mark.slow) for each in SLOW.values())],
    ids=["plain", *SLOW],
)
def test_the_scorecard_of_all_banks_equals_its_pooled_twin(config: TrainingConfig, options: dict) -> None:
    config = with_options(config, **options)
    trained, events = train(config)
    pooled = twin(config, BANKS)

    assert_equals_twin(config, pooled, BANKS)
    assert_equals_twin(config, twin(config, BANKS[::-1]), BANKS[::-1])
    assert set(pooled.points) == {"", *PASSIVE}
    told = [{name: round(figure, DIGITS) for name, figure in look.items()} for look in pooled.curve]
    assert [dict(event.metrics) for event in events] == told
    assert_keys_are_gone(config)
    tests = {bank: (rows_of(config, bank), part(config, bank).read(Scores).pd) for bank in BANKS}
    labels, pds = zip(
        *((rows.labels[rows.roles == TEST], pd[rows.roles == TEST]) for rows, pd in tests.values()),
        strict=True,
    )
    for bank, of_bank, pd_of_bank in zip(BANKS, labels, pds, strict=True):
        evaluation = trained.of_banks[bank]
        assert evaluation.metrics["auc"] == pytest.approx(auc(of_bank, pd_of_bank), abs=1e-4)
        names = evaluation.tables["scorecard"]["name"].tolist()
        assert {"a", "known to supply"} <= set(names)
    exact = auc(np.concatenate(labels), np.concatenate(pds))
    assert trained.evaluation.metrics["auc"] == pytest.approx(exact, abs=0.01)  # 200 rows; see test_banks.py


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


def test_a_passive_party_reads_sums_over_all_banks_only(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It steps by the same sums in each sub-study; what each bank opens is hidden by another mask."""
    stepped: dict[str, list[np.ndarray]] = {}
    masks: dict[str, list[np.ndarray]] = {}
    honest = passive.take_step

    def watched(session, state, opened):
        key = session.envelope.study
        stepped.setdefault(key, []).append(np.concatenate([part.ravel() for part in opened]))
        masks.setdefault(key, []).append(session.store.read(Mask).numbers)
        return honest(session, state, opened)

    monkeypatch.setattr(passive, "take_step", watched)
    train(replace(config, parties=(*BANKS, "tax")))
    first, *others = stepped.values()
    assert len(first) > 1
    for other in others:
        np.testing.assert_array_equal(np.stack(other), np.stack(first))
    drawn = np.stack([mask for of_bank in masks.values() for mask in of_bank])
    assert len(np.unique(drawn)) == drawn.size


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


def test_a_bank_exports_what_it_adds(config: TrainingConfig) -> None:
    train(config)
    for bank in BANKS:
        exported = export_scorecard(
            Path(config.data, bank), Path(config.state, bank), f"s/{MODEL.removesuffix('/1')}"
        )
        assert exported.run == f"{sub_study('s', bank)}/{MODEL}"
        assert exported.score is not None
        assert exported.score.partners == PASSIVE
    with pytest.raises(ConfigError, match=r"name the bank's part: s--bank_a/hybrid-scorecard"):
        export_scorecard(Path(config.data, "tax"), Path(config.state, "tax"), "s/hybrid-scorecard")
    of_party = export_scorecard(
        Path(config.data, "tax"), Path(config.state, "tax"), "s--bank_b/hybrid-scorecard"
    )
    assert of_party.party == "tax"
