"""A ready table needs no code: its declared columns, read strictly, are the party's features."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clients.data.column import Column
from clients.data.declaration import FILE_NAME, read_declaration
from clients.data.errors import DataError, DataWarning
from clients.parties import open_party, write_default
from clients.parties.table import TableParty

DECLARATION = """
type = "table"
file = "x.csv"
id = "id"
label = "default"
month = "observed"
segments = ["region", "size"]
[columns.size]
kind = "categorical"
[columns.age]
kind = "numeric"
"""
CSV = """\
id,default,observed,region,size,age,withheld
007,0,2024-03,north,2,3.5,1
008,1,2024-04,south,10,NA,2
009,0,2024-04,,2,true,3
"""


def party(folder: Path, csv: str = CSV, declaration: str = DECLARATION) -> TableParty:
    (folder / "x.csv").write_text(csv)
    (folder / FILE_NAME).write_text(declaration)
    opened = open_party(folder)
    assert isinstance(opened, TableParty)
    return opened


def open_error(folder: Path, csv: str = CSV, declaration: str = DECLARATION) -> str:
    with pytest.raises(DataError) as caught:
        party(folder, csv, declaration)
    return str(caught.value).replace(f"{folder}/", "")


def test_the_declared_columns_are_the_features(tmp_path: Path) -> None:
    matrix = party(tmp_path).matrix(np.array(["009", "1", "007"]))

    assert list(matrix) == ["size", "age"]
    assert matrix["size"].tolist()[::2] == ["2", "2"]
    assert matrix["age"].tolist()[::2] == [1.0, 3.5]
    assert matrix.loc["1"].isna().all()


def test_declared_levels_are_those_of_the_column_whatever_its_data(tmp_path: Path) -> None:
    levels = DECLARATION.replace('"categorical"', '"categorical"\nlevels = ["10", "30"]')

    sizes = party(tmp_path, CSV + "010,0,2024-05,north,,1,1\n", levels).matrix(
        np.array(["007", "008", "010"])
    )["size"]

    assert sizes.cat.categories.tolist() == ["10", "30", "other"]
    assert sizes.tolist()[:2] == ["other", "10"]
    assert sizes.isna().tolist() == [False, False, True]


def test_a_sensitive_column_is_read_and_no_feature(tmp_path: Path) -> None:
    opened = party(tmp_path, declaration=f'sensitive = ["withheld"]\n{DECLARATION}')

    assert opened.sensitive()["withheld"].tolist() == ["1", "2", "3"]
    assert list(opened.matrix(np.array(["007"]))) == ["size", "age"]


def test_the_label_holders_table_holds_the_applications(tmp_path: Path) -> None:
    applications = party(tmp_path).applications()

    assert applications.index.tolist() == ["007", "008", "009"]
    assert applications["label"].tolist() == [0, 1, 0]
    assert applications["month"].dt.month.tolist() == [3, 4, 4]
    assert applications["region"].tolist()[:2] == ["north", "south"]
    assert applications["region"].isna().tolist() == [False, False, True]
    assert applications["size"].tolist() == ["2", "10", "2"]


def test_a_segment_that_is_a_numeric_feature_is_both(tmp_path: Path) -> None:
    opened = party(tmp_path, declaration=DECLARATION.replace('"categorical"', '"numeric"'))

    assert opened.matrix(opened.ids())["size"].tolist() == [2.0, 10.0, 2.0]
    assert opened.applications()["size"].tolist() == ["2", "10", "2"]


def test_columns_may_have_the_names_that_other_types_keep_for_themselves(tmp_path: Path) -> None:
    declaration = 'type = "table"\nfile = "x.csv"\nid = "id"\n' + "".join(
        f'[columns.{name}]\nkind = "numeric"\n' for name in ("business_id", "month", "label")
    )
    opened = party(tmp_path, "id,business_id,month,label\n007,1,12,5\n", declaration)

    assert opened.matrix(
        np.array(["007"]), np.array(["2024-01"], dtype="datetime64[M]")
    ).to_numpy().tolist() == [[1.0, 12.0, 5.0]]


def test_a_column_without_any_value_stays_with_a_warning(tmp_path: Path) -> None:
    opened = party(
        tmp_path, "id,default,observed,region,size,age\n007,0,2024-03,north,2,\n008,1,2024-04,south,10,NA\n"
    )

    with pytest.warns(
        DataWarning, match=r"x.csv, column 'age': the column has no value in any row, and so tells"
    ):
        opened.warn(has_months=True)

    assert opened.declaration == read_declaration(tmp_path)
    assert opened.matrix(opened.ids()).isna().sum().to_dict() == {"size": 0, "age": 2}


DATED = """
type = "table"
file = "x.csv"
id = "id"
[columns.opened]
kind = "date"
"""


def test_a_date_is_the_months_before_the_observation_month(tmp_path: Path) -> None:
    opened = party(tmp_path, "id,opened\n1,2022年3月1日\n2,\n3,2023/3/11\n", DATED)

    matrix = opened.matrix(np.array(["1", "2", "3"]), np.array(["2023-03"] * 3, "datetime64[M]"))

    month = 365.2425 / 12
    assert matrix["opened"].tolist() == pytest.approx([365 / month, np.nan, -10 / month], nan_ok=True)


def test_without_observation_months_a_date_counts_to_its_reference(tmp_path: Path) -> None:
    csv = "id,opened\n1,31/12/2022\n2,01/03/2023\n"

    opened = party(tmp_path, csv, DATED + 'reference = "2023-03"\nday_first = true\n')
    assert opened.matrix(np.array(["2"]))["opened"].tolist() == [0.0]
    opened.warn(has_months=False)

    opened = party(tmp_path, csv, DATED + "day_first = true\n")
    assert opened.matrix(np.array(["2"]))["opened"].isna().all()
    with pytest.warns(
        DataWarning, match=r"column 'opened': the dates count as missing, .* reference = \"2023-03\""
    ):
        opened.warn(has_months=False)


@pytest.mark.parametrize(
    ("kind", "cell", "problem"),
    [
        ("date", "n.a.", "line 3, column 'opened': 'n.a.' is not a date"),
        ("numeric", "n.a.", "line 3, column 'opened': 'n.a.' is not a number"),
        ("numeric", "inf", "line 3, column 'opened': the value is infinite"),
    ],
)
def test_a_stray_cell_is_refused_unless_it_is_said_to_be_missing(
    tmp_path: Path, kind: str, cell: str, problem: str
) -> None:
    csv = f"id,opened\n1,{'2023-01-01' if kind == 'date' else 7}\n2,{cell}\n"
    declaration = DATED.replace("date", kind)

    said = open_error(tmp_path, csv, declaration)
    assert problem in said
    assert 'With stray = "missing" in its part of party.toml' in said

    opened = party(tmp_path, csv, declaration + 'stray = "missing"\n')
    months = np.array(["2023-03"] * 2, "datetime64[M]")
    assert opened.matrix(np.array(["1", "2"]), months)["opened"].isna().tolist() == [False, True]


def test_doubtful_ids_are_warned_of_when_asked(tmp_path: Path) -> None:
    opened = party(tmp_path, "id,opened\n1.1E+17,2023-01-01\n", DATED)

    with pytest.warns(
        DataWarning, match=r"1 of the ids, the first '1.1E\+17', look like numbers that a spreadsheet"
    ):
        opened.warn(has_months=True)


def test_any_two_values_can_be_a_label(tmp_path: Path) -> None:
    opened = party(
        tmp_path, CSV.replace(",0,", ",good,").replace(",1,", ",bad,"), 'bad = "bad"\n' + DECLARATION
    )

    assert opened.applications()["label"].tolist() == [0, 1, 0]


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    pd.DataFrame({"id": [7, 8], "flag": [True, False], "age": [1.5, None]}).to_parquet(tmp_path / "x.parquet")
    write_default(tmp_path, "table")

    opened = open_party(tmp_path)

    assert opened.ids().tolist() == ["7", "8"]
    assert opened.matrix(opened.ids())["flag"].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("csv", "problem"),
    [
        (
            CSV.replace("009", "007"),
            "x.csv, lines 2 and 4, column 'id': the id '007' stands twice; a business applies",
        ),
        (
            CSV.replace("009,0", "009,2"),
            "x.csv, line 4, column 'default': the label must have two values, and the values found",
        ),
        (
            CSV.replace("007", "1.1E+17").replace("008", "1.1E+17"),
            "x.csv, lines 2 and 3, column 'id': the id '1.1E+17' stands twice; a spreadsheet has rounded it, so",
        ),
        (CSV.replace("009,0", "009,"), "x.csv, line 4, column 'default': the label is missing"),
        (CSV.replace("size,age", "size,aeg"), "x.csv has no column 'age'. Did you mean 'aeg'?"),
        (CSV.replace("3.5", "3.5 years"), "x.csv, line 2, column 'age': '3.5 years' is not a number"),
    ],
)
def test_a_mistake_in_the_table_is_located(tmp_path: Path, csv: str, problem: str) -> None:
    assert open_error(tmp_path, csv).startswith(problem)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "party.toml: the key file is missing; tables in the folder: 'x.csv'."),
        (
            'file = "../x.csv"',
            "party.toml: file must be the name of a file in the same folder, not '../x.csv'.",
        ),
        ('file = "y.csv"', "y.csv does not exist; tables in its folder: 'x.csv'."),
    ],
)
def test_the_file_must_lie_in_the_partys_folder(tmp_path: Path, line: str, problem: str) -> None:
    assert open_error(tmp_path, declaration=DECLARATION.replace('file = "x.csv"', line)) == problem


def test_the_default_declaration_finds_id_label_and_month(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(
        "age,business_id,month,label,name\n1,007,2024-03,0,a\n2,008,2024-03,1,b\n"
    )

    write_default(tmp_path, "table")

    declaration = read_declaration(tmp_path)
    assert (declaration.id, declaration.label, declaration.month) == ("business_id", "label", "month")
    assert declaration.columns == (Column("age", "numeric"), Column("name", "categorical"))
    assert open_party(tmp_path).ids().tolist() == ["007", "008"]


def test_the_default_declaration_takes_the_first_column_for_the_id_if_none_is_called_so(
    tmp_path: Path,
) -> None:
    (tmp_path / "x.csv").write_text("uscc,month\n007,3\n")

    write_default(tmp_path, "table")

    assert read_declaration(tmp_path).id == "uscc"
    assert read_declaration(tmp_path).column_names == ("month",)


@pytest.mark.parametrize("names", [(), ("a.csv", "b.parquet")])
def test_the_default_declaration_needs_exactly_one_table(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).touch()

    with pytest.raises(DataError, match=f"to declare, and holds {len(names)}"):
        write_default(tmp_path, "table")
