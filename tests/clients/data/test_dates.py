"""Dates as people write them are one and the same day, and count in months."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from clients.data.dates import day_comes_first, days_from_text, months_before


def days(*texts: str | None, day_first: bool | None = None) -> list[str | None]:
    column = pa.chunked_array([pa.array(texts, pa.large_string())])
    return [
        None if day is None else f"{day:%Y-%m-%d}" for day in days_from_text(column, day_first).to_pylist()
    ]


@pytest.mark.parametrize(
    "text",
    [
        "2023-01-05",
        "2023-1-5",
        "2023/1/5",
        "2023.01.05",
        "20230105",
        "20230105123000",
        "2023年1月5日",
        " 2023 年 1 月 5 日 ",
        "２０２３年１月５日",
        "2023-01-05 12:30",
        "2023-01-05T12:30:00.123Z",
        "2023-01-05 12:30:00+08:00",
        "2023年1月5日8:30",
        "2023/1/5 12:00:00 AM",
    ],
)
def test_a_day_has_many_wordings(text: str) -> None:
    assert days(text) == ["2023-01-05"]


def test_a_month_alone_is_its_first_day() -> None:
    assert days("2023年1月", "2023-1", "2023/01") == ["2023-01-01"] * 3


@pytest.mark.parametrize(
    "text", ["2024-13", "2024-02-31", "202401", "2024", "1/2", "n.a.", "2024-01-05 late", "2023-1/5"]
)
def test_what_is_no_date_is_null(text: str) -> None:
    assert days(text, None, day_first=True) == [None, None]


def test_a_day_before_the_year_needs_to_be_known() -> None:
    assert days("05.01.2023", day_first=True) == ["2023-01-05"]
    assert days("05/01/2023", day_first=False) == ["2023-05-01"]
    assert days("05/01/2023") == [None]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["31/12/2022", "05/01/2023"], True),
        (["12/31/2022", "05/01/2023"], False),
        (["05.01.2023", "2023-01-31"], None),
        (["31/12/2022", "12/31/2022"], None),
    ],
)
def test_one_date_tells_how_all_are_written(texts: list[str], expected: bool | None) -> None:
    assert day_comes_first(pa.array([*texts, None])) is expected


def test_months_are_counted_to_the_first_day_of_the_observation_month() -> None:
    day = pd.Series(np.array(["2022-03-01", "2023-02-28", "2023-03-11", "NaT"], "datetime64[s]"))
    as_of = pd.Series(np.array(["2023-03"] * 4, "datetime64[s]"))

    counted = months_before(day, as_of)

    assert counted.tolist() == pytest.approx(
        [365 * 12 / 365.2425, 12 / 365.2425, -120 / 365.2425, np.nan], nan_ok=True
    )
