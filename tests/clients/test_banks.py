"""Three banks train a model over secure sums: what they get, what the coordinator sees, and what is refused."""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flwr.app import Message
from scipy.stats import chi2

from clients.aligned import read_applications
from clients.audit import Trail
from clients.banks import Model
from clients.binned import assigned
from clients.data.declaration import read_declaration, write_declaration
from clients.identity import make_identity, read_identity
from clients.scores import Scores
from clients.store import Store
from experiments.backends.inline import InlineGrid
from fl import secure_sums
from fl.banks import Added, AddRequest, programs
from fl.banks.grid import Schema
from fl.banks.private_boosting import PrivateState
from fl.banks.program import Rows
from fl.calibration import Calibration
from fl.config.banks import BanksConfig
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.errors import ProtocolError
from fl.metrics import auc
from fl.protocols import request_of
from fl.records import decode, encode
from fl.secure_sums import Keys, noise
from fl.splits import TEST, TRAIN, VALIDATION, Split
from fl.studies import sub_study
from fl.wire import refusal_in, unpack
from server.coordinator import Trained, coordinate
from server.exchange import FederationError, UnansweredError
from server.progress import Progress, ignore

pytestmark = pytest.mark.usefixtures("quick_tracking")

MODEL = "banks-boosting/1"
STEPS = 3
BANKS = ("bank_a", "bank_b", "bank_c")


@dataclass(frozen=True)
class Means:
    """The sums so far of column a and of the training rows in which it is known; and how many sums there were."""

    total: int = 0
    rows: int = 0
    steps: int = 0


class MeanProgram:
    """A demonstration: the risk goes with the distance of column a from its mean over all banks."""

    state = Means

    def __init__(self, settings: object, seed: int, schema: Schema) -> None:
        self.seed = seed

    def begin(self, rows: Rows) -> Means:
        return Means()

    def addend(self, rows: Rows, state: Means) -> np.ndarray | None:
        if state.steps == STEPS:
            return None
        values = self._a(rows)[rows.roles == TRAIN]
        return np.array([np.rint(np.nansum(values) * 2**20), (~np.isnan(values)).sum()], np.int64)

    def advance(self, rows: Rows, state: Means, total: np.ndarray) -> Means:
        return Means(state.total + int(total[0]), state.rows + int(total[1]), state.steps + 1)

    def progress(self, state: Means) -> tuple[int, Mapping[str, float]] | None:
        return state.steps, {"valid.auc": state.total / state.rows}

    def log_odds(self, rows: Rows, state: Means) -> np.ndarray:
        return np.nan_to_num(self._a(rows)) - state.total / state.rows / 2**20

    def shared(self, state: Means) -> Means:
        return state

    def _a(self, rows: Rows) -> np.ndarray:
        return rows.table.numeric[:, rows.table.numeric_names.index("a")]


