import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clients.data.applicants import frame_of_rows, read_applicants_file
from clients.data.column import Column
from clients.data.declaration import Declaration, write_declaration
from clients.data.errors import DataError
from clients.parties import Party, open_party


@pytest.fixture(scope="module")
def bank(make_tables) -> Party:
    return open_party(make_tables((), months=True) / "bank", labelled=False)


def write(folder: Path, text: str) -> Path:
    path = folder / "applicants.csv"
    path.write_text(text, "utf-8")
    return path


def test_applicants_keep_the_order_of_the_file(bank: Party, tmp_path: Path) -> None:
    ids = bank.ids()[[7, 2, 300]]
    found = read_applicants_file(bank, write(tmp_path, "\n".join(["business_id", *ids])))
    assert found.index.tolist() == ids.tolist()
    own = bank.applications()["month"]
    pd.testing.assert_series_equal(found["month"], own[ids], check_names=False)


def test_the_month_of_the_file_goes_first(bank: Party, tmp_path: Path) -> None:
    text = f"note,observation_month,business_id\nx,2021-03,{bank.ids()[0]}\n"
    found = read_applicants_file(bank, write(tmp_path, text))
    assert found["month"].tolist() == [pd.Timestamp("2021-03-01")]


def test_parquet_will_do(bank: Party, tmp_path: Path) -> None:
    path = tmp_path / "applicants.parquet"
    pd.DataFrame({"business_id": bank.ids()[:2]}).to_parquet(path)
    assert len(read_applicants_file(bank, path)) == 2


def test_outcomes_are_not_read(bank: Party) -> None:
    assert "label" not in bank.applications()
    assert bank.declaration.label == "default"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "id\nx",
            r"applicants\.csv has no column 'business_id'\. Did you mean|applicants\.csv has no column",
        ),
        ("business_id\n", "has a header but no rows"),
        (
            "business_id\n{0}\nnobody",
            r"line 3, column 'business_id': bank has no application of this business",
        ),
        ("business_id\n{0}\n{1}\n{0}", r"lines 2 and 4, .* the id '.*' stands twice"),
        ("business_id\n {0}", "has spaces around it"),
        ("business_id\n{0}\n\n", None),
        ("business_id,observation_month\n{0},2999-01", r"line 2, .*: 2999-01 lies in the future"),
        ("business_id,observation_month\n{0},soon", "'soon' is not a month"),
    ],
)
def test_what_is_wrong_is_said_with_its_row(bank: Party, tmp_path: Path, text: str, said: str | None) -> None:
    path = write(tmp_path, text.format(*bank.ids()[:2]))
    if said is None:
        assert len(read_applicants_file(bank, path)) == 1
        return
    with pytest.raises(DataError, match=said):
        read_applicants_file(bank, path)


def test_data_without_months_need_none(make_tables, tmp_path: Path) -> None:
    bank = open_party(make_tables(()) / "bank")
    text = f"business_id,observation_month\n{bank.ids()[0]},whatever\n"
    found = read_applicants_file(bank, write(tmp_path, text))
    assert np.isnat(found["month"].to_numpy()).all()


def test_columns_that_come_as_rows_are_those_that_a_file_would_have(tmp_path: Path) -> None:
    rows = [
        {"amount": 1.5, "since": "2023-01-15", "branch": "coal", "size": "small"},
        {"amount": -999, "since": None, "branch": " coal ", "size": "huge"},
        {"amount": None, "since": "2024-02-29", "branch": None, "size": None},
    ]
    columns = (
        Column("amount", "numeric", special=(-999,)),
        Column("since", "date", reference="2024-03"),
        Column("branch", "categorical"),
        Column("size", "categorical", levels=("small", "large")),
    )
    declared = Declaration(
        "table", "bank", label="default", month="month", columns=columns, file="table.parquet"
    )
    months = np.array(["2024-03", "2024-03", "NaT"], "datetime64[M]")
    ids = np.array(["x", "y", "z"])
    file = pd.DataFrame(rows).assign(business_id=ids, default=[0, 1, 0], month="2024-03")
    file.to_parquet(tmp_path / "table.parquet")
    write_declaration(tmp_path, declared)

    found = frame_of_rows(declared, [json.dumps(row) for row in rows], months)

    expected = open_party(tmp_path).matrix(ids, months, special=True).reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected, check_names=False)
