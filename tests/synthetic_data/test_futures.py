"""True probabilities of default."""

import numpy as np
import pytest

from synthetic_data import futures
from synthetic_data.economy import Month
from synthetic_data.futures import true_default_probabilities


@pytest.fixture
def few_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(futures, "OUTER_BATCHES", 2)


def test_probabilities_leave_the_economy_as_it_was(vintage: Month, few_paths: None) -> None:
    state, factors = vintage.state.copy(), vintage.economy.factors.cores.copy()
    true_default_probabilities(vintage, np.random.SeedSequence(0))
    assert all((getattr(state, name) == values).all() for name, values in vars(vintage.state).items())
    assert (factors == vintage.economy.factors.cores).all()


def test_probabilities_are_reproducible_and_agree_between_seeds(vintage: Month) -> None:
    one, again, other = (true_default_probabilities(vintage, np.random.SeedSequence(s)) for s in (0, 0, 1))
    assert (one == again).all()
    assert ((one > 0) & (one < 1)).all()
    assert one.mean() == pytest.approx(other.mean(), rel=0.15)
    assert np.corrcoef(np.log(one), np.log(other))[0, 1] > 0.95


def test_a_strained_applicant_is_riskier(vintage: Month, few_paths: None) -> None:
    before = true_default_probabilities(vintage, np.random.SeedSequence(0))
    vintage.state.liquidity -= 0.5
    after = true_default_probabilities(vintage, np.random.SeedSequence(0))
    assert after.mean() > 1.5 * before.mean()


def test_a_failing_customer_makes_its_suppliers_riskier(vintage: Month, few_paths: None) -> None:
    before = true_default_probabilities(vintage, np.random.SeedSequence(0))
    exposures = vintage.economy.network.exposures()[vintage.applications.slot][:, : len(vintage.firms)]
    exposed = np.flatnonzero(exposures.max(axis=1).toarray().ravel() > 0.25)
    customers = exposures[exposed].argmax(axis=1)
    vintage.failed[np.asarray(customers).ravel()] = True
    after = true_default_probabilities(vintage, np.random.SeedSequence(0))
    assert len(exposed) >= 5
    assert after[exposed].mean() > 1.05 * before[exposed].mean()
