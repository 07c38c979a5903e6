from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.joined import has_truth, read_joined, read_roles, read_true_pd
from fl.splits import Split
from server.coordinator import assign_roles


@pytest.mark.parametrize("mode", ["left", "inner"])
def test_the_joined_table_is_the_merge_of_the_files(tables: Path, federate: Callable, mode: str) -> None:
    run = federate(tables, alignment=mode)

    joined = read_joined(run.config, "bank")

    frame = joined.frame().set_index(joined.applications.ids)
    for party in ("bank", "supply", "tax"):
        expected = pd.read_csv(tables / party / "table.csv").set_index("business_id").reindex(frame.index)
        for column in ("a", "b", "c", "kind"):
            own = frame[f"{party}.{column}"]
            pd.testing.assert_series_equal(
                own.astype(object), expected[column].astype(object), check_names=False
            )
    assert isinstance(frame["tax.kind"].dtype, pd.CategoricalDtype)
    np.testing.assert_array_equal(
        joined.labels,
        pd.read_csv(tables / "bank" / "table.csv").set_index("business_id").loc[frame.index, "default"],
    )


def test_coverage_is_one_of_the_segments(tables: Path, federate: Callable) -> None:
    joined = read_joined(federate(tables).config, "bank")
    assert set(joined.segments) == {"kind", "coverage"}
    assert set(joined.segments["coverage"]) == {"supply, tax", "supply", "tax", "none"}


def test_the_bank_alone_has_its_own_columns(tables: Path, federate: Callable) -> None:
    alone = read_joined(federate(tables).config, "bank").of_bank()
    assert list(alone.frame()) == ["bank.a", "bank.b", "bank.c", "bank.kind"]
    assert alone.coverage == {}
    assert set(alone.segments["coverage"]) == {"none"}


def test_roles_are_those_that_the_bank_gave(tables: Path, federate: Callable) -> None:
    run = federate(tables)
    roles = assign_roles(run.federation, 3).split.read(Split).roles
    np.testing.assert_array_equal(read_roles(run.config, "bank", 3), roles)


def test_the_truth_is_read_by_id(tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    truth = pd.DataFrame({"business_id": ["a", "b", "c"], "true_pd": [0.1, 0.2, 0.3]})
    truth.to_parquet(tmp_path / "truth" / "applicants.parquet")
    assert has_truth(tmp_path)
    np.testing.assert_array_equal(read_true_pd(tmp_path, np.array(["c", "a"])), [0.3, 0.1])


def test_a_dataset_may_have_no_truth(tmp_path: Path) -> None:
    assert not has_truth(tmp_path)
    (tmp_path / "truth").mkdir()
    pd.DataFrame({"business_id": ["a"]}).to_parquet(tmp_path / "truth" / "applicants.parquet")
    assert not has_truth(tmp_path)
