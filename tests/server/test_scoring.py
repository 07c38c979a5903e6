"""Scoring applicants by a trained model, from the first message to the bank's file."""

import itertools
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from clients.aligned import read_applications
from clients.evaluation import SCORES
from clients.scoring import ANSWERS
from clients.session import SCORING
from clients.store import Store
from experiments.dataset import open_dataset
from experiments.engines.inline import InlineGrid
from experiments.scoring import read_answers
from fl.config import BoostingConfig, NetworkConfig, RunConfig
from fl.messages import to_bytes
from server.coordinator import assign_roles, connect, train
from server.exchange import Exchange, FederationError
from server.progress import ignore
from server.scoring import Scoring, converse
from server.training import Training

NUMBERS = itertools.count()
CONTENDERS = ("federated-boosting", "federated-network")


class Trained(NamedTuple):
    """A trained federation, and the PD of every business under each contender by the evaluation."""

    config: RunConfig
    pds: dict[str, "pd.Series[float]"]


def train_all(data: Path, folder: Path, parties: tuple[str, ...] = ()) -> Trained:
    config = RunConfig(
        data=str(data),
        parties=",".join(open_dataset(data, parties).parties),
        state=str(folder / "state"),
        study="s",
        network=NetworkConfig(batches=6, batch_size=64, evaluate_every=2),
        boosting=BoostingConfig(trees=4, depth=3, min_leaf_count=10, l2=1.0, encryption="plain"),
    )
    federation = connect(InlineGrid(config), config, ignore)
    roles, pds = assign_roles(federation, 1), {}
    study = Store(folder / "state" / "bank" / "s")
    ids = read_applications(study).ids
    for contender in CONTENDERS:
        train(federation, Training(contender, 1, roles, config, ignore))
        pds[contender] = pd.Series(Store(study.folder / contender / "1").read(SCORES)["pd"], ids)
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
        self, config: RunConfig, applicants: pd.DataFrame, contender: str = CONTENDERS[0], **changes: object
    ) -> tuple[Scoring, pd.DataFrame]:
        number = next(NUMBERS)
        path = self._folder / f"applicants{number}.csv"
        applicants.to_csv(path, index=False)
        changes = {"study": f"new{number}", "model": f"s/{contender}/1"} | changes
        config = replace(config, applicants=str(path), **changes)
        found = converse(Exchange(InlineGrid(config), config.study, 60), config, ignore)
        kept = Path(config.state, "bank", SCORING, config.study, ANSWERS)
        return found, read_answers(kept).set_index("business_id")


@pytest.fixture
def score(tmp_path: Path) -> Scorer:
    return Scorer(tmp_path)


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
    np.testing.assert_allclose(answers["score"], np.log(answers["pd"] / (1 - answers["pd"])), rtol=1e-9)
    assert set(answers["model"]) == {contender} == {found.answered.model}
    assert found.answered.applicants == count
    assert found.absent == ()
    assert found.costs.round_trips == 9


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
    found, answers = score(trained.config, applicants, contender, parties="bank,tax")
    alone, by_itself = score(trained.config, applicants, contender, parties="bank")

    assert found.absent == ("supply",)
    assert alone.absent == ("supply", "tax")
    assert found.costs.round_trips == 6
    assert set(answers["model"]) == {"bank-only-boosting"}
    assert set(answers["parties"]) == {"bank"}
    pd.testing.assert_frame_equal(answers, by_itself)
    assert (answers["pd"] != trained.pds[contender][answers.index]).any()


def test_a_party_that_joined_later_has_no_part(
    make_tables: Callable[..., Path], score: Scorer, tmp_path: Path
) -> None:
    data = make_tables(("tax", "utility"))
    trained = train_all(data, tmp_path, ("bank", "tax"))
    ids = trained.pds[CONTENDERS[0]].index
    found, answers = score(trained.config, some(ids, 30), parties="bank,tax,utility")
    assert set(found.answered.known) == {"tax"}
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


def test_without_the_bank_nobody_answers(trained: Trained, score: Scorer) -> None:
    with pytest.raises(FederationError, match="The party that holds the label is not there"):
        score(trained.config, some(trained.pds[CONTENDERS[0]].index, 5), parties="tax,supply")


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
    deliver = InlineGrid.push_messages

    def watch(grid: InlineGrid, messages: list) -> list[str]:
        keys = list(deliver(grid, messages))
        sent.extend(to_bytes(message.content) for message in messages)
        sent.extend(to_bytes(grid._replies[key].content) for key in keys)
        return keys

    monkeypatch.setattr(InlineGrid, "push_messages", watch)
    _, answers = score(trained.config, some(trained.pds[CONTENDERS[0]].index, 40))
    everything = b"".join(sent)
    assert len(sent) > 9
    for one, values in zip(answers.index, answers[["score", "pd"]].to_numpy(), strict=True):
        assert one.encode() not in everything
        assert one.encode("utf-32-le") not in everything
        for value in values:
            assert value.tobytes() not in everything
