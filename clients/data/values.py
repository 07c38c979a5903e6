"""Strict conversion of a column, as a file holds it, to ids, numbers, texts, months or labels.

Each function takes an Arrow column of any type and returns one of a single type, or raises `BadValues` with
the row that cannot be converted. Whole columns are converted at once; only a failure is searched for, by
bisection.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from clients.data.dates import day_comes_first, days_from_text

MISSING = ("", "NA", "N/A", "na", "n/a", "NaN", "nan", "NAN", "null", "Null", "NULL")
"""Cells of a text file that mean that there is no value."""

LONGEST = 10_000
"""The most characters of a text or id; a longer one is a document, or the rest of a file with a wrong quote."""

STRAY_IS_MISSING = 'stray = "missing" into its table in party.toml'
"""What to write so that a cell is missing in which a number or a date is expected and something else stands."""

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


def dates(
    column: pa.ChunkedArray, day_first: bool | None = None, stray_is_missing: bool = False
) -> pa.ChunkedArray:
    """Days as timestamp[s] with nulls; `clients.data.dates` says what texts are read.

    A cell that holds no date is refused, or missing if `stray_is_missing`.
    """
    cells, days = _days(column, day_first)
    if not stray_is_missing:
        _refuse(
            _is_stray(cells, days),
            lambda row: (
                f"{shown(cells[row])} is not a date; correct it, or write {STRAY_IS_MISSING}. If it is one, say whether "
                "the day comes first (day_first = true or false)."
            ),
        )
    return days


def months(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first day of each month as timestamp[s]: no nulls, none in the future; texts like 2024-03 or 2024-03-01.

    `clients.data.dates` says what other texts are read.
    """
    column = _decoded(column)
    _require_values(column, "the month is missing.")
    day_first = day_comes_first(column) if _is_text(column.type) else None
    cells, days = _days(column, day_first)
    _require_values(cells, "the month is missing.")
    _refuse(
        _is_stray(cells, days),
        lambda row: f"{shown(cells[row])} is not a month; write it like 2024-03 or 2024-03-01.",
    )
    months = pc.floor_temporal(days, unit="month")
    today = datetime.now()
    _refuse(
        pc.greater(months, pa.scalar(today, pa.timestamp("s"))),
        lambda row: (
            f"{months[row].as_py():%Y-%m} lies in the future (it is {today:%Y-%m}); correct the date."
        ),
    )
    return months


def labels(column: pa.ChunkedArray, bad: str | float | None = None) -> pa.ChunkedArray:
    """0 (repaid) and 1 (default) as int8, without nulls.

    `bad` is the one of two values that means default; labels of 0 and 1, or of false and true, need none.
    """
    cells = _present(texts(column))
    meaning = {text: canonical(text) for text in pc.unique(cells).drop_null().to_pylist()}
    found, zero_or_one = list(dict.fromkeys(meaning.values())), [canonical(0), canonical(1)]
    if bad is None and set(found) <= set(zero_or_one):
        bad = 1
    elif bad is None or len(found) > 2 or canonical(bad) not in found:
        usual = zero_or_one if bad is None else found[:2]
        unusual = next((text for text in meaning if meaning[text] not in usual), None)
        rows = () if unusual is None else (pc.index(cells, pa.scalar(unusual, cells.type)).as_py(),)
        raise BadValues(_about_labels(sorted(meaning), len(found), bad), *rows)
    _require_values(cells, "the label is missing; only businesses whose outcome is known belong in the file.")
    bads = [text for text in meaning if meaning[text] == canonical(bad)]
    return pc.is_in(cells, pa.array(bads, cells.type)).cast(pa.int8())


def canonical(value: str | float) -> str:
    """The one wording of equal values: 2, 2.0 and "2" are equal, and so are true and 1."""
    text = str(value).strip()
    with suppress(ValueError):
        return str(float({"true": "1", "false": "0"}.get(text.lower(), text)))
    return text


def _about_labels(texts: list[str], count: int, bad: str | float | None) -> str:
    """Why labels of these texts, which mean so many different values, cannot be told apart."""
    more = ", …" if len(texts) > _SHOWN_VALUES else ""
    listed = ", ".join(text[:_SHOWN_CHARACTERS] for text in texts[:_SHOWN_VALUES]) + more
    if count > 2:
        return f"the label must have two values, and the values found are {listed}; leave out the rows of the others."
    none_of_them = f", and {bad!r} is none of them" if bad is not None else ""
    return (
        f"the values of the label are {listed}{none_of_them}; say which one means default, by the option --bad of "
        f'init-party or a line such as bad = "{texts[-1][:_SHOWN_CHARACTERS]}" in party.toml.'
    )


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
    cells = _present(column)
    lower = pc.utf8_lower(cells)
    cells = pc.if_else(pc.equal(lower, "true"), "1", pc.if_else(pc.equal(lower, "false"), "0", cells))
    return cells.cast(pa.float64())


def _days(column: pa.ChunkedArray, day_first: bool | None) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """The cells, null where there is no value, and their days as timestamp[s], null where a cell holds no date."""
    column = _decoded(column)
    if _is_number(column.type):  # 20230105
        column = texts(column)
    if _is_text(column.type):
        cells = _present(column)
        return cells, days_from_text(cells, day_first)
    if pat.is_timestamp(column.type) and column.type.tz is not None:
        column = pc.local_timestamp(column)
    elif not (pat.is_timestamp(column.type) or pat.is_date(column.type) or pat.is_null(column.type)):
        raise BadValues(
            f"the column holds values of type {column.type}, where dates are needed (such as 2024-03-01)."
        )
    return column, column.cast(pa.timestamp("s"), safe=False)


def _is_stray(cells: pa.ChunkedArray, parsed: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.and_(pc.is_valid(cells), pc.is_null(parsed))


def _present(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts without spaces around them, null where they are a word for no value."""
    cells = pc.utf8_trim_whitespace(cells)
    return _without(pc.is_in(cells, pa.array(MISSING, cells.type)), cells)


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