@pytest.fixture(autouse=True)
def demonstration(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = programs.PROGRAMS["banks-boosting"]
    monkeypatch.setitem(
        programs.PROGRAMS, "banks-boosting", listed._replace(module=__name__, name="MeanProgram")
    )


@pytest.fixture
def config(banks_tables: Path, tmp_path: Path) -> TrainingConfig:
    return TrainingConfig(
        data=str(banks_tables),
        parties=BANKS,
        state=str(tmp_path / "state"),
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
        journal=str(tmp_path / "journal"),
        study="s",
        contenders=("banks-boosting",),
    )


class Watching(InlineGrid):
    """A grid that keeps what the banks show and are told, and loses the messages of a bank from a round trip on."""

    def __init__(self, config: TrainingConfig, lost: str = "", after: int = 0) -> None:
        super().__init__(config)
        self.shown: list[np.ndarray] = []
        self._lost, self._left = lost and 2 + config.parties.index(lost), after

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        messages = list(messages)
        _, kind = request_of(messages[0].metadata.message_type)
        if kind is AddRequest:
            self._left -= 1
        kept = [one for one in messages if self._left >= 0 or one.metadata.dst_node_id != self._lost]
        if kind is AddRequest:  # all are told the same
            self.shown.append(unpack(messages[0].content, AddRequest).total)
        keys = iter(list(super().push_messages(kept)))
        answered = [next(keys) if one in kept else "" for one in messages]
        for key in filter(None, answered):
            reply = self._replies[key].content
            if refusal_in(reply) is None and "Added" in str(reply):
                self.shown.append(unpack(reply, Added).shown)
        return answered


def of_bank(config: TrainingConfig, bank: str) -> Store:
    return Store(Path(config.state, bank, config.study, *MODEL.split("/")))


def train(config: TrainingConfig, grid: InlineGrid | None = None) -> Trained:
    (trained,) = coordinate(grid or InlineGrid(config), config, ignore)
    return trained


def test_banks_agree_on_the_model_of_all_rows(config: TrainingConfig) -> None:
    events: list[Progress] = []
    (trained,) = coordinate(InlineGrid(config), config, events.append)

    models = [of_bank(config, bank).read(Model) for bank in BANKS]
    assert len({one.state for one in models}) == 1
    means = decode(Means, models[0].state)
    tables = [pd.read_csv(Path(config.data, bank, "table.csv")) for bank in BANKS]
    assert 0 < means.rows < STEPS * sum(map(len, tables))
    for bank, table in zip(BANKS, tables, strict=True):
        assert len(of_bank(config, bank).read(Scores).log_odds) == len(table)
        assert of_bank(config, bank).last().state == b""  # and so no key of the pads
        lines = [line for line in Trail(Path(config.state, bank)).lines() if line.conversation == "banks"]
        assert {line.receiver for line in lines if line.letter} == set(BANKS) - {bank}  # keys, and no numbers
        assert {line.content for line in lines if line.action == "add"} == {
            ("setting", "count", "aggregate", "padded")
        }
    assert trained.bank == ""
    assert set(trained.of_banks) == set(BANKS)
    assert min(one.metrics["auc"] for one in trained.of_banks.values()) < trained.evaluation.metrics["auc"]
    assert [event.step for event in events if event.stage == "banks-boosting" and event.step] == [1, 2, 3]


def test_banks_train_under_noise(config: TrainingConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "budget", lambda epsilon, delta: 1.0)
    private = config.with_section(BanksConfig(epsilon=8.0)).with_section(BoostingConfig(trees=4, depth=2))
    trained = train(private)

    models = [decode(PrivateState, of_bank(config, bank).read(Model).state).model for bank in BANKS]
    assert models[0] is not None
    assert len(models[0].forest.roots) == 4
    assert len({encode(model) for model in models}) == 1
    assert set(trained.of_banks) == set(BANKS)


def test_the_whole_is_evaluated_as_if_all_test_rows_were_together(config: TrainingConfig) -> None:
    trained = train(config)

    labels, pds = [], []
    for bank in BANKS:
        study = Store(Path(config.state, bank, sub_study("s", bank)))
        test = assigned(study, 1).read(Split).roles == TEST
        labels.append(read_applications(study).labels[test])
        pds.append(of_bank(config, bank).read(Scores).pd[test])
    exact = auc(np.concatenate(labels), np.concatenate(pds))
    assert trained.evaluation.metrics["auc"] == pytest.approx(
        exact, abs=0.01
    )  # 200 rows; see fl/banks/evaluation.py


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["offset", "logistic"])
def test_each_bank_recalibrates_by_its_own_validation_rows(config: TrainingConfig, kind: str) -> None:
    plain = train(config)
    recalibrating = replace(config, study="r").with_section(BanksConfig(recalibrate=kind))
    trained = train(recalibrating)

    fitted = {}
    for bank in BANKS:
        study = Store(Path(config.state, bank, sub_study("r", bank)))
        validation = assigned(study, 1).read(Split).roles == VALIDATION
        log_odds = of_bank(config, bank).read(Scores).log_odds
        labels = read_applications(study).labels[validation]
        fitted[bank] = Calibration.fit_if_needed(log_odds[validation], labels, kind == "logistic")
        model, scores = (of_bank(recalibrating, bank).read(record) for record in (Model, Scores))
        assert model.recalibration == fitted[bank]
        np.testing.assert_array_equal(scores.log_odds, fitted[bank].log_odds(log_odds))
        # Its own order stays, and so does its AUC; only a common order of all banks' rows can change.
        before, after = plain.of_banks[bank].metrics, trained.of_banks[bank].metrics
        assert after["auc"] == before["auc"]
        assert (after["brier"] == before["brier"]) is (fitted[bank] == Calibration())
        told = trained.of_banks[bank].tables["recalibration"]
        assert told["intercept"].tolist() == [round(fitted[bank].intercept, 4)]
    assert len(set(fitted.values())) > 1
    assert trained.evaluation.metrics["brier"] != plain.evaluation.metrics["brier"]


