"""The attacks of docs/threat-model.md: they succeed where nothing defends, and fail where the default defence does."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from clients.parties import write_default
from experiments.attacks.evaluation import smallest_group
from experiments.attacks.labels import direction
from experiments.attacks.network import completion, initial, labels
from experiments.attacks.network.features import COLUMNS, reconstruct
from experiments.attacks.network.recording import Batch, Recording
from experiments.attacks.report import play_all
from experiments.attacks.tables import tables
from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from fl.evaluation import Scored
from fl.evaluation.measures import evaluate
from fl.network import BackwardRequest, Embedded, Ended, ForwardRequest, Learned
from server.progress import ignore

CREDIT = Path(__file__).parents[3] / "shared" / "data" / "default_credit"
SHORT = NetworkConfig(batches=20)
NETWORK = [labels.LABELS, COLUMNS]


def write_party(folder: Path, frame: pd.DataFrame) -> None:
    folder.mkdir(parents=True)
    frame.to_csv(folder / "table.csv", index=False)
    write_default(folder, "table")


def attacked(data: Path, rows: int) -> TrainingConfig:
    """A bank and a partner that know the same businesses; a fifth of them default."""
    rng = np.random.default_rng(1)
    ids = [f"B{number:04d}" for number in range(rows)]
    of_bank, of_partner = rng.normal(size=(rows, 4)), rng.normal(size=(rows, 6))
    risk = of_bank[:, 0] + of_partner[:, 0] - of_partner[:, 1] + rng.logistic(size=rows)
    bank = pd.DataFrame(of_bank, columns=[f"b{column}" for column in range(4)])
    bank["default"] = (risk > np.quantile(risk, 0.8)).astype(int)
    partner = pd.DataFrame(of_partner, columns=[f"p{column}" for column in range(6)])
    for name, frame in (("bank", bank), ("partner", partner)):
        write_party(data / name, frame.assign(business_id=ids).sample(frac=1, random_state=2))
    config = TrainingConfig(data=str(data), parties=("bank", "partner"), study="attack")
    return config.with_section(SHORT)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    return attacked(tmp_path_factory.mktemp("attacks"), 4_000)


@pytest.fixture(scope="module")
def recorded(config: TrainingConfig) -> Callable[[str], Recording]:
    networks = {name: replace(SHORT, defence=name) for name in ("none", "gaussian", "max-norm")}
    recordings = {recording.name: recording for recording in Recording.of_runs(config, ignore, networks)}
    return recordings.__getitem__


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def per_batch(recording: Recording) -> list[float]:
    of_rows, batches = recording.joined.labels, recording.gradients("partner")
    return [labels.norm_per_batch(batches, of_rows), labels.direction_per_batch(batches, of_rows)]


def test_undefended_gradients_give_the_labels_away(recorded: Callable[[str], Recording]) -> None:
    assert min(per_batch(recorded("none"))) > 0.9


def test_gaussian_noise_hides_them_within_a_batch(recorded: Callable[[str], Recording]) -> None:
    assert max(per_batch(recorded("gaussian"))) <= 0.55


def test_max_norm_hides_the_norm(recorded: Callable[[str], Recording]) -> None:
    norm, _ = per_batch(recorded("max-norm"))

    assert norm <= 0.55


def test_patience_gains_on_noise_but_not_as_much_as_on_no_defence(
    recorded: Callable[[str], Recording], rng: np.random.Generator
) -> None:
    of_none, of_gaussian = (
        labels.play(recorded(defence), "partner", rng)["received"] for defence in ("none", "gaussian")
    )
    averages = [name for name in of_none.index if name.startswith("average: ")]

    assert of_none[averages].min() > 0.9
    assert (of_gaussian[averages] < of_none[averages] - 0.2).all()


def test_an_attack_on_the_own_columns_needs_no_gradients(
    recorded: Callable[[str], Recording], rng: np.random.Generator
) -> None:
    own = [
        labels.play(recorded(name), "partner", np.random.default_rng(4))["own"]
        for name in ("none", "max-norm")
    ]

    pd.testing.assert_series_equal(*own)


def test_each_gradient_is_recorded_with_the_rows_that_it_is_for(
    recorded: Callable[[str], Recording],
) -> None:
    recording = recorded("none")
    batches = recording.gradients("partner")

    # Without defence the bias of the last layer sees one sign for defaults and the other for the rest.
    assert len(batches) == SHORT.batches - 1
    for batch in batches:
        assert batch.gradient.shape == (len(batch.rows), SHORT.embedding)
        pattern = batch.gradient[recording.joined.labels[batch.rows] == 1].mean(axis=0)
        bad = recording.joined.labels[batch.rows] == 1
        assert (batch.gradient[bad] @ pattern > 0).mean() > 0.9


def test_a_party_receives_what_the_others_wrote_to_it(recorded: Callable[[str], Recording]) -> None:
    recording = recorded("none")
    partner = recording.messages["partner"]

    # Each request stands before its reply.
    assert [type(message) for message in partner] == [ForwardRequest, Embedded] * SHORT.batches
    replies = {Learned: SHORT.batches - 1, Ended: 1, Scored: 1}
    assert {kind: len(recording.received(kind, "bank")) for kind in replies} == replies
    sent = [message.embeddings for message in recording.received(Embedded, "partner")]
    received = [message.embeddings["partner"] for message in recording.received(BackwardRequest, "bank")]
    assert received == sent


def test_embeddings_let_the_bank_reconstruct_columns(
    recorded: Callable[[str], Recording], rng: np.random.Generator
) -> None:
    found = reconstruct(recorded("gaussian"), "partner", rng)

    assert list(found.index) == [f"p{column}" for column in range(6)]
    assert (found["own"] < 0.1).all(), "the columns are independent, so the bank's own tell nothing"
    assert (found["final"] > 0.5).all()
    assert (found["looks"] > found["final"]).all()


def test_initial_weights_let_the_bank_reconstruct_columns_without_a_known_row(
    recorded: Callable[[str], Recording], rng: np.random.Generator
) -> None:
    found = initial.reconstruct(recorded("gaussian"), "partner", rng)

    assert list(found.index) == [f"p{column}" for column in range(6)]
    assert (found["initial"] > found["own"] + 0.5).all()


def test_a_completed_model_tells_labels_by_few_that_are_known(
    recorded: Callable[[str], Recording], rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "DRAWS", 2)

    played = completion.play(recorded("none"), "partner", rng)

    few = played.loc["knows 20 labels"]
    assert few["received"] > few["own"]


def test_an_evaluation_stands_for_groups_only(recorded: Callable[[str], Recording]) -> None:
    recording = recorded("gaussian")

    assert smallest_group(recording.evaluation, int((recording.roles == 2).sum())) >= 10


@pytest.mark.parametrize("rows", [47, 203, 999])
def test_groups_are_ten_at_least_however_few_the_rows(rows: int, rng: np.random.Generator) -> None:
    outcomes = np.arange(rows) % 4 == 0

    assert smallest_group(evaluate(outcomes, rng.random(rows)), rows) >= 10


def test_an_average_weighs_batches_alike_and_counts_every_appearance() -> None:
    batches = [
        Batch(np.array([0, 2]), np.array([[3.0, 0.0], [0.0, 4.0]], np.float32)),
        Batch(np.array([2, 2]), np.array([[30.0, 0.0], [0.0, 40.0]], np.float32)),
    ]

    rows, vectors = labels.averaged(batches)

    np.testing.assert_array_equal(rows, [0, 2])
    np.testing.assert_allclose(vectors, np.array([[3, 0], [3, 8]]) / 2.5)


def test_known_rows_do_not_count_as_success() -> None:
    vectors = np.array([[1.0, 0], [0, 1], [0, 1], [1, 0.5]])
    outcomes = np.array([1, 0, 1, 0], np.int8)

    # The only default besides the known one looks like the other goods.
    success = direction(vectors, outcomes, np.random.default_rng(1), known=1)

    assert success < 0.5


@pytest.mark.slow
def test_all_attacks_stand_side_by_side(tmp_path: Path) -> None:
    config = attacked(tmp_path, 1_000).with_section(replace(SHORT, batches=6))
    attacks = play_all(NETWORK, config, "", ignore)

    assert attacks.party == "partner"
    of_partner = attacks.figures[labels.LABELS]
    assert list(of_partner) == ["own", "none", "max-norm", "gaussian"]
    assert of_partner["none"].between(0, 1).all()
    assert attacks.test_auc.keys() == {"none", "max-norm", "gaussian"}
    assert [table.row_count for table in tables(attacks)] == [len(of_partner) + 1, 7]


def test_an_unknown_party_is_named_with_those_there_are(config: TrainingConfig) -> None:
    with pytest.raises(ConfigError, match="no passive party 'bank'; there are partner"):
        play_all(NETWORK, config, "bank", ignore)


def test_a_recording_leaves_nothing_behind(
    config: TrainingConfig, recorded: Callable[[str], Recording]
) -> None:
    folders: NDArray[np.str_] = np.array(sorted(os.listdir(Path(config.data) / "bank")))

    assert folders.tolist() == ["party.toml", "table.csv"]


@pytest.fixture(scope="module")
def credit(tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    if not CREDIT.is_dir():
        pytest.skip(f"the real data are not there: {CREDIT}")
    data = tmp_path_factory.mktemp("credit")
    for name in ("bank", "partner"):
        write_party(data / name, pd.read_csv(CREDIT / f"{name}.csv"))
    return TrainingConfig(
        data=str(data), parties=("bank", "partner"), study="attack", test_ids=str(CREDIT / "test_ids.csv")
    )


@pytest.mark.external_data
@pytest.mark.slow
def test_on_real_data_the_run_that_scores_well_is_the_run_that_hides_labels(credit: TrainingConfig) -> None:
    default = credit.section(NetworkConfig)
    networks = {"default": default, "undefended": replace(default, defence="none")}

    by_default, without = Recording.of_runs(credit, ignore, networks)

    assert by_default.evaluation.metrics["auc"] >= 0.765
    assert max(per_batch(by_default)) <= 0.55
    assert min(per_batch(without)) > 0.9
