"""Strict conversion of a column, as a file holds it, to ids, numbers, texts, months or labels.

Each function takes an Arrow column of any type and returns one of a single type, or raises `BadValues` with
the row that cannot be converted. Whole columns are converted at once; only a failure is searched for, by
bisection.
"""

from collections.abc import Callable
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

MISSING = ("", "NA", "N/A", "na", "n/a", "NaN", "nan", "NAN", "null", "Null", "NULL")
"""Cells of a text file that mean that there is no value."""

LONGEST = 10_000
"""The most characters of a text or id; a longer one is a document, or the rest of a file with a wrong quote."""

_SHOWN_VALUES = 5
_SHOWN_CHARACTERS = 60
_EXACT_IN_FLOAT = 2**53
_TEXT = pa.large_string()


class BadValues(ValueError):
    """A column cannot be converted: a sentence that says why, and the rows at fault (counted from 0), if any."""

    def __init__(self, problem: str, *rows: int) -> None:
        """Takes the sentence and the rows."""
        super().__init__(problem)
        self.problem, self.rows = problem, rows


def numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Finite float64 with nulls; true and false become 1 and 0, texts are parsed and NaN is missing."""
    column = _decoded(column)
    if _is_text(column.type):
        values = _parsed(
            column, _number_from_text, "is not a number; write it like 1234.5, without separators or units."
        )
    elif pat.is_boolean(column.type):
        values = column.cast(pa.uint8()).cast(pa.float64())
    elif _is_number(column.type) or pat.is_null(column.type):
        values = column.cast(pa.float64(), safe=False)
    else:
        raise BadValues(f"the column holds values of type {column.type}, where numbers are needed.")
    _refuse(pc.is_inf(values), lambda _: "the value is infinite; leave the cell empty if there is no value.")
    return _without(pc.is_nan(values), values)


def texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts without spaces around them, with nulls; a whole number loses its `.0`: the code 2.0 is `2`."""
    column = _decoded(column)
    if pat.is_null(column.type) or pat.is_boolean(column.type) or pat.is_integer(column.type):
        return column.cast(_TEXT)
    if pat.is_floating(column.type):
        return _float_texts(column.cast(pa.float64()))
    if not _is_text(column.type):
        raise BadValues(f"the column holds values of type {column.type}, where texts are needed.")
    _require_short(column)
    trimmed = pc.utf8_trim_whitespace(column)
    return _without(pc.equal(trimmed, ""), trimmed)


