"""Made-up monthly records of any party type, for the tests of its features."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from clients.parties.base import Party

MONTHS = pd.date_range("2021-10-01", "2023-06-01", freq="MS").astype("datetime64[s]")


@pytest.fixture
def records_of() -> Callable[[type[Party], list[str]], dict[str, pd.DataFrame]]:
    """Random positive records of 21 months; the last three come after the observation month, 2023-03."""

    def make(party: type[Party], ids: list[str]) -> dict[str, pd.DataFrame]:
        rng = np.random.default_rng(0)
        tables = {}
        for name, columns in party.tables.items():
            monthly = "month" in columns
            frame = pd.DataFrame({"business_id": np.repeat(ids, len(MONTHS) if monthly else 1)})
            if monthly:
                frame["month"] = np.tile(MONTHS, len(ids))
            for column in columns:
                if column not in frame and column not in (party.month, party.label):
                    frame[column] = rng.gamma(4.0, 100.0, size=len(frame)).round(2)
            tables[name] = frame
        return tables

    return make


@pytest.fixture
def as_of() -> Callable[[list[str]], pd.Series]:
    """All businesses observed in 2023-03."""
    return lambda ids: pd.Series(np.datetime64("2023-03-01", "s"), index=pd.Index(ids, dtype=str)).astype(
        "datetime64[s]"
    )
