import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from clients.aligned import known_to_none, read_applications, read_coverage, read_table
from clients.boosting import log_odds
from clients.evaluation import SCORES
from clients.reserve import FALLBACK, fallback_log_odds, fallback_model
from clients.store import Store
from experiments.baselines.boosting import train_boosting
from experiments.joined import read_joined
from fl.splits import TEST
from server.coordinator import assign_roles, train
from server.progress import ignore
from server.training import Training


@pytest.mark.parametrize("contender", ["federated-boosting", "federated-network"])
@pytest.mark.parametrize("boosting", [{}, {"trees": 9, "patience": 2, "goss_top": 0.3}, {"calibrate": False}])
def test_it_is_the_boosting_of_the_bank_alone(
    tables: Path, federate: Callable, contender: str, boosting: dict
) -> None:
    run = federate(tables, boosting=boosting)
    roles = assign_roles(run.federation, 1)
    train(run.federation, Training(contender, 1, roles, run.config, ignore))

    study = Store(Path(run.config.state, "bank", "s"))
    kept = fallback_model(study, 1)
    own = log_odds(kept, read_table(study), {}, {}, run.config)
    alone, _ = train_boosting(read_joined(run.config, "bank").of_bank(), roles, 1, run.config.boosting)
    np.testing.assert_array_equal(own, alone)
    assert len(np.unique(own)) > 3
    assert len(own) == len(read_applications(study).labels)


def test_contenders_of_a_seed_share_it(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    kept = Path(run.config.state, "bank", "s", FALLBACK, "1", "model.npz")
    roles, found = assign_roles(run.federation, 1), []
    for contender in ("federated-boosting", "federated-network"):
        train(run.federation, Training(contender, 1, roles, run.config, ignore))
        found.append(kept.stat().st_mtime_ns)
    assert found[0] == found[1]


def test_the_bank_alone_needs_none(make_tables: Callable[..., Path], federate: Callable) -> None:
    run = federate(make_tables(()))
    roles = assign_roles(run.federation, 1)
    train(run.federation, Training("federated-boosting", 1, roles, run.config, ignore))
    assert not Path(run.config.state, "bank", "s", FALLBACK).exists()


PROTOCOL = {
    "federated-boosting": "boosting",
    "federated-network": "network",
    "federated-scorecard": "scorecard",
}


@pytest.mark.parametrize("contender", PROTOCOL)
def test_it_has_a_say_on_whom_no_party_knows_unless_the_score_is_of_another_kind(
    tables: Path, federate: Callable, contender: str
) -> None:
    run = federate(tables)
    roles = assign_roles(run.federation, 1)
    train(run.federation, Training(contender, 1, roles, run.config, ignore))
    study = Store(Path(run.config.state, "bank", "s"))
    nobody = known_to_none(read_coverage(study), len(roles))
    assert 0.05 < nobody.mean() < 0.15  # two parties know 70 % each

    kept, table, coverage = Store(study.folder / contender / "1"), read_table(study), read_coverage(study)
    protocol = importlib.import_module(f"clients.{PROTOCOL[contender]}")
    given = {
        party: protocol.contribution(
            Store(Path(run.config.state, party, "s", contender, "1")),
            read_table(Store(Path(run.config.state, party, "s"))),
            run.config,
        )
        for party in coverage
    }
    federated = protocol.log_odds(kept, table, coverage, given, run.config)
    both = (federated + fallback_log_odds(study, 1, table, run.config)) / 2

    expected = federated if contender == "federated-scorecard" else np.where(nobody, both, federated)
    np.testing.assert_array_equal(kept.read(SCORES)["pd"][roles == TEST], expit(expected)[roles == TEST])
    assert not np.isclose(both, federated)[nobody].any()
