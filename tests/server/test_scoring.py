"""Scoring applicants by a trained model, from the first message to the bank's file."""

import itertools
import shutil
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from flwr.app import Message
from flwr.common.constant import ErrorCode

from clients.aligned import read_applications, read_table
from clients.applicants import ScoredIds
from clients.handshake import describe as describe_today
from clients.scorecard.model import BankModel, ScoredRows, contribution
from clients.scores import Scores
from clients.scoring import ANSWERS, read_answers
from clients.session import SCORING, Session
from clients.store import Store
from experiments.backends.inline import InlineGrid
from experiments.dataset import open_dataset
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import RunConfig, ScoringConfig, TrainingConfig
from fl.config.scorecard import ScorecardConfig
from fl.handshake import DescribeRequest, Description
from fl.reserve import RESERVE
from fl.scorecard.points import Scale
from fl.wire import to_bytes
from server.coordinator import assign_roles, connect, train, train_reserve
from server.exchange import Exchange, FederationError
from server.progress import ignore
from server.scoring import Scoring, converse
from server.training import Training

NUMBERS = itertools.count()
REASONS, ADDS = ([f"{name}_{number}" for number in range(1, 5)] for name in ("reason", "adds"))
SCORECARDS, BLEND = ("federated-scorecard",), "federated-blend"
CONTENDERS = ("federated-boosting", "federated-network", *SCORECARDS, BLEND)


class Trained(NamedTuple):
    """A trained federation, and the PD of every business under each contender by the evaluation."""

    config: TrainingConfig
    pds: dict[str, "pd.Series[float]"]


def train_all(
    data: Path,
    folder: Path,
    parties: tuple[str, ...] = (),
    contenders: tuple[str, ...] = CONTENDERS,
    **scorecard: object,
) -> Trained:
    config = TrainingConfig(
        data=str(data),
        parties=tuple(open_dataset(data, parties).parties),
        state=str(folder / "state"),
        study="s",
    )
    for section in (
        NetworkConfig(batches=6, batch_size=64, evaluate_every=2),
        BoostingConfig(trees=4, depth=3, min_leaf_count=10, l2=1.0, encryption="plain"),
        ScorecardConfig(
            **{"bins": 5, "min_group": 5, "max_p": 1.0, "exchanges": 3, "encryption": "plain"} | scorecard
        ),
    ):
        config = config.with_section(section)
    federation = connect(InlineGrid(config), config, ignore)
    assigned, pds = assign_roles(federation, 1), {}
    train_reserve(federation, assigned, 1, ignore)
    study = Store(folder / "state" / "bank" / "s")
    ids = read_applications(study).ids
    for contender in contenders:
        training = Training(contender=contender, seed=1, assigned=assigned, config=config, on_progress=ignore)
        train(federation, training)
        pds[contender] = pd.Series(Store(study.folder / training.model).read(Scores).pd, ids)
    return Trained(config, pds)


