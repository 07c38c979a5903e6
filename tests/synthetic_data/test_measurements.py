"""The generated economy reproduces the public facts."""

from pathlib import Path

import pytest

from synthetic_data.facts import FACTS, Fact
from synthetic_data.measurements import measure


@pytest.fixture(scope="module")
def measured(dataset: Path) -> dict[str, float]:
    return measure(dataset, 4000, 1)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_fact(fact: Fact, measured: dict[str, float]) -> None:
    assert fact.low <= measured[fact.name] <= fact.high


def test_every_fact_is_measured_and_nothing_else(measured: dict[str, float]) -> None:
    assert {fact.name for fact in FACTS} == set(measured)
