"""A column of any Arrow type becomes what it should be, or the row that cannot is found."""

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest

from clients.data import values
from clients.data.cells import LONGEST, BadValues


def column(cells: list[Any], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    """The cells in chunks of two, as a file's row groups may cut them."""
    array = pa.array(cells, kind)
    return pa.chunked_array([array[start : start + 2] for start in range(0, len(array), 2)], array.type)


def failure(
    convert: Callable[[pa.ChunkedArray], pa.ChunkedArray], cells: pa.ChunkedArray
) -> tuple[str, tuple[int, ...]]:
    with pytest.raises(BadValues) as caught:
        convert(cells)
    return caught.value.problem, caught.value.rows


class TestTexts:
    @pytest.mark.parametrize(
        ("cells", "expected"),
        [
            (column([" north ", "", "  ", None]), ["north", None, None, None]),
            (column([1, None]), ["1", None]),
            (column([2.0, 2.5, float("nan"), None]), ["2", "2.5", None, None]),
            (column([-3.0, 1e300]), ["-3", "1e+300"]),
            (column([True, None]), ["true", None]),
            (column([None], pa.null()), [None]),
            (column(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        ],
    )
    def test_are_trimmed_and_codes_are_whole(
        self, cells: pa.ChunkedArray, expected: list[str | None]
    ) -> None:
        assert values.texts(cells).to_pylist() == expected

    def test_are_no_documents(self) -> None:
        problem, rows = failure(values.texts, column(["a", "b" * LONGEST, "c" * 10**7]))

        assert rows == (2,)
        assert problem.startswith("the cell has 10,000,000 characters")

    def test_are_not_made_of_dates(self) -> None:
        assert "where texts are needed" in failure(values.texts, column([datetime.date(2024, 3, 1)]))[0]


class TestIds:
    def test_are_kept_as_they_stand(self) -> None:
        assert values.ids(column(["007", "91350100M000100Y43", "a b"])).to_pylist() == [
            "007",
            "91350100M000100Y43",
            "a b",
        ]

    def test_that_are_whole_numbers_become_their_decimal_text(self) -> None:
        assert values.ids(column([7, 2**62], pa.int64())).to_pylist() == ["7", str(2**62)]

    @pytest.mark.parametrize("cells", [["a", None], ["a", ""], ["a", "  "], [1, None], [1.0, float("nan")]])
    def test_must_be_there(self, cells: list[Any]) -> None:
        assert failure(values.ids, column(cells)) == ("the id is missing.", (1,))

    @pytest.mark.parametrize("stray", [" 007", "007 ", "007\t", "\u3000007", "007\n"])
    def test_with_stray_spaces_are_found(self, stray: str) -> None:
        problem, rows = failure(values.ids, column(["1", "2", stray]))

        assert rows == (2,)
        assert problem == f"the id {stray!r} has spaces around it; remove them."

    def test_may_be_decimals_or_uuids(self) -> None:
        assert values.ids(column([Decimal(10**19)], pa.decimal128(38, 0))).to_pylist() == [str(10**19)]
        uuids = pa.chunked_array([pa.array([UUID(int=7).bytes], pa.uuid())])
        assert values.ids(uuids).to_pylist() == [str(UUID(int=7))]

    @pytest.mark.parametrize("other", ["AB1", "a b1", "ａｂ1", "ab\u30001"])
    def test_that_look_alike_are_found(self, other: str) -> None:
        problem, rows = failure(values.ids, column(["x", "ab1", "y", "ab1", other]))

        assert rows == (1, 4)
        assert problem == (
            f"the ids 'ab1' and {other!r} differ only in letter case, width or spaces; "
            "write each business's id in one way."
        )

    def test_that_are_long_are_not_repeated(self) -> None:
        problem, rows = failure(values.ids, column(["a", " " + "b" * 10**7]))

        assert rows == (1,)
        assert problem == "the cell has 10,000,001 characters, and at most 10,000 are read; shorten it."
        assert len(failure(values.ids, column([" " + "b" * 9000]))[0]) < 150

    def test_are_not_floats(self) -> None:
        assert "type double; store ids as texts" in failure(values.ids, column([7.0]))[0]


class TestMonths:
    @pytest.mark.parametrize(
        "cells",
        [
            column(["2024-03", " 2024-03-01", "2024-03-31", "2024-03-15 00:00:00"]),
            column(["2024年3月", "2024/3/5", "2024.03.05", "20240305", "31/03/2024", "01/03/2024"]),
            column([datetime.date(2024, 3, 1), datetime.date(2024, 3, 31)]),
            column([datetime.datetime(2024, 3, 31, 23, 59)], pa.timestamp("ns")),
            column(
                [datetime.datetime(2024, 2, 29, 17, tzinfo=datetime.UTC)],
                pa.timestamp("us", tz="Asia/Shanghai"),
            ),
        ],
    )
    def test_become_their_first_day(self, cells: pa.ChunkedArray) -> None:
        converted = values.months(cells)

        assert converted.type == pa.timestamp("s")
        assert set(converted.to_pylist()) == {datetime.datetime(2024, 3, 1)}

    @pytest.mark.parametrize("text", ["2024-13", "03/2024", "202403", "March", "2024-02-31"])
    def test_that_do_not_parse_are_found(self, text: str) -> None:
        problem, rows = failure(values.months, column(["2024-01", "2024-02", text]))

        assert rows == (2,)
        assert problem == f"'{text}' is not a month; write it like 2024-03 or 2024-03-01."

    @pytest.mark.parametrize("cells", [["2024-01", ""], ["2024-01", None], [datetime.date(2024, 3, 1), None]])
    def test_must_be_there(self, cells: list[Any]) -> None:
        assert failure(values.months, column(cells)) == ("the month is missing.", (1,))

    def test_that_lie_in_the_future_are_found(self) -> None:
        today = datetime.date.today()
        assert len(values.months(column([today]))) == 1

        problem, rows = failure(values.months, column(["2024-01", "2024-02", f"{today.year + 7}-03"]))

        assert rows == (2,)
        assert problem == (f"{today.year + 7}-03 lies in the future (it is {today:%Y-%m}); correct the date.")

    def test_are_not_numbers(self) -> None:
        assert failure(values.months, column([202403]))[0].startswith("202403 is not a month; write it like")


class TestDates:
    @pytest.mark.parametrize(
        "cells",
        [
            column(["2024-03-05", "2024年3月5日", "20240305"]),
            column([20240305], pa.int32()),
            column([20240305.0, None]),
            column([datetime.date(2024, 3, 5)]),
            column([datetime.datetime(2024, 3, 5)], pa.timestamp("ns")),
        ],
    )
    def test_become_days(self, cells: pa.ChunkedArray) -> None:
        days, strays = values.dates_and_strays(cells)

        assert set(days.to_pylist()) - {None} == {datetime.datetime(2024, 3, 5)}
        assert len(strays.rows) == 0

    def test_that_are_none_are_stray(self) -> None:
        days, strays = values.dates_and_strays(column(["2024-03-05", "NA", "soon", "05/03/2024"]))

        assert days.null_count == 3
        assert strays.rows.tolist() == [2, 3]
        assert strays.problem == "'soon' is not a date like 2024-03-01."


class TestLabels:
    @pytest.mark.parametrize("cells", [[0, 1], [0.0, 1.0], ["0", "1"], [False, True], ["0.0", "1.0"]])
    def test_are_zero_or_one(self, cells: list[Any]) -> None:
        converted = values.labels(column(cells))

        assert converted.type == pa.int8()
        assert converted.to_pylist() == [0, 1]

    @pytest.mark.parametrize(
        ("cells", "row", "found"), [([0, 1, 2], 2, "0, 1, 2"), ([3, 1, 4, 5, 9, 2, 6], 0, "1, 2, 3, 4, 5, …")]
    )
    def test_of_more_than_two_values_are_shown(self, cells: list[Any], row: int, found: str) -> None:
        assert failure(values.labels, column(cells)) == (
            f"the label must have two values, and the values found are {found}; leave out the rows of the others.",
            (row,),
        )

    @pytest.mark.parametrize(
        ("cells", "found"), [(["no", "yes", None], "no, yes"), ([0.5, 1.0], "0.5, 1"), ([2, 2], "2")]
    )
    def test_of_other_values_need_one_that_means_default(self, cells: list[Any], found: str) -> None:
        problem, rows = failure(values.labels, column(cells))

        assert rows == (0,)
        assert problem == (
            f"the values of the label are {found}; say which one means default, by the option --bad of init-party or a "
            f'line such as bad = "{found.split(", ")[-1]}" in party.toml.'
        )

    @pytest.mark.parametrize(
        ("cells", "bad"),
        [
            (["N", "Y"], "Y"),
            (["good", " bad "], "bad"),
            ([1, 2], 2),
            ([1.0, 2.0], "2"),
            (["1", "2.0"], 2.0),
            ([True, False], False),
            (["TRUE", "false"], 0),
            (["好", "坏", "好"], "坏"),
        ],
    )
    def test_of_two_values_are_one_where_they_are_the_bad_one(
        self, cells: list[Any], bad: str | float
    ) -> None:
        assert values.labels(column(cells), bad=bad).to_pylist()[:2] == [0, 1]

    def test_lack_a_bad_value_that_is_none_of_theirs(self) -> None:
        assert failure(lambda cells: values.labels(cells, bad="J"), column(["N", "Y"]))[0].startswith(
            "the values of the label are N, Y, and 'J' is none of them; say which one means default"
        )
        assert (
            "must have two values"
            in failure(lambda cells: values.labels(cells, bad="c"), column(list("abc")))[0]
        )

    @pytest.mark.parametrize("cells", [[1, None], ["1", "NA"], [1.0, float("nan")]])
    def test_must_be_there(self, cells: list[Any]) -> None:
        problem, rows = failure(values.labels, column(cells))

        assert rows == (1,)
        assert problem.startswith("the label is missing")