def ids(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts without nulls, each exactly as it stands in the file; whole numbers become their decimal text.

    Parties find common businesses by the exact text, so two ids that look alike are refused and never merged.
    """
    column = _decoded(column)
    _require_values(column, "the id is missing.")
    if pat.is_integer(column.type):
        return column.cast(_TEXT)
    if not _is_text(column.type):
        raise BadValues(
            f"the column holds values of type {column.type}; store ids as texts (or whole numbers)."
        )
    _require_short(column)
    trimmed = pc.utf8_trim_whitespace(column)
    _refuse(pc.equal(trimmed, ""), lambda _: "the id is missing.")
    _refuse(
        pc.not_equal(trimmed, column),
        lambda row: f"the id {shown(column[row])} has spaces around it; remove them.",
    )
    if pair := look_alikes(column):
        raise BadValues(
            f"the ids {shown(pair[0])} and {shown(pair[1])} differ only in letter case, width or spaces; "
            "write each business's id in one way.",
            *sorted(pc.index(column, id_).as_py() for id_ in pair),
        )
    return column


def look_alikes(column: pa.ChunkedArray | pa.Array) -> tuple[pa.Scalar, pa.Scalar] | None:
    """Two ids that differ only in letter case, in full or half width (NFKC) or in spaces, or None."""
    unique = pc.unique(column)
    lower = pc.utf8_lower(pc.utf8_normalize(unique, form="NFKC"))
    codes = pc.replace_substring_regex(lower, r"\s+", "").dictionary_encode().indices.to_numpy()
    if len(codes) == 0 or codes.max() == len(codes) - 1:
        return None
    # Codes count up by first occurrence, so the first that does not is the first repetition.
    second = int((codes != np.arange(len(codes))).argmax())
    return unique[int((codes == codes[second]).argmax())], unique[second]


def shown(value: pa.Scalar) -> str:
    """A cell in quotation marks for a message, cut off where it is long."""
    text = value.as_py()
    whole = not isinstance(text, str) or len(text) <= _SHOWN_CHARACTERS
    return repr(text) if whole else f"{text[:_SHOWN_CHARACTERS]!r}…"


def months(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first day of each month as timestamp[s]: no nulls, none in the future; texts like 2024-03 or 2024-03-01."""
    column = _decoded(column)
    _require_values(column, "the month is missing.")
    if _is_text(column.type):
        column = _parsed(column, _day_from_text, "is not a month; write it like 2024-03 or 2024-03-01.")
    elif pat.is_timestamp(column.type) and column.type.tz is not None:
        column = pc.local_timestamp(column)
    elif not (pat.is_timestamp(column.type) or pat.is_date(column.type)):
        raise BadValues(
            f"the column holds values of type {column.type}, where months are needed (dates or 2024-03)."
        )
    _require_values(column, "the month is missing.")
    months = pc.floor_temporal(column.cast(pa.timestamp("s"), safe=False), unit="month")
    today = datetime.now()
    _refuse(
        pc.greater(months, pa.scalar(today, pa.timestamp("s"))),
        lambda row: (
            f"{months[row].as_py():%Y-%m} lies in the future (it is {today:%Y-%m}); correct the date."
        ),
    )
    return months


def labels(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """0 (repaid) and 1 (default) as int8, without nulls."""
    try:
        values = numbers(column)
    except BadValues as error:
        raise BadValues(_not_binary(_decoded(column)), *error.rows) from None
    _require_values(
        values, "the label is missing; only businesses whose outcome is known belong in the file."
    )
    _refuse(pc.invert(pc.is_in(values, pa.array([0.0, 1.0]))), lambda _: _not_binary(texts(values)))
    return values.cast(pa.int8())


def _not_binary(column: pa.ChunkedArray) -> str:
    texts = sorted(
        str(value)[:_SHOWN_CHARACTERS] for value in pc.unique(column).to_pylist() if value is not None
    )
    more = ", …" if len(texts) > _SHOWN_VALUES else ""
    return f"the label must be 0 or 1; the values found are {', '.join(texts[:_SHOWN_VALUES])}{more}."


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without dictionary encoding, and texts in the one type that holds them in any amount."""
    if pat.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(_TEXT) if _is_text(column.type) else column


def _is_text(kind: pa.DataType) -> bool:
    return bool(pat.is_string(kind) or pat.is_large_string(kind) or pat.is_string_view(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pat.is_integer(kind) or pat.is_floating(kind) or pat.is_decimal(kind))


def _refuse(is_wrong: pa.ChunkedArray, problem: Callable[[int], str]) -> None:
    """Raises `BadValues` with what is the problem of the first row that is wrong."""
    row = pc.index(is_wrong, True).as_py()
    if row >= 0:
        raise BadValues(problem(row), row)


def _require_values(column: pa.ChunkedArray, problem: str) -> None:
    _refuse(pc.is_null(column, nan_is_null=pat.is_floating(column.type)), lambda _: problem)


def _require_short(column: pa.ChunkedArray) -> None:
    lengths = pc.utf8_length(column)
    _refuse(
        pc.greater(lengths, LONGEST),
        lambda row: (
            f"the cell has {lengths[row].as_py():,} characters, and at most {LONGEST:,} are read; shorten it."
        ),
    )


def _without(is_missing: pa.ChunkedArray, column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(is_missing, pa.scalar(None, column.type), column)


def _float_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    column = _without(pc.is_nan(column), column)
    whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), _EXACT_IN_FLOAT))
    without_fraction = pc.if_else(whole, column, 0.0).cast(pa.int64()).cast(_TEXT)
    return pc.if_else(whole, without_fraction, column.cast(_TEXT))


def _number_from_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    cells = pc.utf8_trim_whitespace(column)
    cells = _without(pc.is_in(cells, pa.array(MISSING, cells.type)), cells)
    lower = pc.utf8_lower(cells)
    cells = pc.if_else(pc.equal(lower, "true"), "1", pc.if_else(pc.equal(lower, "false"), "0", cells))
    return cells.cast(pa.float64())


def _day_from_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    cells = pc.utf8_trim_whitespace(column)
    cells = _without(pc.equal(cells, ""), cells)
    return pc.replace_substring_regex(cells, r"^(\d{4}-\d{2})$", r"\1-01").cast(pa.timestamp("s"))


def _parsed(
    column: pa.ChunkedArray, parse: Callable[[pa.ChunkedArray], pa.ChunkedArray], problem: str
) -> pa.ChunkedArray:
    try:
        return parse(column)
    except pa.ArrowInvalid:
        row = _first_failure(column, parse)
        raise BadValues(f"{shown(column[row])} {problem}", row) from None


def _first_failure(column: pa.ChunkedArray, parse: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> int:
    """The first row that does not parse, given that one does not; found by bisection, in O(rows)."""
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            parse(column[low:middle])
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low
