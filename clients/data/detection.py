"""What the columns of a table are: numbers, dates or texts, which cells are stray, and which numbers are codes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.types as pat

from clients.data import amounts, values
from clients.data.cells import BadValues, shown
from clients.data.column import Column
from clients.data.dates import day_comes_first, days_from_text
from clients.data.format import Format
from clients.data.table_file import Strays, TableFile

FEW, MANY = 12, 50
"""Up to FEW distinct values whole numbers may be codes; more than MANY categories are many."""

_STRAY = 0.05
"""Up to this share of the cells may be stray without a doubt of what the column holds."""
_PILE, _MARGIN = 0.01, 0.1
"""Special values have a larger share of the cells, and are further from the others than this part of their range."""
_NINES = np.array([sign * (10.0**digits - 1) for digits in range(2, 13) for sign in (1, -1)])
_CODES = np.arange(-9.0, 0.0)
_LONG, _MOST_SPECIAL = 10.0**5, 20
_DATES, _FIRST_DAY, _LAST_DAY = 3, 19000101, 21001231
"""Numbers are dates if there are so many different ones, all between these days."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Detected:
    """What a column of a table is: its declaration, None if no model can use its type, with a sentence that says so.

    values   (rows,) float64, datetime64[s] or texts, missing where cells are stray; special values stand as they are
    strays   int64: the rows of the stray cells, counted from 0, ascending
    stray    the first stray cell, in quotation marks
    problem  why there is no declaration, or what the owner should know of the column

    has_per_cents says that numbers are written with a per cent sign.
    """

    name: str
    column: Column | None
    values: pd.Series
    strays: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    stray: str = ""
    problem: str = ""
    has_per_cents: bool = False


def detect(file: TableFile, names: Iterable[str], has_months: bool) -> list[Detected]:
    """Look at columns of a table; `has_months` says that its rows have observation months, which dates count to."""
    cells = file.cells(names)
    return [_detect(name, cells[name], file.format, has_months) for name in cells]


def _detect(name: str, cells: pa.ChunkedArray, format: Format, has_months: bool) -> Detected:
    if not name.strip():
        return Detected(
            name, None, pd.Series(dtype=object), problem="It has no name; give it one to offer it."
        )
    try:
        return _number(name, cells, format) or _date(name, cells, format, has_months) or _text(name, cells)
    except BadValues as error:
        return Detected(name, None, pd.Series(dtype=object), problem=f"It is left out: {error.problem}")


def _number(name: str, cells: pa.ChunkedArray, format: Format) -> Detected | None:
    try:
        column, strays = amounts.numbers_and_strays(cells, format)
    except BadValues:
        return None
    numbers = pd.Series(column.to_numpy())
    distinct = numbers.dropna().unique()
    is_measured = len(distinct) > MANY or bool((distinct % 1 != 0).any())
    if not _are_few(strays.rows, cells, numbers.count(), is_measured):
        # Numbers of which only some have a per cent sign are no texts either.
        if amounts.share_of_numbers(cells, format) >= amounts.NEARLY_ALL:
            raise BadValues(strays.problem)
        return None
    if _are_compact_dates(distinct):
        return None
    has_per_cents = amounts.has_per_cents(cells, format)
    declared = Column(
        name,
        "numeric",
        unit="share" if has_per_cents else "",
        special=special_values(numbers.to_numpy()),
        stray=_stray(strays.rows),
    )
    return Detected(
        name, declared, numbers, strays.rows, _first(strays.rows, cells), has_per_cents=has_per_cents
    )


def _date(name: str, cells: pa.ChunkedArray, format: Format, has_months: bool) -> Detected | None:
    texts = values.texts(cells) if not (pat.is_timestamp(cells.type) or pat.is_date(cells.type)) else None
    day_first = None if texts is None else day_comes_first(texts)
    column, strays = values.dates_and_strays(cells if texts is None else texts, format, day_first)
    days = column.to_pandas()
    if not days.count() or not _are_few(strays.rows, cells, days.count(), True):
        return None
    past = days[days <= datetime.now()]
    reference = "" if has_months else f"{(past if len(past) else days).max():%Y-%m}"
    declared = Column(
        name, "date", "months", reference=reference, day_first=day_first, stray=_stray(strays.rows)
    )
    return Detected(name, declared, days, strays.rows, _first(strays.rows, cells))


def _text(name: str, cells: pa.ChunkedArray) -> Detected:
    texts = values.texts(cells)
    _, strays = values.dates_and_strays(texts, day_first=True)
    problem = (
        "These may be dates, but nothing tells the day from the month; write kind = 'date', and day_first = true or "
        "false."
        if len(strays.rows) == 0
        else ""
    )
    return Detected(name, Column(name, "categorical"), texts.to_pandas(), problem=problem)


def _are_few(strays: Rows, cells: pa.ChunkedArray, others: int, is_measured: bool) -> bool:
    """Whether a column is what its other cells are, in spite of stray ones: few of them, or of few wordings."""
    if len(strays) <= _STRAY * (len(strays) + others):
        return True
    return is_measured and len(strays) < others and len(cells.take(pa.array(strays)).unique()) <= FEW


def _first(strays: Rows, cells: pa.ChunkedArray) -> str:
    return shown(cells[int(strays[0])]) if len(strays) else ""


def _stray(strays: Rows) -> Strays:
    return "missing" if len(strays) else "error"


def _are_compact_dates(numbers: npt.NDArray[np.float64]) -> bool:
    """Whether different numbers are all like 20230105: of eight digits at random, one in twenty-seven is a day."""
    is_in_range = (numbers >= _FIRST_DAY) & (numbers <= _LAST_DAY) & (numbers % 1 == 0)
    if len(numbers) < _DATES or not is_in_range.all():
        return False
    return bool(days_from_text(pa.array(numbers.astype(np.int64)).cast(pa.large_string())).null_count == 0)


def special_values(numbers: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """Values of a column (rows,), NaN where missing, that are codes: they pile up far from all others.

    These are nines such as -999 outside of the range of the others, long ones such as 99999999 anywhere, whole numbers
    from -9 to -1 where the others are not negative, and any value further away from the others than these are from each
    other. Zero is none.
    """
    present = numbers[~np.isnan(numbers)]
    distinct, counts = np.unique(present, return_counts=True)
    is_nines = np.isin(distinct, _NINES) & (counts > 1)
    others, piles = (
        distinct[~is_nines],
        set(distinct[(counts > _PILE * len(present)) & (distinct != 0)].tolist()),
    )
    negative = others[others < 0]
    if piles.issuperset(negative.tolist()) and np.isin(negative, _CODES).all() and (others >= 0).sum() > FEW:
        others = others[others >= 0]
    while len(others) > FEW + 1 and others[0] in piles and others[1] - others[0] > others[-1] - others[1]:
        others = others[1:]
    while len(others) > FEW + 1 and others[-1] in piles and others[-1] - others[-2] > others[-2] - others[0]:
        others = others[:-1]
    if len(others) < 2:
        return ()
    low, high = others[0], others[-1]
    margin = _MARGIN * (high - low)
    is_far = (distinct < low - margin) | (distinct > high + margin) | ((distinct < 0) & (low >= 0))
    is_long = is_nines & (np.abs(distinct) >= _LONG) & (counts > _PILE * len(present))
    special = distinct[is_far | is_long].tolist()[:_MOST_SPECIAL]
    return tuple(int(value) if value.is_integer() else value for value in special)
