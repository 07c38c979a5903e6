"""Numbers as people and programs write them become float64, or the row that is none is found."""

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.data import amounts, values
from clients.data.format import Format
from tests.clients.data.test_values import column, failure


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (column([1, None, 3]), [1.0, None, 3.0]),
        (column([2**60 + 1], pa.int64()), [float(2**60)]),
        (column([1.5, float("nan")]), [1.5, None]),
        (column([1.5, None], pa.float32()), [1.5, None]),
        (column([True, False, None]), [1.0, 0.0, None]),
        (column([Decimal("12.30")]), [12.3]),
        (column([None, None], pa.null()), [None, None]),
        (column([" 1 ", "-2.5e3", "+4", "TRUE", "false"]), [1.0, -2500.0, 4.0, 1.0, 0.0]),
        (column(["", "  ", "NA", "NaN", "null", None]), [None] * 6),
        (column(["1", "2", "1"]).dictionary_encode(), [1.0, 2.0, 1.0]),
        (column(["1"], pa.large_string()), [1.0]),
    ],
)
def test_become_floats_with_nulls(cells: pa.ChunkedArray, expected: list[float | None]) -> None:
    converted = amounts.numbers(cells)

    assert converted.type == pa.float64()
    assert converted.to_pylist() == expected


@pytest.mark.parametrize(
    "text", ["1,23", "12 boxes", "1_000", "0x10", "--", "none", "(5", "5万", "1.2.3", "5²"]
)
def test_that_do_not_parse_are_found(text: str) -> None:
    problem, rows = failure(amounts.numbers, column(["1", "2", "NA", text, "also wrong"]))

    assert rows == (3,)
    assert problem.startswith(f"'{text}' is not a number")


@pytest.mark.parametrize("infinite", [float("inf"), float("-inf"), "inf", "-Infinity", "1e999"])
def test_that_are_infinite_are_found(infinite: float | str) -> None:
    _, rows = failure(amounts.numbers, column([None, None, infinite]))

    assert rows == (2,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,234", 1234.0),
        ("-12,345,678.5", -12345678.5),
        ("1 234", 1234.0),
        ("1\u00a0234.5", 1234.5),
        ("1\u202f234", 1234.0),
        ("1'234", 1234.0),
        ("1’234", 1234.0),
        ("¥5", 5.0),
        ("-¥1,234.50", -1234.5),
        ("￥１２，３４５．６", 12345.6),
        ("12 CNY", 12.0),
        ("1,234元", 1234.0),
        ("HK$ 5", 5.0),
        ("(1,234)", -1234.0),
        ("¥(5)", -5.0),
        ("1,234-", -1234.0),
        ("\N{MINUS SIGN}5", -5.0),
        ("1e5", 100000.0),
    ],
)
def test_are_read_as_people_write_them(text: str, expected: float) -> None:
    assert amounts.numbers(column(["1", text, "2,000"])).to_pylist() == [1.0, expected, 2000.0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1.234,5", 1234.5), ("0,5", 0.5), ("1.234", 1234.0), ("1 234,5", 1234.5), ("7", 7.0)],
)
def test_may_have_decimal_commas(text: str, expected: float) -> None:
    assert amounts.numbers(column(["1", text]), Format(decimal=",")).to_pylist() == [1.0, expected]


def test_that_are_per_cents_become_shares() -> None:
    cells = column(["12.5%", "１２％", "-3 %", "0", "(7%)", None])

    assert amounts.numbers(cells).to_pylist() == [0.125, 0.12, -0.03, 0.0, -0.07, None]


@pytest.mark.parametrize(
    ("cells", "row", "end"),
    [
        (["12.5%", "0.1", "3%"], 1, "without a per cent sign in a column of numbers with one"),
        (["12.5", "0.1", "3%", "0"], 2, "with a per cent sign in a column of numbers without one"),
    ],
)
def test_are_not_mixed_with_per_cents(cells: list[str], row: int, end: str) -> None:
    problem, rows = failure(amounts.numbers, column(cells))

    assert rows == (row,)
    assert problem.endswith(f"{end}; write all cells in one way.")


def test_may_leave_strays_out() -> None:
    cells = column(["1", "x", "inf", "-", "2%", "1,000"])
    numbers, strays = amounts.numbers_and_strays(cells, Format(missing=("-",)))

    assert numbers.to_pylist() == [1.0, None, None, None, None, 1000.0]
    assert strays.rows.tolist() == [1, 2, 4]
    assert strays.problem.startswith("'x' is not a number")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (pa.array([90_000], pa.duration("s")), [90_000 / 86_400]),
        (pa.array([5_400], pa.time32("s")), [1.5]),
        (pa.array([2**63], pa.uint64()), [2.0**63]),
        (pa.array([np.float16(1.5)]), [1.5]),
        (pa.array(["1.5"], pa.string_view()), [1.5]),
        (pa.array([b"1.5"]), [1.5]),
        (pa.array([Decimal("12.30")], pa.decimal256(50, 2)), [12.3]),
        (pc.run_end_encode(pa.array([1.5, 1.5])), [1.5, 1.5]),
    ],
)
def test_are_made_of_any_type_that_has_them(cells: pa.Array, expected: list[float]) -> None:
    assert amounts.numbers(pa.chunked_array([cells])).to_pylist() == expected


@pytest.mark.parametrize("cell", [[1.0], {"a": 1.0}])
def test_are_not_nested(cell: Any) -> None:
    for convert in (amounts.numbers, values.texts, values.ids, values.months):
        assert "several in a cell; write each into a column of its own" in failure(convert, column([cell]))[0]


def test_are_not_made_of_bytes() -> None:
    assert "bytes that are not text in UTF-8" in failure(amounts.numbers, column([b"\xff"]))[0]


def test_are_cut_off_where_they_are_long() -> None:
    problem, rows = failure(amounts.numbers, column(["1", "b" * 10**7]))

    assert rows == (1,)
    assert problem.startswith(f"'{'b' * 60}'… is not a number")


def test_are_not_made_of_dates() -> None:
    assert failure(amounts.numbers, column([datetime.date(2024, 3, 1)]))[0].startswith(
        "the column holds values of type date32[day], where numbers are needed"
    )


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_keep_every_bit_of_their_text(floats: list[float]) -> None:
    assert amounts.numbers(column([repr(x) for x in floats], pa.string())).to_pylist() == floats


@settings(deadline=None)
@given(st.integers(1, 40), st.data())
def test_are_blamed_at_the_first_row_that_does_not_parse(length: int, data: st.DataObject) -> None:
    wrong = data.draw(st.sets(st.integers(0, length - 1), min_size=1))
    cells = ["x" if row in wrong else "1" for row in range(length)]

    assert failure(amounts.numbers, column(cells))[1] == (min(wrong),)
