"""The federated network against its pooled twin, which shares only architecture, batches and first weights with it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clients.data.declaration import read_declaration, write_declaration
from experiments.baselines import network
from experiments.baselines.training import Baselines
from experiments.joined import read_joined, read_scores
from fl.config.network import NetworkConfig
from fl.splits import Split
from server.coordinator import assign_roles, train, train_reserve
from server.progress import Progress, ignore
from server.training import Training

EXACT = {"defence": "none", "party_dropout": 0.0}


def assert_equal_twins(run) -> None:
    events: list[Progress] = []
    assigned = assign_roles(run.federation, 1)
    train_reserve(run.federation, assigned, 1, ignore)
    training = Training(
        contender="federated-network", seed=1, assigned=assigned, config=run.config, on_progress=events.append
    )
    train(run.federation, training)
    federated = read_scores(run.config, "bank", "federated-network", 1).pd

    joined = read_joined(run.config, "bank")
    pooled = Baselines(joined, assigned.split.read(Split).roles, 1, run.config).train("pooled-network")

    np.testing.assert_allclose(federated, pooled.pd, rtol=1e-3, atol=1e-5)
    steps = [event for event in events if event.metrics]
    assert len(steps) == len(pooled.curve)
    for event, metrics in zip(steps, pooled.curve, strict=True):
        assert dict(event.metrics) == pytest.approx(metrics, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("mode", ["left", "inner"])
@pytest.mark.parametrize("passive", [("tax",), ("tax", "supply"), ("customs", "power", "tax")])
def test_the_federated_network_equals_its_pooled_twin(
    make_tables: Callable[..., Path], federate: Callable, passive: tuple[str, ...], mode: str
) -> None:
    # A third of the businesses known to a party, values missing, and strangers in every table.
    assert_equal_twins(federate(make_tables(passive), EXACT | {"batches": 20}, alignment=mode))


def test_twins_stop_at_the_same_batch_and_return_to_the_same_weights(
    tables: Path, federate: Callable
) -> None:
    network = EXACT | {"batches": 60, "learning_rate": 0.2, "patience": 4}
    assert_equal_twins(federate(tables, network))


def test_a_batch_of_which_a_party_knows_nothing_counts_as_one(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    # Of 64 rows, the party often knows none of its six: its momentum and decay go on all the same.
    data = make_tables(("tax",))
    bank, tax = (pd.read_csv(data / party / "table.csv") for party in ("bank", "tax"))
    common = tax["business_id"].isin(bank["business_id"])
    few = pd.concat([tax[common].head(6), tax[~common]])
    few.to_csv(data / "tax" / "table.csv", index=False)
    write_declaration(data / "tax", read_declaration(data / "tax"))
    network = EXACT | {"batches": 30, "batch_size": 64, "weight_decay": 0.5}
    assert_equal_twins(federate(data, network))


def test_a_bank_alone_equals_the_bank_only_network(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    assert_equal_twins(federate(make_tables(()), EXACT))


def test_parties_may_name_themselves(make_tables: Callable[..., Path], federate: Callable) -> None:
    data = make_tables()
    write_declaration(data / "tax", replace(read_declaration(data / "tax"), name="国家税务总局"))
    write_declaration(data / "bank", replace(read_declaration(data / "bank"), name="A bank"))
    run = federate(data, EXACT)

    assert_equal_twins(run)
    assert list(read_joined(run.config, "bank").tables) == ["A bank", "supply", "国家税务总局"]


def test_what_the_bank_does_alone_does_not_depend_on_the_others(tables: Path, federate: Callable) -> None:
    run = federate(tables, EXACT)
    roles = assign_roles(run.federation, 1).split.read(Split).roles
    joined, config = read_joined(run.config, "bank"), run.config.section(NetworkConfig)
    alone = network.train(joined.of_bank(), roles, 1, config).log_odds

    for table in list(joined.tables.values())[1:]:
        table.numeric[:] = 0
    again = network.train(joined.of_bank(), roles, 1, config).log_odds

    np.testing.assert_array_equal(alone, again)
