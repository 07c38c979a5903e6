"""Applicants whose scores carry some signal: smooth, and rounded so that most are tied."""

from collections.abc import Callable

import numpy as np
import pytest

Draw = Callable[..., tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="session")
def draw() -> Draw:
    return draw_applicants


def draw_applicants(rows: int, seed: int, strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels (rows,) and calibrated-looking PDs (rows,), a tenth of them bad or so."""
    generator = np.random.default_rng(seed)
    logit = -2.3 + strength * generator.normal(size=rows)
    pd = 1 / (1 + np.exp(-logit))
    labels = (generator.random(rows) < pd).astype(np.int8)
    return labels, pd


@pytest.fixture(params=["smooth", "tied"])
def applicants(request: pytest.FixtureRequest, draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    labels, pd = draw(2_000, seed=7)
    return labels, pd if request.param == "smooth" else pd.round(2)


@pytest.fixture
def rivals(draw: Draw) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels and two correlated models, of which the second is the weaker; some PDs tied."""
    labels, pd = draw(2_000, seed=11)
    noise = np.random.default_rng(12).normal(scale=0.8, size=len(pd))
    weaker = 1 / (1 + np.exp(-(np.log(pd / (1 - pd)) + noise)))
    return labels, pd, weaker.round(3)
