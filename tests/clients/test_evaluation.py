from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clients.aligned import read_applications
from clients.evaluation import SCORES, coverage_names
from clients.store import Store
from fl.splits import TEST
from server.coordinator import assign_roles, train
from server.progress import ignore
from server.training import Training


def test_coverage_is_named_by_the_parties_that_know_a_row() -> None:
    coverage = {
        "tax": np.array([True, True, False, False]),
        "supply": np.array([True, False, True, False]),
    }
    assert coverage_names(coverage, 4).tolist() == ["tax, supply", "tax", "supply", "none"]
    assert coverage_names({}, 2).tolist() == ["none", "none"]


def test_scores_stay_at_the_bank_and_the_evaluation_is_of_the_test_rows(
    tables: Path, federate: Callable
) -> None:
    run = federate(tables)
    roles = assign_roles(run.federation, 1)

    trained = train(run.federation, Training("federated-network", 1, roles, run.config, ignore))

    bank = Store(Path(run.config.state, "bank", "s"))
    pd = Store(bank.folder / "federated-network" / "1").read(SCORES)["pd"]
    labels, test = read_applications(bank).labels, roles == TEST
    assert pd.shape == (400,)
    assert trained.evaluation.metrics["mean_pd"] == pytest.approx(pd[test].mean())
    assert trained.evaluation.metrics["bad_rate"] == pytest.approx(labels[test].mean())
    assert set(trained.evaluation.tables["segments"]["segment"]) == {"kind", "coverage"}
    for table in trained.evaluation.tables.values():
        assert all(len(column) < test.sum() + 2 for column in table.values())
    for party in ("tax", "supply"):
        kept = Path(run.config.state, party, "s", "federated-network", "1")
        assert not (kept / f"{SCORES}.npz").exists()
