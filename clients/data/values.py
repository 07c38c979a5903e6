"""Strict conversion of a column, as a file holds it, to ids, numbers, texts, months or labels.

Each function takes an Arrow column of any type and returns one of a single type, or raises `BadValues` with
the row that cannot be converted. Whole columns are converted at once; only a failure is searched for, by
bisection.
"""

import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from clients.data.dates import day_comes_first, days_from_text
from clients.data.format import USUAL, WORDS_IN_NUMBERS, Format
from clients.data.ids import is_rewritten

NEARLY_ALL = 0.95
"""A column holds numbers if at least this share of its values are numbers."""
LONGEST = 10_000
"""The most characters of a text or id; a longer one is a document, or the rest of a file with a wrong quote."""

_SHOWN_VALUES = 5
_SHOWN_CHARACTERS = 60
_EXACT_IN_FLOAT = 2**53
_TEXT = pa.large_string()
_DAY, _HOUR = 86400e6, 3600e9
_GROUPS = {".": ",", ",": "."}
"""By the decimal mark, the mark between groups of digits."""
_CURRENCY = r"[¥$€£₩₹元圆]|人民币|(?i:CNY|RMB|HKD|USD|EUR|GBP|JPY|HK\$|US\$)"
_CHARACTERS = "^[ -~\\s\u00a0\u2009\u202f\u3000\uff01-\uff5e\uffe0-\uffe6\N{MINUS SIGN}’¥€£₩₹元圆人民币]*$"
"""What a number may be written with. Others, such as a superscript, would become digits when widths are made equal."""


class BadValues(ValueError):
    """A column cannot be converted: a sentence that says why, and the rows at fault (counted from 0), if any."""

    def __init__(self, problem: str, *rows: int) -> None:
        """Takes the sentence and the rows."""
        super().__init__(problem)
        self.problem, self.rows = problem, rows


class Strays(NamedTuple):
    """The cells of a column that are no numbers: their rows (counted from 0, ascending), and what the first one is."""

    rows: npt.NDArray[np.int64]
    problem: str


NO_STRAYS = Strays(np.empty(0, dtype=np.int64), "")


def numbers(column: pa.ChunkedArray, format: Format = USUAL) -> pa.ChunkedArray:
    """Finite float64 with nulls, as `numbers_and_strays` reads them; the first stray cell is an error."""
    values, strays = numbers_and_strays(column, format)
    if len(strays.rows):
        raise BadValues(strays.problem, int(strays.rows[0]))
    return values


def numbers_and_strays(column: pa.ChunkedArray, format: Format = USUAL) -> tuple[pa.ChunkedArray, Strays]:
    """Finite float64 with nulls, where stray cells are null; and the stray cells.

    True and false become 1 and 0, NaN is missing, a duration is read in days and a time of day in hours. Texts are
    parsed as people write amounts: `1,234.5` (with `decimal = ","`: `1.234,5`), `1 234`, `1'234`, `¥12`, `12 CNY`,
    `(12)` and `12-` for -12; full-width characters count as their usual ones. A per cent is a share: `12.5%` is read
    as 0.125, as a spreadsheet means it.

    A cell is stray if it is infinite or not a number. Where only some cells have a per cent sign, nobody can
    tell whether 0.5 is 50 % or 0.5 %: of the cells with the sign and those without, the fewer are stray (zeros are
    not). Raises `BadValues` if the type of the column has no numbers.
    """
    cells = _decoded(column)
    if _is_text(cells.type):
        cells = _present(cells, format)
        values, is_per_cent = _numbers_of(cells, format)
        if is_per_cent is not None:
            values = _without_mix(values, is_per_cent)
    elif pat.is_boolean(cells.type):
        values = cells.cast(pa.uint8()).cast(pa.float64())
    elif pat.is_duration(cells.type):
        values = pc.divide(cells.cast(pa.duration("us")).cast(pa.int64()).cast(pa.float64()), _DAY)
    elif pat.is_time(cells.type):
        values = pc.divide(cells.cast(pa.time64("ns")).cast(pa.int64()).cast(pa.float64()), _HOUR)
    elif _is_number(cells.type) or pat.is_null(cells.type):
        values = cells.cast(pa.float64(), safe=False)
    else:
        raise BadValues(f"the column holds values of type {column.type}, where numbers are needed.")
    # A sum is finite only if every number is; where it overflows, the numbers are looked at one by one.
    if values.null_count == cells.null_count and math.isfinite(pc.sum(values, min_count=0).as_py()):
        return values, NO_STRAYS
    is_stray = pc.and_not(
        pc.is_valid(cells), pc.fill_null(pc.or_(pc.is_finite(values), pc.is_nan(values)), False)
    )
    rows = np.flatnonzero(is_stray.to_numpy())
    strays = Strays(rows, _what_is_wrong(cells.slice(rows[0], 1), format)) if len(rows) else NO_STRAYS
    return _without(pc.invert(pc.is_finite(values)), values), strays


