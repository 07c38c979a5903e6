"""Strict conversion of a column, as a file holds it, to numbers, which people write as amounts in many ways."""

import math
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from clients.data.cells import (
    NO_STRAYS,
    TEXT,
    BadValues,
    StrayCells,
    cleaned,
    decoded,
    is_number,
    is_text,
    null_where,
    shown,
)
from clients.data.format import USUAL, WORDS_IN_NUMBERS, Format

NEARLY_ALL = 0.95
"""A column holds numbers if at least this share of its values are numbers."""
_DAY, _HOUR = 86400e6, 3600e9
_GROUPS = {".": ",", ",": "."}
"""By the decimal mark, the mark between groups of digits."""
_CURRENCY = r"[¥$€£₩₹元圆]|人民币|(?i:CNY|RMB|HKD|USD|EUR|GBP|JPY|HK\$|US\$)"
_CHARACTERS = "^[ -~\\s\u00a0\u2009\u202f\u3000\uff01-\uff5e\uffe0-\uffe6\N{MINUS SIGN}’¥€£₩₹元圆人民币]*$"
"""What a number may be written with. Others, such as a superscript, would become digits when widths are made equal."""


def numbers(column: pa.ChunkedArray, format: Format = USUAL) -> pa.ChunkedArray:
    """Finite float64 with nulls, as `numbers_and_strays` reads them; the first stray cell is an error."""
    values, strays = numbers_and_strays(column, format)
    if len(strays.rows):
        raise BadValues(strays.problem, int(strays.rows[0]))
    return values


def numbers_and_strays(column: pa.ChunkedArray, format: Format = USUAL) -> tuple[pa.ChunkedArray, StrayCells]:
    """Finite float64 with nulls, where stray cells are null; and the stray cells.

    True and false become 1 and 0, NaN is missing, a duration is read in days and a time of day in hours. Texts are
    parsed as people write amounts: `1,234.5` (with `decimal = ","`: `1.234,5`), `1 234`, `1'234`, `¥12`, `12 CNY`,
    `(12)` and `12-` for -12; full-width characters count as their usual ones. A per cent is a share: `12.5%` is read
    as 0.125, as a spreadsheet means it.

    A cell is stray if it is infinite or not a number. Where only some cells have a per cent sign, nobody can
    tell whether 0.5 is 50 % or 0.5 %: of the cells with the sign and those without, the fewer are stray (zeros are
    not). Raises `BadValues` if the type of the column has no numbers.
    """
    cells = decoded(column)
    if is_text(cells.type):
        cells = cleaned(cells, format)
        values, is_per_cent = _numbers_of(cells, format)
        if is_per_cent is not None:
            values = _without_mix(values, is_per_cent)
    elif pat.is_boolean(cells.type):
        values = cells.cast(pa.uint8()).cast(pa.float64())
    elif pat.is_duration(cells.type):
        values = pc.divide(cells.cast(pa.duration("us")).cast(pa.int64()).cast(pa.float64()), _DAY)
    elif pat.is_time(cells.type):
        values = pc.divide(cells.cast(pa.time64("ns")).cast(pa.int64()).cast(pa.float64()), _HOUR)
    elif is_number(cells.type) or pat.is_null(cells.type):
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
    strays = StrayCells(rows, _what_is_wrong(cells.slice(rows[0], 1), format)) if len(rows) else NO_STRAYS
    return null_where(pc.invert(pc.is_finite(values)), values), strays


def share_of_numbers(column: pa.ChunkedArray, format: Format) -> float:
    """The share of finite numbers, per cents or not, among the values of a column; 1 if it has no value."""
    cells = decoded(column)
    if is_text(cells.type):
        cells = cleaned(cells, format)
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
    cells = decoded(column)
    if not is_text(cells.type):
        return False
    is_per_cent = _numbers_of(cleaned(cells, format), format)[1]
    return is_per_cent is not None and bool(pc.any(is_per_cent).as_py())


def words_for_missing(column: pa.ChunkedArray, format: Format) -> set[str]:
    """The texts of `WORDS_IN_NUMBERS` in a column whose other values are nearly all numbers."""
    cells = decoded(column)
    if not is_text(cells.type):
        return set()
    cells = cleaned(cells, format).drop_null()
    words = {word for word in pc.unique(cells).to_pylist() if word.lower() in WORDS_IN_NUMBERS}
    others = cells.filter(pc.invert(pc.is_in(cells, pa.array(sorted(words), TEXT))))
    return words if len(others) and share_of_numbers(others, format) >= NEARLY_ALL else set()


def _numbers_of(cells: pa.ChunkedArray, format: Format) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    """Texts as float64, null where they are no numbers, and which of them have a per cent sign if any may."""
    if format.decimal == ".":
        try:
            return cells.cast(pa.float64()), None
        except pa.ArrowInvalid:
            pass  # Some cells are written in another way, or are no numbers.
    cells = null_where(pc.invert(pc.match_substring_regex(cells, _CHARACTERS)), cells)
    cells = pc.replace_substring(pc.utf8_normalize(cells, form="NFKC"), "\N{MINUS SIGN}", "-")
    lower = pc.utf8_lower(cells)
    cells = pc.if_else(pc.equal(lower, "true"), "1", pc.if_else(pc.equal(lower, "false"), "0", cells))
    is_amount = pc.match_substring_regex(cells, _amount_pattern(format.decimal))
    cells = null_where(pc.invert(is_amount), cells)
    is_per_cent = pc.match_substring(cells, "%")
    return _amounts(cells, is_per_cent, format.decimal), is_per_cent


def _without_mix(values: pa.ChunkedArray, is_per_cent: pa.ChunkedArray) -> pa.ChunkedArray:
    """The numbers without the fewer of those with and without a per cent sign."""
    is_zero = pc.equal(values, 0.0)
    share = pc.mean(null_where(is_zero, is_per_cent)).as_py()
    if not share or share == 1:
        return values
    is_of_the_fewer = is_per_cent if share < 0.5 else pc.invert(is_per_cent)
    return null_where(pc.and_not(is_of_the_fewer, is_zero), values)


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
    nothing, minus, hundredth = (pa.scalar(text, TEXT) for text in ("", "-", "e-2"))
    text = pc.binary_join_element_wise(
        pc.if_else(is_negative, minus, nothing),
        pc.replace_substring(digits, ",", "."),
        pc.if_else(is_per_cent, hundredth, nothing),
        nothing,
    )
    return text.cast(pa.float64())


def _what_is_wrong(cell: pa.ChunkedArray, format: Format) -> str:
    """Why one stray cell is no number."""
    values = _numbers_of(cell, format)[0] if is_text(cell.type) else cell.cast(pa.float64())
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
