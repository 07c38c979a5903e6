"""The first look at a table: kinds, what is left out and why, and what may be a leak."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clients.data.declaration import write_declaration
from clients.data.errors import DataError
from clients.data.inspection import Seen, inspect_table
from clients.parties import open_party

ROWS = 200


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    default = (np.arange(ROWS) % 4 == 0).astype(int)
    return pd.DataFrame(
        {
            "id": [f"c{number:04d}" for number in rng.permutation(ROWS)],
            "default": default,
            "month": np.where(np.arange(ROWS) % 2, "2024-03", "2024-04"),
            "turnover": rng.normal(size=ROWS),
            "sector": rng.choice(["coal", "food", "纺织"], ROWS),
            "stage": rng.integers(1, 5, ROWS),
            "street": rng.choice([f"street {number}" for number in range(60)], ROWS),
            "gaps": np.where(rng.random(ROWS) < 0.25, np.nan, rng.normal(size=ROWS)),
            "line": np.arange(ROWS) + 17,
            "firm": [f"firm {number}" for number in range(ROWS)],
            "country": "CN",
            "nothing": np.nan,
            "founded": pd.date_range("1990-01-01", periods=ROWS).strftime("%Y-%m-%d"),
        }
    )


def seen(table: pd.DataFrame, folder: Path, suffix: str = "csv", **roles: str) -> dict[str, Seen]:
    path = folder / f"own.{suffix}"
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path, index=False)
    inspection = inspect_table(path, **{"id": "id", "label": "default", "month": "month"} | roles)
    assert inspection.rows == len(table)
    return {column.name: column for column in inspection.columns}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_kinds_are_inferred_and_what_no_model_can_use_is_left_out(
    table: pd.DataFrame, tmp_path: Path, suffix: str
) -> None:
    found = seen(table, tmp_path, suffix)

    assert list(found) == list(table)
    assert {name: column.role for name, column in found.items()} == {
        "id": "id",
        "default": "label",
        "month": "month",
        "turnover": "numeric",
        "sector": "categorical",
        "stage": "numeric",
        "street": "categorical",
        "gaps": "numeric",
        "line": "left out",
        "firm": "left out",
        "country": "left out",
        "nothing": "left out",
        "founded": "date",
    }
    said = {name: " ".join(column.remarks) for name, column in found.items()}
    assert said["default"] == "25.0% are defaults."
    assert said["turnover"] == said["sector"] == said["gaps"] == ""
    assert said["stage"].startswith("It has few whole numbers; if they are codes")
    assert said["street"].startswith("It has many categories")
    assert said["line"] == "It counts up like a row number."
    assert "a different text" in said["firm"]
    assert said["country"] == "It is the same in every row."
    assert said["nothing"] == "No row has a value."
    assert said["founded"] == "Models get the months from the date to the observation month."
    assert found["gaps"].missing == pytest.approx(table["gaps"].isna().mean())
    assert found["sector"].distinct == 3


def test_dates_of_a_parquet_file_are_dates_too(table: pd.DataFrame, tmp_path: Path) -> None:
    found = seen(table.assign(founded=pd.to_datetime(table["founded"])), tmp_path, "parquet")

    assert found["founded"].role == "date"


def test_what_is_written_can_be_opened(table: pd.DataFrame, tmp_path: Path) -> None:
    table.to_csv(tmp_path / "own.csv", index=False)
    inspection = inspect_table(tmp_path / "own.csv", "id", "default", "month")
    write_declaration(tmp_path, inspection.declaration)

    party = open_party(tmp_path)

    assert party.declaration.column_names == ("turnover", "sector", "stage", "street", "gaps", "founded")
    assert len(party.applications()) == ROWS
    assert party.applications()["month"].notna().all()


@pytest.mark.parametrize(
    "leak",
    [
        lambda default: default * 5000.0,
        lambda default: -default + np.linspace(0, 0.5, ROWS),
        lambda default: np.where(default == 1, "written off", "open"),
        lambda default: np.where(default == 1, 1.5, np.nan),
    ],
    ids=["amount", "falling", "category", "gaps"],
)
def test_a_column_that_nearly_equals_the_label_is_marked(table: pd.DataFrame, tmp_path: Path, leak) -> None:
    found = seen(table.assign(after=leak(table["default"].to_numpy())), tmp_path)

    (said,) = (remark for remark in found["after"].remarks if "LEAK" in remark)
    assert "AUC 1.000" in said
    assert [name for name, column in found.items() if "LEAK" in " ".join(column.remarks)] == ["after"]
    without_label = seen(
        table.assign(after=leak(table["default"].to_numpy())), tmp_path, label=None, month=None
    )
    assert "LEAK" not in " ".join(without_label["after"].remarks)


def test_the_row_labels_that_pandas_writes_are_left_out(table: pd.DataFrame, tmp_path: Path) -> None:
    table.sample(frac=0.9, random_state=1).to_parquet(tmp_path / "own.parquet")

    (labels,) = inspect_table(tmp_path / "own.parquet", "id").columns[-1:]

    assert (labels.name, labels.role) == ("__index_level_0__", "left out")


def test_ids_that_count_up_are_remarked(table: pd.DataFrame, tmp_path: Path) -> None:
    found = seen(table.assign(id=np.arange(ROWS)[::-1]), tmp_path)

    assert found["id"].remarks[0].startswith("The ids count up like row numbers")


def test_a_label_that_never_changes_is_remarked(table: pd.DataFrame, tmp_path: Path) -> None:
    assert "the same in every row" in seen(table.assign(default=0), tmp_path)["default"].remarks[1]


def test_stray_cells_are_counted_and_the_first_is_named(table: pd.DataFrame, tmp_path: Path) -> None:
    turnover = table["turnover"].astype(object)
    turnover[15], turnover[40], turnover[90] = "n.y.a.", "inf", "broken"
    found = seen(table.assign(turnover=turnover), tmp_path)

    assert found["turnover"].remarks == (
        "3 cells are no number, the first 'n.y.a.' in line 17; stray = \"missing\" lets such a cell count as missing.",
    )
    assert (found["turnover"].role, found["turnover"].missing) == ("numeric", 3 / ROWS)


def test_special_values_are_named_with_their_share(table: pd.DataFrame, tmp_path: Path) -> None:
    found = seen(table.assign(turnover=table["turnover"].mask(np.arange(ROWS) % 5 == 0, -999)), tmp_path)

    (said,) = found["turnover"].remarks
    assert said.startswith("20.0% are -999, far from all others; as special values they count as missing")


def test_dates_after_the_observation_month_may_be_a_leak(table: pd.DataFrame, tmp_path: Path) -> None:
    last_call = np.where(np.arange(ROWS) % 10 == 0, "2024年5月1日", "2024/4/30")
    found = seen(table.assign(founded=last_call, month="2024-04"), tmp_path)

    assert found["founded"].remarks[0].startswith("LEAK? 10.0% of the dates lie after the observation month;")


def test_doubtful_ids_are_named_with_the_line(table: pd.DataFrame, tmp_path: Path) -> None:
    ids = table["id"].mask(table.index == 3, "1.1E+17")

    assert (
        "1 of the ids, the first '1.1E+17' in line 5, look like"
        in seen(table.assign(id=ids), tmp_path)["id"].remarks[0]
    )


@pytest.mark.filterwarnings("error")
def test_another_column_that_could_be_the_id_is_named(table: pd.DataFrame, tmp_path: Path) -> None:
    code = [f"K{number:05d}" for number in range(ROWS)]
    phone = 13_800_000_000 + np.arange(ROWS) * 7_919
    found = seen(table.assign(code=code, phone=phone), tmp_path)

    assert found["id"].remarks == (
        "'code', 'phone' could be the id, too; by --id name the one that the other parties have.",
    )
    spoilt = seen(table.assign(id=[f"1.1E+{17 + number}" for number in range(ROWS)]), tmp_path)
    assert spoilt["id"].remarks[0].startswith(f"{ROWS} of the ids, the first '1.1E+17' in line 2")


def test_a_label_of_two_words_needs_the_bad_one(table: pd.DataFrame, tmp_path: Path) -> None:
    table["default"] = table["default"].map({0: "N", 1: "Y"})

    assert seen(table, tmp_path, bad="Y")["default"].remarks == ("25.0% are defaults.",)
    with pytest.raises(
        DataError, match=r'values of the label are N, Y; .* --bad of init-party .* bad = "Y" in party.toml'
    ):
        seen(table, tmp_path)


@pytest.mark.parametrize(
    ("changes", "roles", "problem"),
    [
        ({}, {"id": "uscc"}, "own.csv has no column 'uscc'."),
        ({"id": "twin"}, {}, "own.csv, lines 2 and 3, column 'id': the id 'twin' stands twice"),
        ({"default": 2}, {}, "column 'default': the values of the label are 2; say which one means default"),
        ({}, {"label": None}, "the observation month belongs to the party that holds the label"),
        (
            {},
            {"label": "sector"},
            "the label must have two values, and the values found are coal, food, 纺织;",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    table: pd.DataFrame, tmp_path: Path, changes: dict, roles: dict, problem: str
) -> None:
    with pytest.raises(DataError) as caught:
        seen(table.assign(**changes), tmp_path, **roles)

    assert problem in str(caught.value)


def test_a_table_of_ids_alone_is_refused(table: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no column that a model could use"):
        seen(table[["id", "country"]], tmp_path, label=None, month=None)
