"""The order of the conversation of boosting, and what the coordinator has to remember of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from experiments.joined import read_scores
from fl.boosting import Demanded, Gradients, GrowRequest, SidesRequest
from fl.evaluation import Evaluation
from fl.records import Array
from server import boosting
from server.coordinator import assign_roles, train_reserve
from server.exchange import Exchange
from server.progress import ignore
from server.training import Training

TREES, DEPTH = 2, 3


def training_of(run) -> Training:
    assigned = assign_roles(run.federation, 1)
    if run.federation.exchange.roster.passive:
        train_reserve(run.federation, assigned, 1, ignore)
    return Training(
        contender="federated-boosting", seed=1, assigned=assigned, config=run.config, on_progress=ignore
    )


@pytest.mark.parametrize(
    ("passive", "ahead", "sealed", "fixed", "per_tree"),
    [
        ((), "tree", True, 3, 1),
        (("tax",), "tree", False, 7, 2 * DEPTH),
        (("tax",), "level", False, 7, 2 * DEPTH + 2),
        (("tax",), "none", False, 7, 4 * DEPTH),
        (("customs", "power", "tax"), "tree", True, 7, 2 * DEPTH),
        (("customs", "power", "tax"), "tree", False, 7, 3 * DEPTH),
        (("customs", "power", "tax"), "level", False, 7, 3 * DEPTH + 1),
        (("customs", "power", "tax"), "none", True, 7, 4 * DEPTH),
    ],
)
def test_round_trips_by_what_is_sent_ahead(
    make_tables: Callable[..., Path],
    federate: Callable,
    passive: tuple[str, ...],
    ahead: str,
    sealed: bool,
    fixed: int,
    per_tree: int,
) -> None:
    options = {"trees": TREES, "depth": DEPTH, "patience": 0, "ahead": ahead, "sealed_sides": sealed}
    run = federate(make_tables(passive), boosting=options)
    training, exchange = training_of(run), run.federation.exchange
    before = exchange.costs
    boosting.train(exchange, training)
    assert exchange.costs.since(before).round_trips <= fixed + TREES * per_tree


def test_parallel_trees_take_the_round_trips_and_the_encryption_of_one(
    tables: Path, federate: Callable
) -> None:
    options = {"trees": 4, "parallel": 2, "depth": DEPTH, "patience": 0, "row_share": 0.6}
    run = federate(tables, boosting=options)
    training, exchange, encrypted = training_of(run), run.federation.exchange, []
    before, ask = exchange.costs, exchange.ask

    def watch(requests: dict, *rest: object) -> dict:
        asked = next(iter(requests.values()), None)
        if isinstance(asked, GrowRequest) and asked.gradients is not None:
            encrypted.extend(rows for rows in asked.gradients.read(Gradients).encrypted.values())
        return ask(requests, *rest)

    exchange.ask = watch
    boosting.train(exchange, training)
    assert exchange.costs.since(before).round_trips <= 7 + 2 * (2 * DEPTH + 2)
    rows = [len(array) for array in encrypted if array.ndim == 2]
    assert len(rows) == 2
    assert max(rows) <= training.assigned.training


def train_forgetfully(exchange: Exchange, training: Training) -> Evaluation:
    """Train by a coordinator that keeps nothing but the parties' last replies from one step to the next."""
    reply = boosting.begin(exchange, training)
    while isinstance(reply, Demanded):
        nothing: dict[str, Array] = {}
        reply = boosting.advance(exchange, training, reply, nothing)
    return boosting.finish(exchange, training, reply)


@pytest.mark.parametrize("sealed", [True, False])
def test_a_coordinator_that_forgets_all_but_the_last_replies_ends_with_the_same_model(
    tables: Path, federate: Callable, sealed: bool
) -> None:
    log_odds, asked_again = [], []
    for train in (boosting.train, train_forgetfully):
        run = federate(tables, boosting={"trees": 3, "sealed_sides": sealed})
        training, exchange = training_of(run), run.federation.exchange
        ask = exchange.ask

        def watch(requests: dict, *rest: object, ask: Callable = ask) -> dict:
            asked_again.extend(request for request in requests.values() if isinstance(request, SidesRequest))
            return ask(requests, *rest)

        exchange.ask = watch
        train(exchange, training)
        log_odds.append(read_scores(run.config, "bank", "federated-boosting", 1).log_odds)
        if train is boosting.train:
            assert not asked_again
    np.testing.assert_array_equal(*log_odds)
    assert bool(asked_again) == sealed