@pytest.fixture(scope="module")
def of_tables(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_all(tables, tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def of_records(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_all(generated, tmp_path_factory.mktemp("records"))


@pytest.fixture
def trained(of_tables: Trained, tmp_path: Path) -> Trained:
    """A trained federation, whose state is the test's own."""
    shutil.copytree(of_tables.config.state, tmp_path / "state")
    return Trained(replace(of_tables.config, state=str(tmp_path / "state")), of_tables.pds)


class Scorer:
    """Scores rows of a table of applicants; the outcome, and the file that the bank keeps."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(
        self,
        trained: TrainingConfig,
        applicants: pd.DataFrame,
        contender: str = CONTENDERS[0],
        grid: Callable[[RunConfig], InlineGrid] = InlineGrid,
        **changes: object,
    ) -> tuple[Scoring, pd.DataFrame]:
        number = next(NUMBERS)
        path = self._folder / f"applicants{number}.csv"
        applicants.to_csv(path, index=False)
        common = {item.name: getattr(trained, item.name) for item in fields(RunConfig)}
        changes = {"study": f"new{number}", "model": f"s/{contender}/1"} | changes
        config = ScoringConfig(**common | {"applicants": str(path)} | changes)
        scoring = converse(Exchange(grid(config), config.study, config.timeout), config, ignore)
        answers = read_answers(config, config.data_folder / "bank").frame()
        # The file for the bank's own people says the same.
        kept = pd.read_csv(
            Path(config.state, "bank", SCORING, config.study, ANSWERS), keep_default_na=False, dtype=str
        )
        assert list(kept) == list(answers)
        assert kept["business_id"].tolist() == answers["business_id"].tolist()
        assert kept["pd"].astype(float).tolist() == answers["pd"].tolist()
        return scoring, answers.set_index("business_id")


@pytest.fixture
def score(tmp_path: Path) -> Scorer:
    return Scorer(tmp_path)


def scorecard(config: TrainingConfig) -> tuple[BankModel, ScoredRows, "pd.Series[int]"]:
    """What the bank has kept of its scorecard and of every row, and the place of each business there."""
    study = Store(Path(config.state, "bank", "s"))
    store = Store(study.folder / SCORECARDS[0] / "1")
    rows = store.read(ScoredRows)
    return store.read(BankModel), rows, pd.Series(range(len(rows.scores)), read_applications(study).ids)


def some(ids: pd.Index, count: int) -> pd.DataFrame:
    chosen = np.random.default_rng(count).permutation(ids.to_numpy())[:count]
    return pd.DataFrame({"business_id": chosen})


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("count", [1, 3, 150, 400])
def test_an_applicant_gets_what_the_evaluation_computed(
    trained: Trained, score: Scorer, contender: str, count: int
) -> None:
    applicants = some(trained.pds[contender].index, count)
    found, answers = score(trained.config, applicants, contender)

    assert answers.index.tolist() == applicants["business_id"].tolist()
    np.testing.assert_array_equal(answers["pd"], trained.pds[contender][answers.index])
    if contender not in SCORECARDS:  # whose scores are points
        np.testing.assert_allclose(answers["score"], np.log(answers["pd"] / (1 - answers["pd"])), rtol=1e-9)
    nobody = (answers["parties"] == "bank") & (contender not in SCORECARDS)
    assert answers["model"].tolist() == np.where(nobody, f"{contender} + {RESERVE}", contender).tolist()
    assert (found.answered.model, found.answered.by_both) == (contender, nobody.sum())
    assert found.answered.applicants == count
    assert found.absent == ()
    assert found.costs.round_trips == 10


@pytest.mark.parametrize("data", ["of_tables", "of_records"])
def test_a_scorecard_answers_with_the_points_and_reasons_of_the_evaluation(
    data: str, score: Scorer, request: pytest.FixtureRequest
) -> None:
    trained: Trained = request.getfixturevalue(data)
    model, rows, places = scorecard(trained.config)
    _, answers = score(trained.config, some(places.index, 60), SCORECARDS[0])

    scored = places[answers.index]
    assert answers["score"].dtype == np.int64
    np.testing.assert_array_equal(answers["score"], rows.scores[scored])
    # A column adds as many more log odds as more points are lost there.
    per_point = model.calibration.slope / Scale.of(trained.config.section(ScorecardConfig)).factor
    known = (answers["parties"] != "bank").to_numpy()
    for code in model.codes:
        (added,) = (answers[name].to_numpy() for name in answers if name.startswith(f"adds {code}:"))
        lost = np.where(rows.reasons[scored] == code, rows.lost[scored], 0).sum(axis=1)
        of_average = (added - per_point * lost)[known & (lost > 0)]
        assert not len(of_average) or np.ptp(of_average) < 1e-9
    for name, told in (("text", model.texts), ("text_zh", model.texts_zh)):
        texts = dict(zip(model.codes, told, strict=True))
        for number, code in enumerate(REASONS, start=1):
            for one, text in zip(answers[code], answers[f"{name}_{number}"], strict=True):
                assert text.startswith(texts.get(one, "")) or one.startswith("BAN")


def test_the_reasons_of_a_thousand_applicants_fall_and_the_parties_points_add_up_to_the_score(
    make_tables: Callable[..., Path], score: Scorer, tmp_path: Path
) -> None:
    trained = train_all(make_tables(rows=1100), tmp_path, contenders=SCORECARDS, min_iv=0.1)
    _, rows, places = scorecard(trained.config)
    _, answers = score(trained.config, some(places.index, 1000), SCORECARDS[0], study="thousand")

    # What the passive parties have just said, and what the bank gave each business in the evaluation.
    total = pd.Series(rows.base + rows.points["bank"], places.index)[answers.index]
    bank = Store(Path(trained.config.state, "bank", SCORING, "thousand"))
    for party in ("tax", "supply"):
        state = Path(trained.config.state, party)
        table = read_table(Store(state / SCORING / "thousand")).in_levels_of(read_table(Store(state / "s")))
        said = contribution(Store(state / "s" / SCORECARDS[0] / "1"), table, trained.config)
        total += pd.Series(said.points, bank.read(ScoredIds).ids)[answers.index]
    np.testing.assert_array_equal(answers["score"], total)

    scored = places[answers.index].to_numpy()
    lost = rows.lost[scored]
    assert (np.diff(lost, axis=1) <= 0).all()
    assert ((rows.reasons[scored] == "") == (lost == 0)).all()
    # Where every loss is listed, and every party knows the business, it has the most points there are less these.
    whole = (answers["parties"].str.count(";") == 2) & (lost[:, 3] == 0)
    assert whole.any()
    assert len(set(answers["score"][whole] + lost[whole].sum(axis=1))) == 1


def test_a_party_without_a_column_worth_its_place_is_asked_and_has_no_points(
    make_tables: Callable[..., Path], score: Scorer, tmp_path: Path
) -> None:
    trained = train_all(make_tables(("tax",)), tmp_path, contenders=SCORECARDS, min_group=90)
    pds = trained.pds[SCORECARDS[0]]
    _, answers = score(trained.config, some(pds.index, 40), SCORECARDS[0])
    np.testing.assert_array_equal(answers["pd"], pds[answers.index])
    # What is left are the bank's columns, and whether the tax bureau knows the business, which the bank says.
    assert set(answers[REASONS].to_numpy().ravel()) == {"", "BAN01", "BAN02", "BAN03", "BAN05"}
    assert set(answers["parties"]) == {"bank", "bank; tax"}


@pytest.mark.parametrize("contender", CONTENDERS)
def test_so_it_does_with_features_from_monthly_records(
    of_records: Trained, score: Scorer, contender: str
) -> None:
    for count in (1, 50):
        _, answers = score(of_records.config, some(of_records.pds[contender].index, count), contender)
        np.testing.assert_array_equal(answers["pd"], of_records.pds[contender][answers.index])


def test_the_answer_says_who_contributed(trained: Trained, score: Scorer) -> None:
    config = trained.config
    found, answers = score(config, some(trained.pds[CONTENDERS[0]].index, 400))
    for party in ("tax", "supply"):
        known = set(pd.read_csv(Path(config.data, party, "table.csv"))["business_id"])
        told = answers["parties"].str.split("; ").map(lambda names, party=party: party in names)
        assert told.tolist() == [one in known for one in answers.index]
        assert found.answered.known[party] == told.sum()
    assert answers["parties"].str.startswith("bank").all()


@pytest.mark.parametrize("contender", CONTENDERS)
def test_without_a_party_the_bank_answers_alone(trained: Trained, score: Scorer, contender: str) -> None:
    applicants = some(trained.pds[contender].index, 80)
    found, answers = score(trained.config, applicants, contender, parties=("bank", "tax"))
    alone, by_itself = score(trained.config, applicants, contender, parties=("bank",))

    assert found.absent == ("supply",)
    assert alone.absent == ("supply", "tax")
    assert found.costs.round_trips == 7
    assert set(answers["model"]) == {"bank-only-boosting"}
    assert set(answers["parties"]) == {"bank"}
    pd.testing.assert_frame_equal(answers, by_itself)
    assert (answers["pd"] != trained.pds[contender][answers.index]).any()


class Death:
    """What becomes of a party that fails, or falls silent for good, when it is asked for an action."""

    def __init__(self, fault: type, node: int, action: str, silently: bool) -> None:
        self._fault = fault(False, None if silently else ErrorCode.CLIENT_APP_RAISED_EXCEPTION)
        self._node, self._action, self._dead = node, action, False

    def __call__(self, number: int, message: Message) -> object:
        if message.metadata.dst_node_id != self._node:
            return None
        self._dead |= message.metadata.message_type.endswith(self._action)
        return self._fault if self._dead else None


ACTIONS = (
    "handshake_describe",
    "scoring_prepare",
    "alignment_raise_points",
    "alignment_order",
    "scoring_contribute",
)


@pytest.mark.parametrize("silently", [True, False])
@pytest.mark.parametrize("action", ACTIONS)
def test_when_a_party_is_lost_on_the_way_the_bank_answers_alone(
    trained: Trained, score: Scorer, faulty: type, fault: type, action: str, silently: bool
) -> None:
    applicants = some(trained.pds[CONTENDERS[0]].index, 80)
    _, by_itself = score(trained.config, applicants, parties=("bank",))

    tax = 2 + trained.config.parties.index("tax")
    found, answers = score(
        trained.config,
        applicants,
        grid=lambda config: faulty(config, Death(fault, tax, action, silently)),
        timeout=0.3,
        connect_timeout=0.1,
    )

    assert found.absent == ("tax",)
    assert found.answered.model == "bank-only-boosting"
    pd.testing.assert_frame_equal(answers, by_itself)


@pytest.mark.parametrize("action", ["scoring_prepare", "alignment_match", "scoring_answer"])
def test_nobody_answers_for_a_bank_that_is_lost(
    trained: Trained, score: Scorer, faulty: type, fault: type, action: str
) -> None:
    applicants = some(trained.pds[CONTENDERS[0]].index, 10)
    death = Death(fault, 2, action, silently=False)
    with pytest.raises(FederationError, match=f"Party bank failed at .*{action}: lost"):
        score(trained.config, applicants, grid=lambda config: faulty(config, death))


def test_a_party_that_joined_later_has_no_part(
    make_tables: Callable[..., Path], score: Scorer, tmp_path: Path
) -> None:
    data = make_tables(("tax", "utility"))
    trained = train_all(data, tmp_path, ("bank", "tax"))
    ids = trained.pds[CONTENDERS[0]].index
    found, answers = score(trained.config, some(ids, 30), parties=("bank", "tax", "utility"))
    assert set(found.answered.known) == {"tax"}
    names = [name for name in answers if name.startswith("adds ")]
    assert not any("utility" in name or (": known to" in name and "tax" not in name) for name in names)
    np.testing.assert_array_equal(answers["pd"], trained.pds[CONTENDERS[0]][answers.index])


def test_applicants_without_an_outcome_are_scored_from_new_records(
    trained: Trained, score: Scorer, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    shutil.copytree(trained.config.data, new, ignore=shutil.ignore_patterns("state"))
    table = pd.read_csv(new / "bank" / "table.csv")
    table["default"] = ""
    fresh = table.iloc[:5].assign(business_id=[f"new{number}" for number in range(5)], kind="never seen")
    pd.concat([table, fresh]).to_csv(new / "bank" / "table.csv", index=False)

    applicants = pd.concat([table.iloc[:20], fresh])[["business_id"]]
    for contender in CONTENDERS:
        _, answers = score(trained.config, applicants, contender, data=str(new))
        old = answers.index[:20]
        np.testing.assert_array_equal(answers.loc[old, "pd"], trained.pds[contender][old])
        assert answers["pd"].iloc[20:].between(0, 1, inclusive="neither").all()
        assert set(answers["parties"].iloc[20:]) == {"bank"}


def test_the_month_of_the_file_counts(of_records: Trained, generated: Path, score: Scorer) -> None:
    applications = pd.read_parquet(generated / "bank" / "applications.parquet")
    own = applications[["business_id", "observation_month"]].head(40)
    earlier = own.assign(observation_month=own["observation_month"] - pd.DateOffset(months=6))

    _, by_default = score(of_records.config, own[["business_id"]])
    _, by_file = score(of_records.config, own)
    _, before = score(of_records.config, earlier)
    pd.testing.assert_frame_equal(by_default, by_file)
    assert (before["pd"] != by_file["pd"]).any()


def test_a_party_whose_columns_changed_is_refused(trained: Trained, score: Scorer, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(trained.config.data, changed, ignore=shutil.ignore_patterns("state"))
    declaration = changed / "tax" / "party.toml"
    declaration.write_text(declaration.read_text().replace("[columns.b]", "[columns.b]\nunit = 'CNY'"))
    with pytest.raises(FederationError, match=r"Party tax refused .* declared columns have changed since"):
        score(trained.config, some(trained.pds[CONTENDERS[0]].index, 5), data=str(changed))


def test_a_model_that_a_party_no_longer_keeps_is_refused(trained: Trained, score: Scorer) -> None:
    shutil.rmtree(Path(trained.config.state, "supply", "s"))
    with pytest.raises(
        FederationError, match=r"Party supply refused .* does not keep the model s/federated-"
    ):
        score(trained.config, some(trained.pds[CONTENDERS[0]].index, 5))


def forget(config: TrainingConfig, party: str, *contenders: str) -> None:
    """Have a party lose its parts of models."""
    for contender in contenders:
        shutil.rmtree(Path(config.state, party, "s", contender))


@pytest.mark.parametrize("party", ["tax", "bank"])
def test_a_blend_answers_without_a_member_of_which_a_party_has_lost_its_part(
    trained: Trained, score: Scorer, party: str
) -> None:
    study = Store(Path(trained.config.state, "bank", "s"))
    left = [Store(study.folder / f"federated-{name}" / "1") for name in ("boosting", "scorecard")]
    expected = sum(store.read(Scores).unmixed for store in left) / 2
    forget(trained.config, party, "federated-network")

    found, answers = score(trained.config, some(trained.pds[BLEND].index, 60), BLEND)

    assert found.answered.model == "federated-blend without federated-network"
    known = answers["parties"] != "bank"
    assert set(answers["model"][known]) == {found.answered.model}
    assert set(answers["model"][~known]) == {f"{found.answered.model} + {RESERVE}"}
    places = pd.Series(expected, read_applications(study).ids)[answers.index]
    np.testing.assert_allclose(answers["score"][known], places[known], rtol=1e-12)
    assert found.costs.round_trips == 10


@pytest.mark.parametrize("party", ["tax", "bank"])
def test_a_blend_answers_without_a_member_of_which_a_party_speaks_another_version(
    trained: Trained, score: Scorer, monkeypatch: pytest.MonkeyPatch, party: str
) -> None:
    def describe(session: Session, request: DescribeRequest) -> Description:
        about = describe_today(session, request)
        spoken = tuple(name.replace("network/1", "network/2") for name in about.conversations)
        return replace(about, conversations=spoken) if about.name == party else about

    applicants = some(trained.pds[BLEND].index, 40)
    monkeypatch.setattr("clients.handshake.describe", describe)
    found, answers = score(trained.config, applicants, BLEND)
    monkeypatch.undo()
    assert found.answered.model == "federated-blend without federated-network"
    forget(trained.config, party, "federated-network")
    _, without_its_part = score(trained.config, applicants, BLEND)
    pd.testing.assert_frame_equal(answers, without_its_part)


def test_with_no_member_left_the_reserve_model_answers(trained: Trained, score: Scorer) -> None:
    forget(trained.config, "tax", "federated-network", "federated-scorecard")
    forget(trained.config, "supply", "federated-boosting")
    applicants = some(trained.pds[BLEND].index, 60)
    found, answers = score(trained.config, applicants, BLEND)
    _, by_itself = score(trained.config, applicants, parties=("bank",))
    assert found.answered.model == RESERVE
    pd.testing.assert_frame_equal(answers, by_itself)


def test_without_the_bank_nobody_answers(trained: Trained, score: Scorer) -> None:
    with pytest.raises(FederationError, match="The party that holds the label is not there"):
        score(trained.config, some(trained.pds[CONTENDERS[0]].index, 5), parties=("tax", "supply"))


def test_scoring_ends_no_training(trained: Trained, score: Scorer) -> None:
    applicants = some(trained.pds[CONTENDERS[0]].index, 2)
    for _ in range(3):
        score(trained.config, applicants, keep_studies=2)
    for party in ("bank", "tax", "supply"):
        folder = Path(trained.config.state, party)
        assert (folder / "s").is_dir()
        assert len(list((folder / SCORING).iterdir())) == 2


def test_ids_and_scores_stay_at_the_bank(
    trained: Trained, score: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bytes] = []
    push, pull = InlineGrid.push_messages, InlineGrid.pull_messages

    def watch(messages: Iterable[Message]) -> list[Message]:
        listed = list(messages)
        sent.extend(to_bytes(message.content) for message in listed)
        return listed

    monkeypatch.setattr(InlineGrid, "push_messages", lambda grid, messages: push(grid, watch(messages)))
    monkeypatch.setattr(InlineGrid, "pull_messages", lambda grid, keys: watch(pull(grid, keys)))
    _, answers = score(trained.config, some(trained.pds[CONTENDERS[0]].index, 40))
    everything = b"".join(sent)
    assert len(sent) > 9
    for one, values in zip(answers.index, answers[["score", "pd"]].to_numpy(), strict=True):
        assert one.encode() not in everything
        assert one.encode("utf-32-le") not in everything
        for value in values:
            assert value.tobytes() not in everything


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("data", ["of_tables", "of_records"])
def test_the_base_and_what_each_column_adds_are_the_log_odds(
    data: str, contender: str, score: Scorer, request: pytest.FixtureRequest
) -> None:
    trained: Trained = request.getfixturevalue(data)
    _, answers = score(trained.config, some(trained.pds[contender].index, 1000), contender)
    parts = answers[["base", *(name for name in answers if name.startswith("adds "))]]
    np.testing.assert_allclose(parts.sum(axis=1), np.log(answers["pd"] / (1 - answers["pd"])), atol=1e-9)
    adds = answers[ADDS].to_numpy()
    assert (np.diff(adds, axis=1) <= 0).all()
    assert ((answers[REASONS].to_numpy() == "") == (adds == 0)).all()
