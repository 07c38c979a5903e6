"""Applicants with two scores, of which the challenger's is better, without any study behind them."""

from collections.abc import Callable

import numpy as np
import pytest

from experiments.lending.cases import FIRST_TIME, ON_PLATFORM, Applicants, Case
from experiments.lending.policy import Policy


def draw_applicants(rows: int, rng: np.random.Generator, better: float) -> Applicants:
    """Latent risk of two parts, of which the reference sees one and the challenger the share `better` of the other."""
    own, other = rng.normal(size=(2, rows))
    logit = -3.2 + own + 1.2 * other
    labels = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    guesses = -2.8 + own, -2.8 - 0.4 * better + own + 1.2 * better * other
    groups = {FIRST_TIME: rng.random(rows) < 0.2, ON_PLATFORM: rng.random(rows) < 0.5}
    reference, challenger = (1 / (1 + np.exp(-guess)) for guess in guesses)
    return Applicants(labels, rng.lognormal(11, 1.5, rows), groups, reference, challenger)


@pytest.fixture(scope="session")
def make_case() -> Callable[..., Case]:
    """A case of an economy and seed; `better` is 1 for a challenger that sees all and 0 for one like the reference."""

    def make(economy: int = 1, seed: int = 1, better: float = 1.0, rows: int = 1_500) -> Case:
        rng = np.random.default_rng([economy, seed])
        return Case(economy, seed, draw_applicants(rows, rng, better), draw_applicants(rows, rng, better))

    return make


@pytest.fixture
def policy() -> Policy:
    return Policy()
