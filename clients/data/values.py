"""Strict conversion of a column, as a file holds it, to ids, texts, dates, months or labels.

Each function takes an Arrow column of any type and returns one of a single type, or raises `BadValues` with
the row that cannot be converted. Whole columns are converted at once; only a failure is searched for, by
bisection.
"""

from contextlib import suppress
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from clients.data.cells import (
    SHOWN_CHARACTERS,
    TEXT,
    BadValues,
    StrayCells,
    cleaned,
    decoded,
    is_number,
    is_text,
    is_whole,
    null_where,
    refuse,
    require_short,
    require_values,
    shown,
)
from clients.data.dates import day_comes_first, days_from_text
from clients.data.format import USUAL, Format
from clients.data.ids import is_rewritten

_SHOWN_VALUES = 5
_EXACT_IN_FLOAT = 2**53


def texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts without spaces around them, with nulls; a whole number loses its `.0`: the code 2.0 is `2`."""
    column = decoded(column)
    if pat.is_null(column.type) or pat.is_boolean(column.type) or is_whole(column.type):
        return column.cast(TEXT)
    if pat.is_floating(column.type) or pat.is_decimal(column.type):
        return _float_texts(column.cast(pa.float64()))
    if not is_text(column.type):
        raise BadValues(f"the column holds values of type {column.type}, where texts are needed.")
    require_short(column)
    trimmed = column if _is_visible_ascii(column) else pc.utf8_trim_whitespace(column)
    is_blank = pc.equal(pc.binary_length(trimmed), 0)
    return null_where(is_blank, trimmed) if pc.any(is_blank).as_py() else trimmed


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
    column = decoded(column)
    require_values(column, "the id is missing.")
    if is_whole(column.type):
        column = column.cast(TEXT)
        return column, _distinct(column)
    if not is_text(column.type):
        raise BadValues(
            f"the column holds values of type {column.type}; store ids as texts (or whole numbers)."
        )
    require_short(column)
    trimmed = column if _is_visible_ascii(column) else pc.utf8_trim_whitespace(column)
    refuse(pc.equal(pc.binary_length(trimmed), 0), lambda _: "the id is missing.")
    if trimmed is not column:
        refuse(
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


def dates_and_strays(
    column: pa.ChunkedArray, format: Format = USUAL, day_first: bool | None = None
) -> tuple[pa.ChunkedArray, StrayCells]:
    """Days as timestamp[s] with nulls, where stray cells are null; and the stray cells, which hold no date.

    `clients.data.dates` says what texts and whole numbers are read. Raises `BadValues` if the type of the column has no
    dates.
    """
    cells = decoded(column)
    if is_number(cells.type):  # 20230105
        cells = texts(cells)
    if is_text(cells.type):
        cells = cleaned(cells, format)
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
    return days.cast(pa.timestamp("s"), safe=False), StrayCells(rows, problem)


def months(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first day of each month as timestamp[s]: no nulls, none in the future; texts like 2024-03 or 2024-03-01.

    `clients.data.dates` says what other texts are read.
    """
    column = decoded(column)
    require_values(column, "the month is missing.")
    days, strays = dates_and_strays(
        column, day_first=day_comes_first(column) if is_text(column.type) else None
    )
    if len(strays.rows):
        row = int(strays.rows[0])
        raise BadValues(f"{shown(column[row])} is not a month; write it like 2024-03 or 2024-03-01.", row)
    require_values(days, "the month is missing.")
    months = pc.floor_temporal(days, unit="month")
    today = datetime.now()
    refuse(
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
    cells = cleaned(texts(column), format)
    meaning = {text: canonical(text) for text in pc.unique(cells).drop_null().to_pylist()}
    found, zero_or_one = list(dict.fromkeys(meaning.values())), [canonical(0), canonical(1)]
    if bad is None and set(found) <= set(zero_or_one):
        bad = 1
    elif bad is None or len(found) > 2 or canonical(bad) not in found:
        usual = zero_or_one if bad is None else found[:2]
        unusual = next((text for text in meaning if meaning[text] not in usual), None)
        rows = () if unusual is None else (pc.index(cells, pa.scalar(unusual, cells.type)).as_py(),)
        raise BadValues(_about_labels(sorted(meaning), len(found), bad), *rows)
    require_values(cells, "the label is missing; only businesses whose outcome is known belong in the file.")
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
    listed = ", ".join(text[:SHOWN_CHARACTERS] for text in texts[:_SHOWN_VALUES]) + more
    if count > 2:
        return f"the label must have two values, and the values found are {listed}; leave out the rows of the others."
    none_of_them = f", and {bad!r} is none of them" if bad is not None else ""
    return (
        f"the values of the label are {listed}{none_of_them}; say which one means default, by the option --bad of "
        f'init-party or a line such as bad = "{texts[-1][:SHOWN_CHARACTERS]}" in party.toml.'
    )


def _float_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    column = null_where(pc.is_nan(column), column)
    whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), _EXACT_IN_FLOAT))
    without_fraction = pc.if_else(whole, column, 0.0).cast(pa.int64()).cast(TEXT)
    return pc.if_else(whole, without_fraction, column.cast(TEXT))
