from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.joined import has_truth, pooled, read_joined, read_roles, read_true_pd
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


def test_the_rows_of_several_banks_stand_one_bank_after_the_other(
    banks_tables: Path, federate: Callable
) -> None:
    banks = {}
    for bank in ("bank_a", "bank_b"):
        banks[bank] = read_joined(federate(banks_tables, parties=(bank, "tax")).config, bank)

    both = pooled(banks)

    assert (both.holder, [*both.tables], [*both.columns]) == ("banks", ["banks", "tax"], ["banks", "tax"])
    assert both.blocks == {"bank_a": slice(0, 400), "bank_b": slice(400, 640)}
    assert both.segments["bank"].tolist() == ["bank_a"] * 400 + ["bank_b"] * 240
    for bank, rows in both.blocks.items():
        np.testing.assert_array_equal(both.labels[rows], banks[bank].labels)
        np.testing.assert_array_equal(both.coverage["tax"][rows], banks[bank].coverage["tax"])
        theirs = banks[bank].frame().rename(columns=lambda name, bank=bank: name.replace(bank, "banks"))
        pd.testing.assert_frame_equal(
            both.frame()[rows].reset_index(drop=True).astype(object), theirs.astype(object), check_dtype=False
        )
    assert pooled({"bank_a": banks["bank_a"]}) is banks["bank_a"]


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
