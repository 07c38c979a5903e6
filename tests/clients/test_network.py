"""What parties do in the training of a split network; that the result is right, the pooled twin shows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from clients.aligned import read_applications, read_table
from clients.evaluation import SCORES
from clients.store import Store
from fl.network.preprocessing import Encoder
from fl.splits import TRAIN, VALIDATION, Roles
from server.coordinator import assign_roles, train
from server.progress import Progress
from server.training import Training

QUIET = {"defence": "none", "party_dropout": 0.0}


def trained(run) -> tuple[Roles, list[Progress]]:
    """Train under seed 1: the roles, and the events that had metrics of the validation rows."""
    events: list[Progress] = []
    roles = assign_roles(run.federation, 1)
    train(run.federation, Training("federated-network", 1, roles, run.config, events.append))
    return roles, [event for event in events if "valid.auc" in event.metrics]


def model(run, party: str) -> Store:
    return Store(Path(run.config.state, party, "s", "federated-network", "1"))


def scores(run) -> np.ndarray:
    return model(run, "bank").read(SCORES)["pd"]


def test_every_party_fits_its_inputs_on_its_own_training_rows(tables: Path, federate: Callable) -> None:
    run = federate(tables, {"batches": 1})
    roles, _ = trained(run)
    for party in run.config.party_names:
        table = read_table(Store(Path(run.config.state, party, "s")))
        expected = Encoder.fit(table, np.flatnonzero(roles == TRAIN), run.config.network.bins)
        kept = model(run, party).read("encoder")
        for name, array in expected.to_arrays().items():
            np.testing.assert_array_equal(kept[name], array)


def test_the_final_model_is_the_one_with_the_best_validation_auc(tables: Path, federate: Callable) -> None:
    # At this rate the network learns for a while and then overfits.
    wild = QUIET | {"batches": 40, "learning_rate": 0.3, "patience": 40}
    run = federate(tables, wild, alignment="inner")

    roles, looks = trained(run)

    aucs = [event.metrics["valid.auc"] for event in looks]
    assert max(aucs) > aucs[-1]
    labels = read_applications(Store(Path(run.config.state, "bank", "s"))).labels
    validation = roles == VALIDATION
    assert roc_auc_score(labels[validation], scores(run)[validation]) == pytest.approx(max(aucs))


def test_training_stops_when_patience_ends(tables: Path, federate: Callable) -> None:
    run = federate(tables, QUIET | {"batches": 60, "learning_rate": 0.5, "patience": 3})

    _, looks = trained(run)

    aucs = [event.metrics["valid.auc"] for event in looks]
    best = int(np.argmax(aucs))
    assert len(aucs) == best + 1 + 3 < 30


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


def test_when_training_ends_no_step_state_is_left(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    trained(run)
    for party in run.config.party_names:
        assert dict(model(run, party).last().state) == {}
        assert set(model(run, party).read("model")) == ({"bottom", "top"} if party == "bank" else {"bottom"})
