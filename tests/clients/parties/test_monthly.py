"""Monthly records side by side, and what is computed of them."""

import numpy as np
import pandas as pd
import pytest

from clients.data.errors import DataError
from clients.parties.monthly import (
    Panel,
    highest,
    log_amount,
    log_ratio,
    lowest,
    mean,
    share_of_months,
    total,
    trend,
    volatility,
    year_on_year,
)

NAN = float("nan")


def table(*rows: tuple[str, str, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["business_id", "month", "value"])
    return frame.assign(month=pd.to_datetime(frame["month"]).astype("datetime64[s]"))


def as_of(**months: str) -> pd.Series:
    return pd.Series(pd.to_datetime(list(months.values())), index=list(months)).astype("datetime64[s]")


def test_a_panel_counts_months_back_from_each_businesss_own_month() -> None:
    records = table(("a", "2023-01", 1), ("a", "2023-03", 3), ("b", "2022-12", 7), ("b", "2023-01", 8))
    panel = Panel(records, as_of(b="2023-01", a="2023-03", c="2023-03"), months=3)
    assert panel["value"] == pytest.approx(np.array([[8, 7, NAN], [3, NAN, 1], [NAN] * 3]), nan_ok=True)


def test_later_and_much_earlier_months_have_no_place() -> None:
    records = table(("a", "2023-04", 9), ("a", "2023-03", 3), ("a", "2021-01", 5), ("x", "2023-03", 6))
    assert Panel(records, as_of(a="2023-03"), months=2)["value"].tolist()[0][0] == 3
    assert np.isnan(Panel(records, as_of(a="2023-03"), months=2)["value"][0, 1])


def test_without_observation_months_the_last_month_of_the_table_counts() -> None:
    records = table(("a", "2023-02", 2), ("b", "2023-03", 3))
    months = pd.Series(np.array(["NaT", "NaT"], dtype="datetime64[s]"), index=["a", "b"])
    assert Panel(records, months, months=2)["value"] == pytest.approx(
        np.array([[NAN, 2], [3, NAN]]), nan_ok=True
    )


def test_no_records_and_no_businesses_are_empty_panels() -> None:
    assert np.isnan(Panel(table(), as_of(a="2023-03"))["value"]).all()
    nobody = pd.Series([], index=pd.Index([], dtype=str), dtype="datetime64[s]")
    assert Panel(table(("a", "2023-03", 1)), nobody)["value"].shape == (0, 18)


def test_two_records_of_a_month_are_an_error_that_names_them() -> None:
    records = table(("a", "2023-03", 1), ("b", "2023-03", 1), ("b", "2023-03", 2))
    with pytest.raises(DataError, match=r"business 'b' has more than one record of 2023-03"):
        Panel(records, as_of(a="2023-03", b="2023-03"))


VALUES = np.array([[4.0, NAN, 2.0, 1.0], [NAN, NAN, NAN, 5.0]])


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (total, [6, NAN]),
        (mean, [3, NAN]),
        (highest, [4, NAN]),
        (lowest, [2, NAN]),
        (share_of_months, [1, NAN]),
    ],
)
def test_missing_months_are_skipped(function, expected) -> None:
    assert function(VALUES, 0, 3) == pytest.approx(expected, nan_ok=True)


def test_ratios_are_bounded_and_missing_without_a_denominator() -> None:
    ratios = log_ratio(np.array([1.0, 0.0, 1e9, 1.0, NAN]), np.array([1.0, 1.0, 1.0, 0.0, 1.0]))
    assert ratios == pytest.approx([0, np.log(1e-3), np.log(1e3), NAN, NAN], nan_ok=True)


def test_amounts_below_zero_count_as_zero() -> None:
    assert log_amount(np.array([-5.0, 0.0, np.e - 1])) == pytest.approx([0, 0, 1])


def test_trends_compare_with_the_months_before_and_with_a_year_ago() -> None:
    doubled = np.concatenate([np.full(3, 2.0), np.full(12, 1.0)])[None]
    assert trend(doubled, 3) == pytest.approx(np.log([2]))
    assert year_on_year(doubled, 3) == pytest.approx(np.log([2]))
    assert np.isnan(trend(doubled[:, :3], 3)).all()


def test_volatility_needs_three_months() -> None:
    assert volatility(np.array([[1.0, 3.0, NAN, NAN]]), 0, 4) == pytest.approx([NAN], nan_ok=True)
    assert volatility(np.array([[1.0, 3.0, 1.0, 3.0]]), 0, 4) == pytest.approx(np.log([0.5]))