def share_of_numbers(column: pa.ChunkedArray, format: Format) -> float:
    """The share of finite numbers, per cents or not, among the values of a column; 1 if it has no value."""
    cells = _decoded(column)
    if _is_text(cells.type):
        cells = _present(cells, format)
        values = _numbers_of(cells, format)[0]
        present = len(cells) - cells.null_count
    else:
        try:
            values, strays = numbers_and_strays(cells, format)
        except BadValues:
            return 0.0
        present = len(values) - values.null_count + len(strays.rows)
    return pc.sum(pc.is_finite(values), min_count=0).as_py() / present if present else 1.0


def has_per_cents(column: pa.ChunkedArray, format: Format) -> bool:
    """Whether a number in a column of texts has a per cent sign."""
    cells = _decoded(column)
    if not _is_text(cells.type):
        return False
    is_per_cent = _numbers_of(_present(cells, format), format)[1]
    return is_per_cent is not None and bool(pc.any(is_per_cent).as_py())


def words_for_missing(column: pa.ChunkedArray, format: Format) -> set[str]:
    """The texts of `WORDS_IN_NUMBERS` in a column whose other values are nearly all numbers."""
    cells = _decoded(column)
    if not _is_text(cells.type):
        return set()
    cells = _present(cells, format).drop_null()
    words = {word for word in pc.unique(cells).to_pylist() if word.lower() in WORDS_IN_NUMBERS}
    others = cells.filter(pc.invert(pc.is_in(cells, pa.array(sorted(words), _TEXT))))
    return words if len(others) and share_of_numbers(others, format) >= NEARLY_ALL else set()


def texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts without spaces around them, with nulls; a whole number loses its `.0`: the code 2.0 is `2`."""
    column = _decoded(column)
    if pat.is_null(column.type) or pat.is_boolean(column.type) or _is_whole(column.type):
        return column.cast(_TEXT)
    if pat.is_floating(column.type) or pat.is_decimal(column.type):
        return _float_texts(column.cast(pa.float64()))
    if not _is_text(column.type):
        raise BadValues(f"the column holds values of type {column.type}, where texts are needed.")
    _require_short(column)
    trimmed = column if _is_visible_ascii(column) else pc.utf8_trim_whitespace(column)
    is_blank = pc.equal(pc.binary_length(trimmed), 0)
    return _without(is_blank, trimmed) if pc.any(is_blank).as_py() else trimmed


def ids(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts without nulls, each exactly as it stands in the file; whole numbers become their decimal text.

    Parties find common businesses by the exact text, so two ids that look alike are refused and never merged.
    """
    return _ids(column)[0]


