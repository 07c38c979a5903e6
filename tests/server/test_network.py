from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from fl.config.network import NetworkConfig
from server.coordinator import Trained, assign_roles, train, train_reserve
from server.exchange import FederationError
from server.progress import Progress, Report, ignore
from server.training import Training


def train_network(run, report: Report = ignore) -> Trained:
    assigned = assign_roles(run.federation, 1)
    train_reserve(run.federation, assigned, 1, ignore)
    training = Training(
        contender="federated-network", seed=1, assigned=assigned, config=run.config, on_progress=report
    )
    return train(run.federation, training)


@pytest.mark.parametrize("passive", [(), ("tax",), ("customs", "power", "tax")])
def test_a_model_takes_the_round_trips_that_the_protocol_states(
    make_tables: Callable[..., Path], federate: Callable, passive: tuple[str, ...]
) -> None:
    run = federate(make_tables(passive), {"batches": 5})
    trained = train_network(run)

    assert trained.costs.round_trips == (4 + 2 * 5 if passive else 3 + 5)


def test_stopping_early_takes_fewer(tables: Path, federate: Callable) -> None:
    network = {"batches": 50, "patience": 1, "learning_rate": 0.5, "defence": "none"}
    run = federate(tables, network)
    events: list[Progress] = []

    trained = train_network(run, events.append)

    last = max(event.step for event in events)
    assert last < 50
    assert trained.costs.round_trips == 4 + 2 * last


def test_every_batch_is_reported_by_those_at_work(tables: Path, federate: Callable) -> None:
    run = federate(tables, {"batches": 5, "evaluate_every": 2})
    events: list[Progress] = []

    train_network(run, events.append)

    assert [(event.step, event.party) for event in events] == [
        (step, party) for step in range(1, 6) for party in ("supply, tax", "bank")
    ]
    assert {event.steps for event in events} == {5}
    looks = [event.step for event in events if "valid.auc" in event.metrics]
    assert looks == [2, 4, 5]
    losses = [event.step for event in events if "train.loss" in event.metrics]
    assert losses == [1, 2, 3, 4], "nothing is learned from the batch at which training ends"


def test_the_default_stays_within_three_hundred_round_trips() -> None:
    assert 4 + 2 * NetworkConfig().batches <= 300


def test_a_party_whose_columns_tell_nothing_is_named(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    data = make_tables(("tax",))
    table = data / "tax" / "table.csv"
    frame = pd.read_csv(table).assign(a=1.0, b=2.0, c=3.0, kind=None)
    frame.loc[frame.index[-1], "kind"] = "coal"
    frame.loc[frame.index[-1], "business_id"] = "nobody"
    frame.to_csv(table, index=False)
    run = federate(data)

    with pytest.raises(FederationError, match=r"Party tax refused .*none of its columns tells"):
        train_network(run)
