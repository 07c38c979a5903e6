"""The order of the scorecard's conversation."""

from collections.abc import Callable
from pathlib import Path

import pytest

from server.coordinator import Trained, assign_roles, train
from server.exchange import FederationError
from server.progress import Progress, ignore
from server.training import Training


def trained(run, report: Callable[[Progress], None] = ignore) -> Trained:
    """Train under seed 1."""
    assigned = assign_roles(run.federation, 1)
    training = Training(
        contender="federated-scorecard", seed=1, assigned=assigned, config=run.config, on_progress=report
    )
    return train(run.federation, training)


@pytest.mark.parametrize(
    ("passive", "exchanges", "trips"),
    [((), 2, 3), (("tax",), 2, 15), (("tax", "supply"), 1, 11), (("tax", "supply"), 3, 19)],
)
def test_round_trips_are_seven_and_four_for_each_exchange(
    make_tables: Callable[..., Path], federate: Callable, passive: tuple[str, ...], exchanges: int, trips: int
) -> None:
    run = federate(make_tables(passive), scorecard={"exchanges": exchanges, "tolerance": 1e-9})
    assert trained(run).costs.round_trips == trips


def test_columns_have_the_names_of_the_handshake(tables: Path, federate: Callable) -> None:
    table = trained(federate(tables)).evaluation.tables["scorecard"]
    names = dict(zip(table["code"], table["name"], strict=True))
    assert names["TAX01"] == "a"
    assert names["SUP04"] == "kind"
    assert names["BAN05"] == "known to supply"


def test_progress_is_told_twice_in_an_exchange(tables: Path, federate: Callable) -> None:
    events: list[Progress] = []
    trained(federate(tables, scorecard={"exchanges": 2, "tolerance": 1e-9}), events.append)
    told = [(event.step, event.steps, event.party) for event in events]
    assert told == [(1, 2, "supply, tax"), (1, 2, "bank"), (2, 2, "supply, tax"), (2, 2, "bank")]
    assert [sorted(event.metrics) for event in events[1::2]] == [
        ["train.loss", "valid.auc", "valid.loss"]
    ] * 2
    assert events[3].metrics["train.loss"] < events[1].metrics["train.loss"]


def test_who_has_no_column_worth_its_place_is_asked_no_more(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    run = federate(make_tables(("tax",)), scorecard={"min_group": 90})
    # Bins, labels, counts, groups and the score.
    assert trained(run).costs.round_trips == 5


def test_a_scorecard_without_a_column_says_which_setting_to_change(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    run = federate(make_tables(("tax",)), scorecard={"min_iv": 9.0})
    with pytest.raises(
        FederationError,
        match=r"Party bank refused .*: No column reaches the information value 9 .*; lower scorecard.min-iv",
    ):
        trained(run)