def unique_ids(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same, where no id may stand in two rows."""
    column, distinct = _ids(column)
    if len(distinct) < len(column):
        first, second = _first_repetition(column)
        advice = (
            "a spreadsheet has rounded it, so format the column as text where it comes from, and export it again."
            if is_rewritten(str(column[second]))
            else "a business applies once per dataset, so keep one row."
        )
        raise BadValues(f"the id '{column[second]}' stands twice; {advice}", first, second)
    return column


def _distinct(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """Each text once. Of a table that is sorted by id, as many are, neighbours tell quickly that none stands twice."""
    return column if pc.all(pc.less(column[:-1], column[1:])).as_py() else pc.unique(column)


def _ids(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray | pa.Array]:
    """The ids of all rows, and each id once."""
    column = _decoded(column)
    _require_values(column, "the id is missing.")
    if _is_whole(column.type):
        column = column.cast(_TEXT)
        return column, _distinct(column)
    if not _is_text(column.type):
        raise BadValues(
            f"the column holds values of type {column.type}; store ids as texts (or whole numbers)."
        )
    _require_short(column)
    trimmed = column if _is_visible_ascii(column) else pc.utf8_trim_whitespace(column)
    _refuse(pc.equal(pc.binary_length(trimmed), 0), lambda _: "the id is missing.")
    if trimmed is not column:
        _refuse(
            pc.not_equal(trimmed, column),
            lambda row: f"the id {shown(column[row])} has spaces around it; remove them.",
        )
    distinct = _distinct(column)
    if pair := look_alikes(distinct):
        raise BadValues(
            f"the ids {shown(pair[0])} and {shown(pair[1])} differ only in letter case, width or spaces; "
            "write each business's id in one way.",
            *sorted(pc.index(column, id_).as_py() for id_ in pair),
        )
    return column, distinct


def look_alikes(distinct: pa.ChunkedArray | pa.Array) -> tuple[pa.Scalar, pa.Scalar] | None:
    """Two of some different ids that differ only in letter case, in full or half width (NFKC) or in spaces, or None."""
    folded = pc.utf8_upper(distinct)
    if not _is_visible_ascii(distinct):
        folded = pc.utf8_upper(pc.utf8_normalize(distinct, form="NFKC"))
        folded = pc.replace_substring_regex(folded, r"\s+", "")
    if folded.equals(distinct) or len(pc.unique(folded)) == len(distinct):
        return None
    first, second = _first_repetition(folded)
    return distinct[first], distinct[second]


def _is_visible_ascii(texts: pa.ChunkedArray | pa.Array) -> bool:
    """Whether all characters are ASCII and none is a space, which is quicker to see than whether one is at an end."""
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    for chunk in chunks:
        bytes_ = np.frombuffer(chunk.buffers()[2] or b"", np.uint8)
        if bytes_.min(initial=ord("!")) < ord("!") or bytes_.max(initial=0) > ord("~"):
            return False
    return True


def _first_repetition(column: pa.ChunkedArray | pa.Array) -> tuple[int, int]:
    """The first row whose text stands in an earlier row: that earlier row, and it."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    codes = whole.dictionary_encode().indices.to_numpy()
    # Codes count up by first occurrence, so a row whose code is not the next one repeats another.
    is_new = np.diff(np.maximum.accumulate(codes), prepend=-1) > 0
    second = int((~is_new).argmax())
    return int((codes == codes[second]).argmax()), second


def shown(value: pa.Scalar) -> str:
    """A cell in quotation marks for a message, cut off where it is long."""
    text = value.as_py()
    whole = not isinstance(text, str) or len(text) <= _SHOWN_CHARACTERS
    return repr(text) if whole else f"{text[:_SHOWN_CHARACTERS]!r}…"


def dates_and_strays(
    column: pa.ChunkedArray, format: Format = USUAL, day_first: bool | None = None
) -> tuple[pa.ChunkedArray, Strays]:
    """Days as timestamp[s] with nulls, where stray cells are null; and the stray cells, which hold no date.

    `clients.data.dates` says what texts and whole numbers are read. Raises `BadValues` if the type of the column has no
    dates.
    """
    cells = _decoded(column)
    if _is_number(cells.type):  # 20230105
        cells = texts(cells)
    if _is_text(cells.type):
        cells = _present(cells, format)
        days = days_from_text(cells, day_first)
    elif pat.is_timestamp(cells.type) and cells.type.tz is not None:
        days = pc.local_timestamp(cells)
    elif pat.is_timestamp(cells.type) or pat.is_date(cells.type) or pat.is_null(cells.type):
        days = cells
    else:
        raise BadValues(
            f"the column holds values of type {column.type}, where dates such as 2024-03-01 are needed."
        )
    rows = np.flatnonzero(pc.and_(pc.is_valid(cells), pc.is_null(days)).to_numpy())
    problem = f"{shown(cells[int(rows[0])])} is not a date like 2024-03-01." if len(rows) else ""
    return days.cast(pa.timestamp("s"), safe=False), Strays(rows, problem)


def months(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first day of each month as timestamp[s]: no nulls, none in the future; texts like 2024-03 or 2024-03-01.

    `clients.data.dates` says what other texts are read.
    """
    column = _decoded(column)
    _require_values(column, "the month is missing.")
    days, strays = dates_and_strays(
        column, day_first=day_comes_first(column) if _is_text(column.type) else None
    )
    if len(strays.rows):
        row = int(strays.rows[0])
        raise BadValues(f"{shown(column[row])} is not a month; write it like 2024-03 or 2024-03-01.", row)
    _require_values(days, "the month is missing.")
    months = pc.floor_temporal(days, unit="month")
    today = datetime.now()
    _refuse(
        pc.greater(months, pa.scalar(today, pa.timestamp("s"))),
        lambda row: (
            f"{months[row].as_py():%Y-%m} lies in the future (it is {today:%Y-%m}); correct the date."
        ),
    )
    return months


def labels(
    column: pa.ChunkedArray, format: Format = USUAL, bad: str | float | None = None
) -> pa.ChunkedArray:
    """0 (repaid) and 1 (default) as int8, without nulls.

    `bad` is the one of two values that means default; labels of 0 and 1, or of false and true, need none.
    """
    cells = _present(texts(column), format)
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
    """The column without dictionary and run-length encoding, and what holds texts in the one type for any amount."""
    if isinstance(column.type, pa.UuidType):
        return pa.chunked_array([[None if cell is None else str(cell) for cell in column.to_pylist()]], _TEXT)
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.cast(column.type.storage_type)
    if pat.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    if pat.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pat.is_nested(column.type):
        raise BadValues(
            f"the column holds values of type {column.type}, several in a cell; write each into a column of its own."
        )
    if not (_is_text(column.type) or _is_binary(column.type)):
        return column
    try:
        return column.cast(_TEXT)
    except pa.ArrowInvalid:
        raise BadValues(
            "the column holds bytes that are not text in UTF-8; leave it out or write it as text."
        ) from None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pat.is_string(kind) or pat.is_large_string(kind) or pat.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    of_kind = (pat.is_binary, pat.is_large_binary, pat.is_binary_view, pat.is_fixed_size_binary)
    return any(is_kind(kind) for is_kind in of_kind)


def _is_whole(kind: pa.DataType) -> bool:
    return bool(pat.is_integer(kind) or (pat.is_decimal(kind) and kind.scale == 0))


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
    if (pc.max(pc.binary_length(column)).as_py() or 0) <= LONGEST:  # bytes, of which there are no fewer
        return
    lengths = pc.utf8_length(column)
    _refuse(
        pc.greater(lengths, LONGEST),
        lambda row: (
            f"the cell has {lengths[row].as_py():,} characters, and at most {LONGEST:,} are read; shorten it."
        ),
    )


def _without(is_missing: pa.ChunkedArray, column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(is_missing, pa.scalar(None, column.type), column)


def without(words: Sequence[str], texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts, null where they are one of the words."""
    is_word = pc.is_in(texts, pa.array(words, texts.type))
    return _without(is_word, texts) if pc.any(is_word).as_py() else texts


def _float_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    column = _without(pc.is_nan(column), column)
    whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), _EXACT_IN_FLOAT))
    without_fraction = pc.if_else(whole, column, 0.0).cast(pa.int64()).cast(_TEXT)
    return pc.if_else(whole, without_fraction, column.cast(_TEXT))


