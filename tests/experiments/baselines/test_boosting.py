"""The federated forest against its pooled twin, which grows each node from the joined rows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clients.data.declaration import read_declaration, write_declaration
from experiments.baselines import boosting
from experiments.joined import read_joined, read_roles, read_scores
from fl.config.boosting import BoostingConfig
from fl.messages import DIGITS
from server.coordinator import assign_roles, train, train_reserve
from server.progress import Progress, ignore
from server.training import Training


def assert_equal_twins(run) -> list[dict]:
    """Federated equals pooled bit for bit: every score, and every metric on the way. Returns the twin's curve."""
    events: list[Progress] = []
    federation, assigned = run.federation, assign_roles(run.federation, 1)
    if federation.exchange.roster.passive:
        train_reserve(federation, assigned, 1, ignore)
    training = Training(
        contender="federated-boosting",
        seed=1,
        assigned=assigned,
        config=run.config,
        on_progress=events.append,
    )
    trained = train(federation, training)
    federated = read_scores(run.config, "bank", "federated-boosting", 1)

    joined, roles = read_joined(run.config, "bank"), read_roles(run.config, "bank", 1)
    config = run.config.section(BoostingConfig)
    pooled = boosting.train(joined, roles, 1, config)
    alone = boosting.train(joined.of_bank(), roles, 1, config)

    # The reserve model has as much of a say on businesses that no passive party knows.
    expected = np.where(joined.unknown, (pooled.log_odds + alone.log_odds) / 2, pooled.log_odds)
    np.testing.assert_array_equal(federated.log_odds, expected)
    told = [{name: round(figure, DIGITS) for name, figure in look.items()} for look in pooled.curve]
    assert [dict(event.metrics) for event in events if event.metrics] == told
    assert trained.costs.round_trips <= 7 + 4 * config.depth * config.rounds
    return pooled.curve


@pytest.mark.parametrize("mode", ["left", "inner"])
@pytest.mark.parametrize("passive", [("tax",), ("tax", "supply"), ("customs", "power", "tax")])
def test_the_federated_forest_equals_its_pooled_twin(
    make_tables: Callable[..., Path], federate: Callable, passive: tuple[str, ...], mode: str
) -> None:
    # A third of the businesses known to a party, values missing, and strangers in every table.
    assert_equal_twins(federate(make_tables(passive), alignment=mode))


OPTIONS = {
    "one level": {"depth": 1},
    "deep and fine": {
        "trees": 2,
        "depth": 6,
        "bins": 255,
        "min_bin_count": 1,
        "min_leaf_count": 1,
        "min_leaf_weight": 0.0,
    },
    "few bins, fine gradients": {"bins": 2, "precision": 20},
    "gradients of a few units": {"precision": 4},
    "gradients of a few units, samples": {"precision": 4, "parallel": 2, "row_share": 0.7, "goss_top": 0.2},
    "no split gains": {"min_gain": 1e6},
    "most splits do not gain": {"min_gain": 3.0},
    "row sampling, sides not handed over": {"row_share": 0.5, "sealed_sides": False},
    "column sampling, not ahead": {"column_share": 0.4, "ahead": "none"},
    "goss and reweighing": {"goss_top": 0.2, "goss_other": 0.1, "reweigh": "kind", "precision": 20},
    "all samples": {"goss_top": 0.2, "goss_other": 0.1, "row_share": 0.7, "column_share": 0.6},
    "first tree of the bank, no calibration": {"first_tree_bank_only": True, "calibrate": False},
    "a level ahead": {"ahead": "level"},
    "a level ahead of sides": {"ahead": "level", "sealed_sides": False},
    "a level ahead of samples": {
        "ahead": "level",
        "goss_top": 0.2,
        "row_share": 0.7,
        "first_tree_bank_only": True,
    },
    "parallel trees of one round": {"parallel": 4, "depth": 4},
    "fewer trees in the last round": {"parallel": 3},
    "parallel trees and all samples": {
        "parallel": 2,
        "goss_top": 0.2,
        "row_share": 0.7,
        "column_share": 0.6,
        "first_tree_bank_only": True,
    },
    "parallel trees, sides not handed over": {"parallel": 2, "row_share": 0.7, "sealed_sides": False},
    "parallel trees, not ahead": {"parallel": 2, "row_share": 0.7, "ahead": "none"},
    "parallel trees, early stop": {"trees": 30, "parallel": 2, "patience": 2, "learning_rate": 1.0},
    "to the end": {"patience": 0},
    "early stop": {"trees": 30, "patience": 3, "learning_rate": 1.0},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_twins_are_equal_under_every_option(tables: Path, federate: Callable, options: dict) -> None:
    run = federate(tables, boosting=options)
    rounds = run.config.section(BoostingConfig).rounds
    assert (len(assert_equal_twins(run)) < rounds) == (options.get("patience", 0) > 0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ahead": "level"},
        {"ahead": "none"},
        {"goss_top": 0.2, "first_tree_bank_only": True},
        {"parallel": 2, "row_share": 0.6, "column_share": 0.4},
    ],
)
def test_twins_are_equal_where_rows_are_encrypted_in_blocks(
    tables: Path, federate: Callable, monkeypatch: pytest.MonkeyPatch, options: dict
) -> None:
    from fl.encrypted_sums import plain

    for half in (plain.PlainOwner, plain.PlainResponder):
        monkeypatch.setattr(half, "row_wise", False)
    assert_equal_twins(federate(tables, boosting=options))


@pytest.mark.parametrize("passive", [("tax",), ("tax", "supply")])
@pytest.mark.parametrize("engine", ["lattice", pytest.param("paillier", marks=pytest.mark.slow)])
def test_twins_are_equal_under_encryption(
    make_tables: Callable[..., Path], federate: Callable, engine: str, passive: tuple[str, ...]
) -> None:
    assert_equal_twins(federate(make_tables(passive), boosting={"encryption": engine, "trees": 2}))
    parallel = {"trees": 3, "parallel": 2, "row_share": 0.6, "column_share": 0.4}
    assert_equal_twins(federate(make_tables(passive), boosting={"encryption": engine, **parallel}))
    reweighed = {"trees": 1, "reweigh": "kind"}
    assert_equal_twins(federate(make_tables(passive), boosting={"encryption": engine, **reweighed}))


def test_twins_keep_to_declared_signs(make_tables: Callable[..., Path], federate: Callable) -> None:
    data = make_tables()
    for party in ("bank", "tax", "supply"):
        declared = read_declaration(data / party)
        signed = [
            replace(c, sign=-1 if c.name == "a" else 1 if c.name == "b" else 0) for c in declared.columns
        ]
        write_declaration(data / party, replace(declared, columns=tuple(signed)))
    assert_equal_twins(federate(data))
    assert_equal_twins(federate(data, boosting={"monotone": False}))


def test_a_bank_alone_equals_bank_only_boosting(make_tables: Callable[..., Path], federate: Callable) -> None:
    assert_equal_twins(federate(make_tables(())))


def test_parties_may_name_themselves(make_tables: Callable[..., Path], federate: Callable) -> None:
    data = make_tables()
    write_declaration(data / "tax", replace(read_declaration(data / "tax"), name="国家税务总局"))
    write_declaration(data / "bank", replace(read_declaration(data / "bank"), name="A bank"))
    assert_equal_twins(federate(data))
