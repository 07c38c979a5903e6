"""Example records of any party type, for the tests of its features."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest

from clients.parties.base import Party

OBSERVED = np.datetime64("2023-03-01", "s")


@pytest.fixture
def as_of() -> Callable[[list[str]], pd.Series]:
    """All businesses observed in 2023-03."""
    return lambda ids: pd.Series(OBSERVED, index=pd.Index(ids, dtype=str)).astype("datetime64[s]")


@pytest.fixture
def records_of(as_of) -> Callable[[type[Party], list[str]], dict[str, pd.DataFrame]]:
    """The example records of a type: the 24 months up to 2023-03, and the four after it."""
    return lambda kind, ids: kind.example_records(as_of(ids))


@pytest.fixture
def features_of(as_of) -> Callable[[type[Party], Mapping[str, pd.DataFrame], list[str]], pd.DataFrame]:
    """The features that a type computes from exactly these records, later months included, as of 2023-03."""
    return lambda kind, records, ids: object.__new__(kind).features(records, as_of(ids))
