from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clients.aligned import known_to_none, read_applications, read_coverage, read_table
from clients.evaluation import coverage_names
from clients.reserve import reserve_model
from clients.scores import Scores
from clients.store import Store
from fl.protocols import conversation_of
from fl.splits import TEST, Split
from server.coordinator import assign_roles, train, train_reserve
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
    assigned = assign_roles(run.federation, 1)
    train_reserve(run.federation, assigned, 1, ignore)
    training = Training(
        contender="federated-network", seed=1, assigned=assigned, config=run.config, on_progress=ignore
    )

    evaluation = train(run.federation, training).evaluation

    bank = Store(Path(run.config.state, "bank", "s"))
    pd = Store(bank.folder / training.model).read(Scores).pd
    labels, test = read_applications(bank).labels, assigned.split.read(Split).roles == TEST
    assert pd.shape == (400,)
    # To four digits, as all that leaves the bank.
    assert evaluation.metrics["mean_pd"] == pytest.approx(pd[test].mean(), abs=6e-5)
    assert evaluation.metrics["bad_rate"] == pytest.approx(labels[test].mean(), abs=6e-5)
    assert set(evaluation.tables["segments"]["segment"]) == {"kind", "coverage"}
    for table in evaluation.tables.values():
        assert all(len(column) < test.sum() + 2 for column in table.values())
    for party in ("tax", "supply"):
        assert not Store(Path(run.config.state, party, "s", training.model)).has(Scores)


@pytest.mark.parametrize("contender", ["federated-boosting", "federated-network"])
def test_the_reserve_model_has_a_say_on_rows_that_no_passive_party_knows(
    tables: Path, federate: Callable, contender: str
) -> None:
    run = federate(tables)
    assigned = assign_roles(run.federation, 1)
    train_reserve(run.federation, assigned, 1, ignore)
    training = Training(contender=contender, seed=1, assigned=assigned, config=run.config, on_progress=ignore)
    train(run.federation, training)

    studies = {party: Store(Path(run.config.state, party, "s")) for party in run.config.parties}
    scorer = conversation_of(contender).half("clients")
    coverage = read_coverage(studies["bank"])
    model = {party: Store(study.folder / training.model) for party, study in studies.items()}
    contributions = {
        party: scorer.contribution(model[party], read_table(studies[party]), run.config) for party in coverage
    }
    alone = scorer.log_odds(model["bank"], read_table(studies["bank"]), coverage, contributions, run.config)
    reserve = reserve_model(studies["bank"], 1).read(Scores).log_odds
    unknown = known_to_none(coverage, len(alone))
    assert 0 < unknown.sum() < len(unknown)
    kept = model["bank"].read(Scores).log_odds
    np.testing.assert_array_equal(kept, np.where(unknown, (alone + reserve) / 2, alone))
