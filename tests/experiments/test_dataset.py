import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from clients.data.declaration import read_declaration, write_declaration
from clients.data.errors import DataError, DataWarning
from experiments.dataset import open_dataset, undeclared
from fl.errors import ConfigError


@pytest.fixture
def data(tables: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    shutil.copytree(tables, folder, ignore=shutil.ignore_patterns("state", "ml*"))
    return folder


def test_the_active_party_comes_first(data: Path) -> None:
    dataset = open_dataset(data)
    assert dataset.parties == ("bank", "supply", "tax")
    assert dataset.holder == "bank"
    assert dataset.world == ""
    assert (dataset.facts.name, dataset.facts.rows, dataset.facts.source) == ("data", 400, str(data))


def test_parties_may_be_chosen(data: Path) -> None:
    assert open_dataset(data, ("tax", "bank")).parties == ("bank", "tax")


def test_the_digest_changes_with_the_data_and_not_with_what_is_kept_beside_them(data: Path) -> None:
    before = open_dataset(data).facts.digest
    (data / "tax" / "state").mkdir()
    (data / "tax" / "state" / "x.npz").write_bytes(b"kept")
    assert open_dataset(data).facts.digest == before

    with (data / "tax" / "table.csv").open("a") as table:
        table.write("new,1,2,3,coal\n")
    assert open_dataset(data).facts.digest != before
    assert open_dataset(data, ("bank", "supply")).facts.digest != before


def test_what_the_generator_wrote_is_read(data: Path) -> None:
    (data / "dataset.toml").write_text('name = "small"\nworld = "no-tax-signal"\n', "utf-8")
    dataset = open_dataset(data)
    assert (dataset.world, dataset.facts.name) == ("no-tax-signal", "small")


def test_a_damaged_description_is_named(data: Path) -> None:
    (data / "dataset.toml").write_text("name = \n", "utf-8")
    with pytest.raises(DataError, match=r"dataset\.toml, line 1: this is not valid TOML"):
        open_dataset(data)


def test_doubts_are_told_before_anything_runs(data: Path) -> None:
    path = data / "tax" / "table.csv"
    path.write_text(path.read_text("utf-8") + "1.1E+17,1,2,3,coal\n", "utf-8")

    with pytest.warns(DataWarning, match=r"tax: 1 of the ids, the first '1.1E\+17', look like numbers"):
        open_dataset(data)


def test_a_folder_without_parties_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{tmp_path} is no dataset"):
        open_dataset(tmp_path)


def test_a_party_that_is_not_there_is_named_with_those_that_are(data: Path) -> None:
    with pytest.raises(DataError, match="has no party 'customs'; it has bank, supply, tax"):
        open_dataset(data, ("bank", "customs"))


def test_a_folder_with_a_table_that_no_declaration_describes_is_named(data: Path) -> None:
    for name in ("court", ".cache", "truth", "notes"):
        (data / name).mkdir()
        (data / name / ("readme.txt" if name == "notes" else "a table.csv")).touch()

    (said,) = undeclared(data)

    assert said.startswith("The folder court has no party.toml and takes no part.")
    assert said.endswith(f"siloscore init-party '{data}/court/a table.csv' --id COLUMN")
    with pytest.raises(
        DataError, match=r"it has bank, supply, tax. `siloscore init-party` writes the party.toml"
    ):
        open_dataset(data, ("bank", "court"))


def test_a_party_must_hold_the_label(data: Path) -> None:
    with pytest.raises(DataError, match="none of supply, tax does"):
        open_dataset(data, ("supply", "tax"))


def test_several_banks_come_before_the_passive_parties(banks_tables: Path) -> None:
    dataset = open_dataset(banks_tables)
    assert dataset.parties == ("bank_a", "bank_b", "bank_c", "supply", "tax")
    assert (dataset.holders, dataset.passive) == (dataset.parties[:3], dataset.parties[3:])
    assert dataset.facts.rows == 800
    of_each = [open_dataset(banks_tables, (bank, "tax")).known["tax"] for bank in dataset.holders]
    assert dataset.known["tax"] == sum(of_each)
    assert dataset.layout == "hybrid"
    assert open_dataset(banks_tables, ("bank_c", "bank_a")).layout == "horizontal"
    with pytest.raises(ConfigError, match=r"several banks .*: --parties bank_a,supply,tax"):
        _ = dataset.holder
    assert open_dataset(banks_tables, ("bank_b", "tax")).holder == "bank_b"


def test_banks_must_declare_the_same_columns(banks_tables: Path, tmp_path: Path) -> None:
    shutil.copytree(banks_tables, tmp_path / "data")
    declared = read_declaration(tmp_path / "data" / "bank_b")
    write_declaration(tmp_path / "data" / "bank_b", replace(declared, columns=declared.columns[1:]))
    with pytest.raises(
        DataError, match=r"bank_a and bank_b both hold the label.*same order; they differ in a"
    ):
        open_dataset(tmp_path / "data")


def test_every_party_is_checked_before_anything_runs(data: Path) -> None:
    table = data / "tax" / "table.csv"
    table.write_text(table.read_text("utf-8") + "new,oops,2,3,coal\n", "utf-8")
    with pytest.raises(DataError, match=r"tax.table\.csv, line \d+, column 'a'.*oops"):
        open_dataset(data)


def test_an_id_that_two_parties_write_differently_is_named(data: Path) -> None:
    table = data / "tax" / "table.csv"
    table.write_text(table.read_text("utf-8") + "Q1,1,2,3,coal\n", "utf-8")
    bank = data / "bank" / "table.csv"
    text = bank.read_text("utf-8")
    first = text.splitlines()[1].split(",")[0]
    bank.write_text(text.replace(f"{first},", "q1,", 1), "utf-8")

    with pytest.raises(DataError, match="The ids 'q1' in bank and 'Q1' in tax differ only in letter case"):
        open_dataset(data, ("bank", "tax"))
