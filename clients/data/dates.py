"""Dates as people write them: 2023-01-05, 2023/1/5, 2023.01.05, 20230105, 2023年1月5日 and 31/12/2022.

A time may follow, and does not count. A month alone, such as 2023-01 or 2023年1月, stands for its first day.
"""

import re
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

DAYS_PER_MONTH = 365.2425 / 12
_ZONE = r"(?:Z|UTC|[+-]\d{2}(?::?\d{2})?)?"
_TIME = rf"(?:(?:[T\s]|(?<=日))\s*\d{{1,2}}:\d{{2}}(?::\d{{2}}(?:[.,]\d+)?)?\s*(?:[AaPp][Mm])?\s*{_ZONE})?"
_YEAR_FIRST = tuple(
    re.compile(form + _TIME)
    for form in (
        r"(?P<year>\d{4})([-/.])(?P<month>\d{1,2})(?:\2(?P<day>\d{1,2}))?",
        r"(?P<year>\d{4})\s*年\s*(?P<month>\d{1,2})\s*月(?:\s*(?P<day>\d{1,2})\s*日)?",
        r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})(?:\d{6})?",
    )
)
_YEAR_LAST = re.compile(r"(?P<first>\d{1,2})([-/.])(?P<second>\d{1,2})\2(?P<year>\d{4})" + _TIME)


def days_from_text(
    cells: pa.ChunkedArray | pa.Array, day_first: bool | None = None
) -> pa.ChunkedArray | pa.Array:
    """Texts (n,) as timestamp[s], null where a cell holds no date.

    day_first says how 05/01/2023 is read; if it is None, such a date is none.
    """
    # The dates of a column repeat, so each text is looked at once.
    unique = cells.unique()
    days = pa.array([_day(text, day_first) for text in unique.to_pylist()], pa.timestamp("s"))
    return days.take(pc.index_in(cells, unique))


def day_comes_first(cells: pa.ChunkedArray | pa.Array) -> bool | None:
    """Whether dates such as 31/12/2022 begin with the day; None where no text (n,) tells, or two disagree."""
    texts = cells.unique().drop_null().to_pylist()
    matches = [match for text in texts if (match := _YEAR_LAST.fullmatch(text.strip()))]
    first, second = (any(int(match[part]) > 12 for match in matches) for part in ("first", "second"))
    return first if first != second else None


def months_before(days: pd.Series, as_of: pd.Series) -> pd.Series:
    """The months (n,) from each day to the first day of the month `as_of`, float64: days by the mean length of a month.

    Negative for days after that one, NaN where either is missing. Both are datetime64[s].
    """
    first = as_of.to_numpy().astype("datetime64[M]").astype("datetime64[s]")
    return (first - days) / np.timedelta64(1, "D") / DAYS_PER_MONTH


def _day(text: str | None, day_first: bool | None) -> datetime | None:
    text = (text or "").strip()
    for form in _YEAR_FIRST:
        if match := form.fullmatch(text):
            return _calendar(match["year"], match["month"], match["day"] or "1")
    if day_first is not None and (match := _YEAR_LAST.fullmatch(text)):
        day, month = ("first", "second") if day_first else ("second", "first")
        return _calendar(match["year"], match[month], match[day])
    return None


def _calendar(year: str, month: str, day: str) -> datetime | None:
    try:
        return datetime(int(year), int(month), int(day))
    except ValueError:
        return None
