from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clients.aligned import (
    read_applications,
    read_coverage,
    read_table,
    write_applications,
    write_coverage,
    write_table,
)
from clients.store import Store


@pytest.fixture
def study(tmp_path: Path) -> Store:
    return Store(tmp_path / "study")


def test_a_table_has_a_row_per_position_and_the_unknown_are_missing(study: Store) -> None:
    frame = pd.DataFrame({"x": [1.0, np.nan], "kind": pd.Categorical(["b", None], ["a", "b"])})

    write_table(study, frame, np.array([True, False, True]))
    table = read_table(study)

    np.testing.assert_array_equal(table.numeric, [[1.0], [np.nan], [np.nan]])
    np.testing.assert_array_equal(table.codes, [[1], [-1], [-1]])
    np.testing.assert_array_equal(table.known, [True, False, True])
    assert (table.numeric_names, table.categorical_names, table.levels) == (("x",), ("kind",), (("a", "b"),))


def test_a_table_may_have_no_column_of_a_kind(study: Store) -> None:
    write_table(study, pd.DataFrame({"x": [1.0]}), np.array([True]))
    assert read_table(study).codes.shape == (1, 0)


def test_applications_come_back_in_order(study: Store) -> None:
    frame = pd.DataFrame(
        {
            "label": np.array([0, 1, 0], np.int8),
            "month": np.array(["2023-03", "2022-12", "NaT"], "datetime64[s]"),
            "region": pd.Categorical(["east", None, "西部"]),
        },
        index=pd.Index(["91c", "91a", "91b"]),
    )

    write_applications(study, frame)
    found = read_applications(study)

    assert found.ids.tolist() == ["91c", "91a", "91b"]
    assert found.labels.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(found.months, np.array(["2023-03", "2022-12", "NaT"], "datetime64[M]"))
    assert found.segments["region"].tolist() == ["east", "missing", "西部"]


def test_coverage_keeps_the_order_of_the_parties(study: Store) -> None:
    coverage = {"tax": np.array([True, False]), "file": np.array([False, False]), "a": np.array([True, True])}

    write_coverage(study, coverage)
    found = read_coverage(study)

    assert list(found) == list(coverage)
    for name, known in coverage.items():
        np.testing.assert_array_equal(found[name], known)


def test_before_the_alignment_there_is_nothing(study: Store) -> None:
    with pytest.raises(FileNotFoundError):
        read_table(study)
