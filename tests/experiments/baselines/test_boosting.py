"""The federated forest against its pooled twin, which grows each node from the joined rows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clients.declaration import read_declaration, write_declaration
from experiments.baselines.boosting import train_boosting
from experiments.joined import read_joined, read_scores
from server.boosting import round_trips
from server.coordinator import assign_roles, train
from server.progress import Progress
from server.training import Training


def assert_equal_twins(run) -> list[dict]:
    """Federated equals pooled bit for bit: every score, and every metric on the way. Returns the twin's curve."""
    events: list[Progress] = []
    config = run.config.boosting
    roles = assign_roles(run.federation, 1)
    trained = train(run.federation, Training("federated-boosting", 1, roles, run.config, events.append))
    federated = read_scores(run.config, "bank", "federated-boosting", 1)

    pooled, curve = train_boosting(read_joined(run.config, "bank"), roles, 1, config)

    np.testing.assert_array_equal(federated, pooled)
    assert [dict(event.metrics) for event in events if event.metrics] == curve
    assert trained.costs.round_trips <= round_trips(config, len(run.federation.roster.passive))
    return curve


@pytest.mark.parametrize("mode", ["left", "inner"])
@pytest.mark.parametrize("passive", [("tax",), ("tax", "supply"), ("customs", "power", "tax")])
def test_the_federated_forest_equals_its_pooled_twin(
    make_tables: Callable[..., Path], federate: Callable, passive: tuple[str, ...], mode: str
) -> None:
    # A third of the businesses known to a party, values missing, and strangers in every table.
    assert_equal_twins(federate(make_tables(passive), alignment=mode))
