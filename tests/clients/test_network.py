"""What parties do in the training of a split network; that the result is right, the pooled twin shows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from clients import network
from clients.aligned import read_applications, read_table
from clients.scores import Scores
from clients.store import Store
from fl.config.network import NetworkConfig
from fl.network.preprocessing import Encoder
from fl.records import encode
from fl.splits import TRAIN, VALIDATION, Roles, Split
from server.coordinator import assign_roles, train, train_reserve
from server.progress import Progress, ignore
from server.training import Training

QUIET = {"defence": "none", "party_dropout": 0.0}


def trained(run) -> tuple[Roles, list[Progress]]:
    """Train under seed 1: the roles, and the events that had metrics of the validation rows."""
    events: list[Progress] = []
    assigned = assign_roles(run.federation, 1)
    train_reserve(run.federation, assigned, 1, ignore)
    training = Training(
        contender="federated-network", seed=1, assigned=assigned, config=run.config, on_progress=events.append
    )
    train(run.federation, training)
    return assigned.split.read(Split).roles, [event for event in events if "valid.auc" in event.metrics]


def study(run, party: str) -> Store:
    return Store(Path(run.config.state, party, "s"))


def model(run, party: str) -> Store:
    return Store(study(run, party).folder / "federated-network" / "1")


def scores(run) -> np.ndarray:
    return model(run, "bank").read(Scores).pd


def test_every_party_fits_its_inputs_on_its_own_training_rows(tables: Path, federate: Callable) -> None:
    run = federate(tables, {"batches": 1})
    roles, _ = trained(run)
    bins = run.config.section(NetworkConfig).bins
    for party in run.config.parties:
        expected = Encoder.fit(read_table(study(run, party)), np.flatnonzero(roles == TRAIN), bins)
        assert encode(model(run, party).read(Encoder)) == encode(expected)


def test_the_final_model_is_the_one_with_the_best_validation_auc(tables: Path, federate: Callable) -> None:
    # At this rate the network learns for a while and then overfits.
    wild = QUIET | {"batches": 40, "learning_rate": 0.3, "patience": 40}
    run = federate(tables, wild, alignment="inner")

    roles, looks = trained(run)

    aucs = [event.metrics["valid.auc"] for event in looks]
    assert max(aucs) > aucs[-1]
    labels = read_applications(study(run, "bank")).labels
    validation = roles == VALIDATION
    assert roc_auc_score(labels[validation], scores(run)[validation]) == pytest.approx(max(aucs), abs=5e-5)


def test_training_stops_when_patience_ends(tables: Path, federate: Callable) -> None:
    run = federate(tables, QUIET | {"batches": 60, "learning_rate": 0.5, "patience": 3})

    _, looks = trained(run)

    aucs = [event.metrics["valid.auc"] for event in looks]
    best = int(np.argmax(aucs))
    assert len(aucs) == best + 1 + 3 < 30


def test_nothing_is_learned_from_the_batch_at_which_training_ends(tables: Path, federate: Callable) -> None:
    run = federate(tables, {"batches": 4, "evaluate_every": 1})
    _, looks = trained(run)
    assert ["train.loss" in event.metrics for event in looks] == [True, True, True, False]


def test_a_single_batch_leaves_the_first_weights(tables: Path, federate: Callable) -> None:
    # The weights are judged before they learn from a batch, so another learning rate changes nothing.
    first, again = (federate(tables, {"batches": 1, "learning_rate": rate}) for rate in (0.01, 0.5))
    for run in (first, again):
        trained(run)
    np.testing.assert_array_equal(scores(first), scores(again))


@pytest.mark.parametrize("network", [QUIET, {"defence": "none", "party_dropout": 0.4}])
def test_a_study_without_noise_repeats_to_the_bit(tables: Path, federate: Callable, network: dict) -> None:
    first, again = federate(tables, network), federate(tables, network)
    for run in (first, again):
        trained(run)
    np.testing.assert_array_equal(scores(first), scores(again))


def test_noise_is_never_the_same(tables: Path, federate: Callable) -> None:
    first, again = federate(tables, {"defence": "gaussian"}), federate(tables, {"defence": "gaussian"})
    for run in (first, again):
        trained(run)
    assert (scores(first) != scores(again)).any()


@pytest.mark.parametrize(
    "network", [{"defence": "max-norm"}, {"defence": "gaussian"}, {"party_dropout": 0.5}]
)
def test_every_defence_trains_to_finite_scores(tables: Path, federate: Callable, network: dict) -> None:
    run = federate(tables, network)
    trained(run)
    assert np.isfinite(scores(run)).all()


def test_when_training_ends_the_model_is_left_and_no_state_between_steps(
    tables: Path, federate: Callable
) -> None:
    run = federate(tables)
    assert not network.is_trained(model(run, "bank"))
    trained(run)
    for party in run.config.parties:
        assert model(run, party).last().state == b""
        assert network.is_trained(model(run, party))


def test_a_party_tells_embeddings_of_those_rows_only_that_it_knows(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    trained(run)
    table = read_table(study(run, "tax"))

    told = network.contribution(model(run, "tax"), table, run.config)

    width = run.config.section(NetworkConfig).embedding
    assert told.embeddings.shape == (table.known.sum(), width)
    assert 0 < table.known.sum() < len(table)
