"""One small dataset of the base world, shared by the tests that only read it."""

from pathlib import Path

import numpy as np
import pytest

from synthetic_data import WORLDS, generate
from synthetic_data.economy import Economy, Month

BUSINESSES = 4000


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("economy") / "base"
    generate(folder, BUSINESSES, "base", seed=1, truth=False)
    return folder


@pytest.fixture
def vintage() -> Month:
    """The first observation month of a small economy; the economy has not moved on."""
    economy = Economy(1200, WORLDS["base"], np.random.SeedSequence(3))
    return next(present for present in economy.months() if present.applications is not None)