def _present(column: pa.ChunkedArray, format: Format) -> pa.ChunkedArray:
    """Texts without spaces around them, null where they are words for a missing value."""
    return without(format.without_value, pc.utf8_trim_whitespace(column))


def _numbers_of(cells: pa.ChunkedArray, format: Format) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    """Texts as float64, null where they are no numbers, and which of them have a per cent sign if any may."""
    if format.decimal == ".":
        try:
            return cells.cast(pa.float64()), None
        except pa.ArrowInvalid:
            pass  # Some cells are written in another way, or are no numbers.
    cells = _without(pc.invert(pc.match_substring_regex(cells, _CHARACTERS)), cells)
    cells = pc.replace_substring(pc.utf8_normalize(cells, form="NFKC"), "\N{MINUS SIGN}", "-")
    lower = pc.utf8_lower(cells)
    cells = pc.if_else(pc.equal(lower, "true"), "1", pc.if_else(pc.equal(lower, "false"), "0", cells))
    is_amount = pc.match_substring_regex(cells, _amount_pattern(format.decimal))
    cells = _without(pc.invert(is_amount), cells)
    is_per_cent = pc.match_substring(cells, "%")
    return _amounts(cells, is_per_cent, format.decimal), is_per_cent


def _without_mix(values: pa.ChunkedArray, is_per_cent: pa.ChunkedArray) -> pa.ChunkedArray:
    """The numbers without the fewer of those with and without a per cent sign."""
    is_zero = pc.equal(values, 0.0)
    share = pc.mean(_without(is_zero, is_per_cent)).as_py()
    if not share or share == 1:
        return values
    is_of_the_fewer = is_per_cent if share < 0.5 else pc.invert(is_per_cent)
    return _without(pc.and_not(is_of_the_fewer, is_zero), values)