def uniformity(numbers: list[np.ndarray]) -> float:
    """The p-value of a chi-square test that the bytes of all numbers are equally frequent."""
    counts = np.bincount(np.frombuffer(np.concatenate(numbers).tobytes(), np.uint8), minlength=256)
    expected = counts.sum() / 256
    return float(chi2.sf(((counts - expected) ** 2 / expected).sum(), 255))


def test_the_coordinator_sees_noise_and_would_not_without_masks(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = Watching(config)
    masked = train(config, grid)
    assert len(grid.shown) == 3 * (STEPS + 2) + (
        STEPS + 1
    )  # what three banks show, and all totals but the last
    assert uniformity(grid.shown) > 1e-4

    monkeypatch.setattr(Keys, "_pads", lambda *_: ())
    monkeypatch.setattr(secure_sums, "_pad", lambda *_: np.uint64(0))
    plain = replace(config, study="plain")
    watched = Watching(plain)
    assert train(plain, watched).evaluation.metrics == masked.evaluation.metrics
    assert uniformity(watched.shown) < 1e-100


def test_a_lost_bank_stops_the_step_by_name_and_the_run_resumes_with_it(config: TrainingConfig) -> None:
    calm = replace(config, study="calm", journal="", state=f"{config.state}-calm")
    expected = train(calm)
    impatient = replace(config, party_timeout=0.2)
    with pytest.raises(
        UnansweredError, match=r"Party bank_b did not answer train\.banks_add within 0\.2 seconds"
    ):
        train(impatient, Watching(config, lost="bank_b", after=2))

    trained = train(config)

    assert of_bank(config, "bank_b").read(Model).state == of_bank(calm, "bank_b").read(Model).state
    assert trained.evaluation.metrics == expected.evaluation.metrics
    assert trained.costs.round_trips == expected.costs.round_trips


@pytest.mark.slow
def test_when_a_bank_leaves_the_others_train_anew_under_fresh_pads(config: TrainingConfig) -> None:
    train(config)
    without = replace(config, parties=BANKS[:2]).with_section(BanksConfig(allow_two=True))
    shown, models = set[int](), []
    for study in ("t", "u"):
        anew = replace(without, study=study)
        watched = Watching(anew)
        train(anew, watched)
        numbers = {*np.concatenate(watched.shown).tolist()}
        assert not shown & numbers
        shown |= numbers
        models += [of_bank(anew, bank).read(Model).state for bank in BANKS[:2]]
    # Nothing of the bank that has left is in it: it depends on the rows of the others alone.
    assert len({*models}) == 1
    assert models[0] != of_bank(config, "bank_a").read(Model).state
    # And the model of all three stays with those who have it.
    for bank in BANKS:
        assert of_bank(config, bank).has(Model)


def test_two_banks_are_refused_unless_the_run_allows_them(config: TrainingConfig) -> None:
    two = replace(config, parties=("bank_a", "bank_c"))
    with pytest.raises(
        FederationError, match=r"bring a third bank, or allow that by --allow-two \(banks.allow-two\)"
    ):
        train(two)
    allowed = replace(two, study="allowed").with_section(BanksConfig(allow_two=True))
    assert set(train(allowed).of_banks) == {"bank_a", "bank_c"}


def test_banks_with_other_levels_are_refused_by_name(
    config: TrainingConfig, banks_tables: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(banks_tables, data)
    declared = read_declaration(data / "bank_c")
    fewer = tuple(replace(one, levels=one.levels[:2]) for one in declared.columns)
    write_declaration(data / "bank_c", replace(declared, columns=fewer))
    with pytest.raises(FederationError, match="bank_c declares other columns, levels or special values"):
        train(replace(config, data=str(data)))


def test_a_bank_with_another_key_than_the_pinned_one_is_refused(
    config: TrainingConfig, banks_tables: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(banks_tables, data)
    for party in config.parties:
        make_identity(data / party)
    keys = {party: read_identity(data / party).public.text for party in config.parties}
    for party in config.parties:
        partners = {name: text for name, text in keys.items() if name != party}
        write_declaration(data / party, replace(read_declaration(data / party), partners=partners))
    config = replace(config, data=str(data))
    train(config)

    (data / "bank_b" / "identity.pem").unlink()
    make_identity(data / "bank_b")
    with pytest.raises(
        FederationError, match="names the partners that it works with, and bank_b has another key there"
    ):
        train(replace(config, study="t"))


def test_what_one_bank_alone_is_asked_is_refused(config: TrainingConfig) -> None:
    with pytest.raises(
        ProtocolError, match="this federation is vertical; banks/1 is for horizontal or hybrid ones"
    ):
        train(replace(config, parties=("bank_a",)))
