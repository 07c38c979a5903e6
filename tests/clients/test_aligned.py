from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clients.aligned import (
    Coverage,
    applications_of_rows,
    known_to_none,
    read_applications,
    read_coverage,
    read_table,
    table_of,
)
from clients.data.column import Column
from clients.store import Store


@pytest.fixture
def study(tmp_path: Path) -> Store:
    return Store(tmp_path / "study")


def test_a_table_has_a_row_per_position_and_the_unknown_are_missing(study: Store) -> None:
    frame = pd.DataFrame({"x": [1.0, np.nan], "kind": pd.Categorical(["b", None], ["a", "b"])})

    study.keep(table_of(frame, np.array([True, False, True])))
    table = read_table(study)

    np.testing.assert_array_equal(table.numeric, [[1.0], [np.nan], [np.nan]])
    np.testing.assert_array_equal(table.codes, [[1], [-1], [-1]])
    np.testing.assert_array_equal(table.known, [True, False, True])
    assert (table.numeric_names, table.categorical_names, table.levels) == (("x",), ("kind",), (("a", "b"),))


def test_declared_special_values_are_missing_and_stand_beside_the_numbers(study: Store) -> None:
    frame = pd.DataFrame({"w": [-999.0, 1.0, 2.0], "x": [-999.0, 5.0, np.nan]})
    declared = (Column("w", "numeric"), Column("x", "numeric", special=(-999, 7)))

    study.keep(table_of(frame, np.array([True, False, True, True]), declared))
    table = read_table(study)

    np.testing.assert_array_equal(table.numeric[:, 0], [-999, np.nan, 1, 2])
    np.testing.assert_array_equal(table.numeric[:, 1], [np.nan, np.nan, 5, np.nan])
    np.testing.assert_array_equal(table.special["x"], [-999, np.nan, np.nan, np.nan])
    assert list(table.special) == ["x"]
    np.testing.assert_array_equal(table.take(np.array([3, 0])).special["x"], [np.nan, -999])


def test_a_table_may_have_no_column_of_a_kind(study: Store) -> None:
    study.keep(table_of(pd.DataFrame({"x": [1.0]}), np.array([True])))
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

    study.keep(applications_of_rows(frame))
    applications = read_applications(study)

    assert applications.ids.tolist() == ["91c", "91a", "91b"]
    assert applications.labels.tolist() == [0, 1, 0]
    assert applications.labels.dtype == np.int8
    np.testing.assert_array_equal(
        applications.months, np.array(["2023-03", "2022-12", "NaT"], "datetime64[M]")
    )
    assert applications.segments["region"].tolist() == ["east", "missing", "西部"]


COVERAGE = {"tax": np.array([True, False]), "file": np.array([False, False]), "a": np.array([True, False])}


def test_coverage_keeps_the_order_of_the_parties(study: Store) -> None:
    study.keep(Coverage(COVERAGE))
    read = read_coverage(study)

    assert list(read) == list(COVERAGE)
    for name, known in COVERAGE.items():
        np.testing.assert_array_equal(read[name], known)


def test_who_is_known_to_no_passive_party() -> None:
    assert known_to_none(COVERAGE, 2).tolist() == [False, True]
    assert known_to_none({}, 2).tolist() == [True, True]


@pytest.mark.parametrize("read", [read_table, read_applications, read_coverage])
def test_before_the_alignment_there_is_nothing(study: Store, read: Callable[[Store], object]) -> None:
    with pytest.raises(FileNotFoundError):
        read(study)