def _amount_pattern(decimal: str) -> str:
    """A number as people write it. A group of digits has three; what is between them is the same everywhere."""
    group, mark = re.escape(_GROUPS[decimal]), re.escape(decimal)
    whole = "|".join(rf"\d{{1,3}}(?:{between}\d{{3}})+" for between in (group, " ", "['’]"))
    digits = rf"(?:(?:{whole}|\d+)(?:{mark}\d*)?|{mark}\d+)(?:[eE][-+]?\d+|\s*(?:{_CURRENCY})|\s*%)?"
    before = rf"(?:(?:{_CURRENCY})\s*)?"
    return rf"^{before}(?:[-+]?\s*{before}{digits}|\({before}{digits}\)|{digits}-)$"


def _amounts(cells: pa.ChunkedArray, is_per_cent: pa.ChunkedArray, decimal: str) -> pa.ChunkedArray:
    """The numbers of cells that fit the pattern."""
    digits = pc.struct_field(
        pc.extract_regex(cells, r"(?P<digits>[\d.,][\d., '’]*(?:[eE][-+]?\d+)?)"), "digits"
    )
    for between in (_GROUPS[decimal], " ", "'", "’"):
        digits = pc.replace_substring(digits, between, "")
    is_negative = pc.match_substring_regex(cells, r"^[^\d.,]*[-(]|-$")
    nothing, minus, hundredth = (pa.scalar(text, _TEXT) for text in ("", "-", "e-2"))
    text = pc.binary_join_element_wise(
        pc.if_else(is_negative, minus, nothing),
        pc.replace_substring(digits, ",", "."),
        pc.if_else(is_per_cent, hundredth, nothing),
        nothing,
    )
    return text.cast(pa.float64())


def _what_is_wrong(cell: pa.ChunkedArray, format: Format) -> str:
    """Why one stray cell is no number."""
    values = _numbers_of(cell, format)[0] if _is_text(cell.type) else cell.cast(pa.float64())
    if values.null_count:
        return (
            f"{shown(cell[0])} is not a number; write it like 1234{format.decimal}5, or add it to missing in "
            "party.toml if it means that there is no value."
        )
    if pc.is_inf(values)[0].as_py():
        return "the value is infinite; leave the cell empty if there is no value."
    with_or_without = ("with", "without") if cell[0].as_py().endswith(("%", "％")) else ("without", "with")
    return (
        f"{shown(cell[0])} stands {with_or_without[0]} a per cent sign in a column of numbers "
        f"{with_or_without[1]} one; write all cells in one way."
    )
