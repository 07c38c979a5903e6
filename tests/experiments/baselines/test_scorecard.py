"""The federated scorecard against its pooled twin, whose sums come from the joined rows themselves."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clients.data.declaration import read_declaration, write_declaration
from clients.scorecard.model import BankModel, PassiveModel, ScoredRows
from clients.store import Store
from experiments.baselines.scorecard import Scorecard, fit_scorecard
from experiments.joined import read_joined, read_scores
from fl.config.scorecard import ScorecardConfig
from fl.splits import Roles, Split
from server.coordinator import Trained, assign_roles, train
from server.progress import Progress, ignore
from server.training import Training

MODEL = "federated-scorecard/1"


def train_federated(run, report: Callable[[Progress], None] = ignore) -> tuple[Trained, Roles]:
    """Train under seed 1: what came of it, and the roles."""
    assigned = assign_roles(run.federation, 1)
    training = Training(
        contender="federated-scorecard", seed=1, assigned=assigned, config=run.config, on_progress=report
    )
    return train(run.federation, training), assigned.split.read(Split).roles


def assert_equal_twins(run) -> Scorecard:
    """Federated equals pooled bit for bit: weights, points, scores, PDs, the card, and the metrics on the way."""
    events: list[Progress] = []
    config = run.config.section(ScorecardConfig)
    trained, roles = train_federated(run, events.append)

    card = fit_scorecard(read_joined(run.config, "bank"), roles, config)

    def model(party: str) -> Store:
        return Store(Path(run.config.state, party, "s", MODEL))

    for party, weights in card.weights.items():
        if party == "bank":
            np.testing.assert_array_equal(model(party).read(BankModel).weights.joint, weights)
        else:
            kept = model(party).read(PassiveModel)
            np.testing.assert_array_equal(kept.weights, weights)
            for name, array in vars(card.tables[party]).items():
                np.testing.assert_array_equal(getattr(kept.table, name), array)
    np.testing.assert_array_equal(model("bank").read(ScoredRows).scores, card.scores)
    np.testing.assert_array_equal(
        read_scores(run.config, "bank", "federated-scorecard", 1).log_odds, card.log_odds
    )
    for name in ("scorecard", "groups", "reasons", "scale"):
        for column, values in card.card[name].items():
            np.testing.assert_array_equal(trained.evaluation.tables[name][column], values)
    told = [dict(event.metrics) for event in events if event.metrics]
    assert told == [progress.metrics for progress in card.progress]
    assert trained.costs.round_trips <= 7 + 4 * config.exchanges
    return card


@pytest.mark.parametrize("mode", ["left", "inner"])
@pytest.mark.parametrize("passive", [("tax",), ("tax", "supply"), ("customs", "power", "tax")])
def test_the_federated_scorecard_equals_its_pooled_twin(
    make_tables: Callable[..., Path], federate: Callable, passive: tuple[str, ...], mode: str
) -> None:
    # A third of the businesses known to a party, values missing, and strangers in every table.
    card = assert_equal_twins(federate(make_tables(passive), alignment=mode))
    assert set(card.weights) == {"bank", *passive}


OPTIONS = {
    "one exchange": {"exchanges": 1},
    "to the end": {"exchanges": 30},
    "no mixing": {"depth": 1},
    "many bins": {"bins": 20, "min_group": 2},
    "weak columns dropped": {"min_iv": 0.1},
    "columns dropped that may be chance": {"max_p": 0.05},
    "no calibration": {"calibrate": False},
    "coarse residuals": {"precision": 8},
    "another scale": {"pdo": 40.0, "base_score": 1000.0, "base_odds": 1.0},
    "strong penalty": {"c": 0.001},
    "L1": {"l1_ratio": 0.5, "c": 0.02},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_twins_are_equal_under_every_option(tables: Path, federate: Callable, options: dict) -> None:
    assert_equal_twins(federate(tables, scorecard=options))


def test_twins_are_equal_on_a_lattice_and_have_the_points_of_no_encryption(
    tables: Path, federate: Callable
) -> None:
    pytest.importorskip("tenseal")
    cards = [assert_equal_twins(federate(tables, scorecard={"encryption": e})) for e in ("lattice", "plain")]
    for party, table in cards[0].tables.items():
        np.testing.assert_array_equal(table.points, cards[1].tables[party].points)


@pytest.mark.slow
def test_twins_are_equal_under_paillier(make_tables: Callable[..., Path], federate: Callable) -> None:
    pytest.importorskip("gmpy2")
    options = {"encryption": "paillier", "exchanges": 2}
    assert_equal_twins(federate(make_tables(("tax",)), scorecard=options))


def test_twins_keep_to_declared_signs(make_tables: Callable[..., Path], federate: Callable) -> None:
    data = make_tables()
    for party in ("bank", "tax", "supply"):
        declared = read_declaration(data / party)
        signed = [
            replace(c, sign=-1 if c.name == "a" else 1 if c.name == "b" else 0) for c in declared.columns
        ]
        write_declaration(data / party, replace(declared, columns=tuple(signed)))
    signed_card = assert_equal_twins(federate(data))
    free_card = assert_equal_twins(federate(data, scorecard={"monotone": False}))
    # Column a raises the risk, so that its sign leaves one group of its values, beside that of missing ones.
    assert signed_card.tables["tax"].counts[0] == 2 < free_card.tables["tax"].counts[0]


def test_parties_without_a_column_worth_its_place_are_left_out(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    card = assert_equal_twins(federate(make_tables(("tax",)), scorecard={"min_iv": 9.0}))
    assert list(card.weights) == ["bank"]
    assert card.progress == []


def test_a_bank_alone_equals_the_bank_only_scorecard(
    make_tables: Callable[..., Path], federate: Callable
) -> None:
    card = assert_equal_twins(federate(make_tables(())))
    assert list(card.tables) == ["bank"]


def test_parties_may_name_themselves(make_tables: Callable[..., Path], federate: Callable) -> None:
    data = make_tables()
    write_declaration(data / "tax", replace(read_declaration(data / "tax"), name="国家税务总局"))
    run = federate(data)
    _, roles = train_federated(run)
    card = fit_scorecard(read_joined(run.config, "bank"), roles, run.config.section(ScorecardConfig))
    np.testing.assert_array_equal(
        read_scores(run.config, "bank", "federated-scorecard", 1).log_odds, card.log_odds
    )
