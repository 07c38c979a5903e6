"""The order of the scorecard's conversation."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fl.config.scorecard import ScorecardConfig
from server.coordinator import assign_roles, train
from server.scorecard import round_trips
from server.training import Training


@pytest.mark.parametrize(("passive", "trips"), [((), 3), (("tax",), 15), (("tax", "supply"), 15)])
def test_round_trips_are_as_the_formula_says(
    make_tables: Callable[..., Path], federate: Callable, passive: tuple[str, ...], trips: int
) -> None:
    run = federate(make_tables(passive), scorecard={"exchanges": 2, "tolerance": 1e-9})
    roles = assign_roles(run.federation, 1)
    found = train(run.federation, Training("federated-scorecard", 1, roles, run.config, lambda event: None))
    assert found.costs.round_trips == trips == round_trips(run.config.scorecard, len(passive))


def test_more_exchanges_cost_four_round_trips_each() -> None:
    costs = [round_trips(ScorecardConfig(exchanges=count), 2) for count in (1, 2, 3)]
    assert costs == [11, 15, 19]


def test_columns_have_the_names_of_the_handshake(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    roles = assign_roles(run.federation, 1)
    found = train(run.federation, Training("federated-scorecard", 1, roles, run.config, lambda event: None))
    table = found.evaluation.tables["scorecard"]
    names = dict(zip(table["code"], table["name"], strict=True))
    assert names["TAX01"] == "a"
    assert names["SUP04"] == "kind"
    assert names["BAN05"] == "known to supply"
