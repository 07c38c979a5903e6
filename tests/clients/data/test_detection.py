"""What columns are, in spite of stray cells, and which of their numbers are codes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clients.data.column import Column
from clients.data.detection import Detected, detect, special_values
from clients.data.files import open_table

AMOUNTS = [str(x / 4) for x in range(95)]


def detected(folder: Path, cells: list[str], has_months: bool = False) -> Detected:
    (folder / "x.csv").write_text("x,y\n" + "".join(f'"{cell}",1\n' for cell in cells), encoding="utf-8")
    return detect(open_table(folder / "x.csv"), ["x"], has_months)[0]


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        (["007", "008"], Column("x", "numeric")),
        (["true", "false"], Column("x", "numeric")),
        (["", ""], Column("x", "numeric")),
        (["a", "2", "3"], Column("x", "categorical")),
        ([*"12345" * 9, *["A"] * 5], Column("x", "categorical")),
        ([*AMOUNTS, *["n.a."] * 5], Column("x", "numeric", stray="missing")),
        ([*AMOUNTS, "inf"], Column("x", "numeric", stray="missing")),
        ([*AMOUNTS, *["open"] * 40], Column("x", "numeric", stray="missing")),
        ([*AMOUNTS, *(f"no. {k}" for k in range(40))], Column("x", "categorical")),
        ([*AMOUNTS, "-999", "-999"], Column("x", "numeric", special=(-999,))),
        (["2023年1月5日", "2023-2-1"], Column("x", "date", "months", reference="2023-02")),
        (["2023-02-01", "9999-12-31"], Column("x", "date", "months", reference="2023-02")),
        (["20230105", "20221231", "19991201"], Column("x", "date", "months", reference="2023-01")),
        (["20230105", "20221231", "19991301"], Column("x", "numeric")),
        (["05.01.2023", "31.12.2022"], Column("x", "date", "months", reference="2023-01", day_first=True)),
        (
            [*["2023-01-05"] * 20, "unknown"],
            Column("x", "date", "months", reference="2023-01", stray="missing"),
        ),
    ],
)
def test_a_column_is_what_most_of_its_cells_are(tmp_path: Path, cells: list[str], column: Column) -> None:
    found = detected(tmp_path, cells)

    assert found.column == column
    assert found.problem == ""


def test_stray_cells_are_kept_by_row_and_are_missing(tmp_path: Path) -> None:
    found = detected(tmp_path, [*AMOUNTS, "n.a.", "7", "inf"])

    assert (found.strays.tolist(), found.stray) == ([95, 97], "'n.a.'")
    assert found.values.isna().to_numpy().nonzero()[0].tolist() == [95, 97]


def test_dates_need_no_reference_where_there_are_observation_months(tmp_path: Path) -> None:
    assert detected(tmp_path, ["2023-01-05", "2023-02-01"], has_months=True).column == Column(
        "x", "date", "months"
    )


def test_dates_that_can_be_read_in_two_ways_are_texts_with_a_remark(tmp_path: Path) -> None:
    found = detected(tmp_path, ["05/01/2023", "03/02/2023"])

    assert found.column == Column("x", "categorical")
    assert "nothing tells the day from the month; write kind = 'date', and day_first = true" in found.problem


def test_a_type_that_no_model_can_use_has_no_declaration(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [[1, 2], [3]]}), tmp_path / "x.parquet")

    (found,) = detect(open_table(tmp_path / "x.parquet"), ["x"], False)

    assert found.column is None
    assert found.problem.startswith("It is left out: the column holds values of type list")


def test_a_mixture_of_per_cents_and_shares_is_left_out_with_the_reason(tmp_path: Path) -> None:
    found = detected(tmp_path, [*(f"{k / 4}%" for k in range(60)), *(str(k / 400) for k in range(1, 40))])

    assert found.column is None
    assert found.problem.startswith("It is left out: '0.0025' stands without a per cent sign")


RNG = np.random.default_rng(0)
NORMAL, AMOUNT = RNG.normal(size=2_000), RNG.gamma(2, 100, 2_000).round()


def with_codes(values: np.ndarray, *codes: float, share: float = 0.05) -> np.ndarray:
    mixed = values.astype(float)
    for start, code in enumerate(codes):
        mixed[start :: int(1 / share)] = code
    return mixed


@pytest.mark.parametrize(
    ("values", "special"),
    [
        (with_codes(NORMAL, -999, share=0.3), (-999,)),
        (with_codes(AMOUNT, -999, 99999999), (-999, 99999999)),
        (with_codes(AMOUNT, -9, -8, -7), (-9, -8, -7)),
        (with_codes(AMOUNT, -1), (-1,)),
        (with_codes(AMOUNT, 7777777), (7777777,)),
        (with_codes(AMOUNT, -999, share=0.001), (-999,)),
        (with_codes(RNG.lognormal(12, 3, 2_000), 99999999), (99999999,)),
        (with_codes(RNG.integers(18, 80, 2_000), 99), (99,)),
        (with_codes(RNG.integers(0, 6, 2_000), 99, np.nan), (99,)),
    ],
)
def test_codes_far_from_the_other_values_are_special(values: np.ndarray, special: tuple[float, ...]) -> None:
    assert special_values(values) == special


@pytest.mark.parametrize(
    "values",
    [
        NORMAL,
        AMOUNT,
        with_codes(NORMAL, -1),
        with_codes(AMOUNT + 500, 0),
        np.minimum(AMOUNT, 99),
        with_codes(AMOUNT, 7777777, share=0.005),
        RNG.integers(-1, 2, 2_000).astype(float),
        RNG.integers(0, 101, 2_000).astype(float),
        RNG.lognormal(12, 3, 2_000),
        np.full(20, np.nan),
        np.ones(20),
    ],
)
def test_what_does_not_stand_apart_is_not_special(values: np.ndarray) -> None:
    assert special_values(values) == ()
