"""The benchmark of the bank's service posts new applicants, and counts what it did."""

import json
from pathlib import Path

import numpy as np

from experiments.benchmarks.serving import bodies, rows_of, summary


def test_every_request_has_applicants_that_nobody_has_posted(tables: Path) -> None:
    columns = rows_of(tables / "bank")
    posts = bodies(columns, 300, "x")
    first, second = (json.loads(next(posts))["applicants"] for _ in range(2))
    assert len({one["id"] for one in first + second}) == 600
    assert first[0]["columns"] == second[100]["columns"] == columns[0]
    assert set(columns[0]) == {"a", "b", "c", "kind"}


def test_the_table_tells_applicants_per_second_and_the_slowest_hundredth() -> None:
    row = summary(2, 10, list(np.linspace(0.001, 0.1, 100)), seconds=5.0)
    assert row["applicants per second"] == 200
    assert row["median, ms"] == 50.5
    assert row["p99, ms"] == 99.0
