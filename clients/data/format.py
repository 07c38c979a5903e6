"""How a party's CSV files are written: their encoding, separator and decimal mark, and the words for a missing value.

A `Format` is what `party.toml` says of this (keys `encoding`, `separator`, `decimal` and `missing`). `sniff` tells the
first three from a file.
"""

import codecs
import csv
import io
import re
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from clients.data.errors import DataError, check
from fl.rules import Rule

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
DECIMALS = (".", ",")
# fmt: off
MISSING = (
    "", "NA", "N/A", "na", "n/a", "NaN", "nan", "NAN", "null", "Null", "NULL",
    "#N/A", "#N/A N/A", "#NA", "<NA>", "None", "-nan", "-NaN", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN",
)
# fmt: on
"""Cells that mean that there is no value: those of `pandas.read_csv`, and two more ways to write NA and NaN."""

# fmt: off
WORDS_IN_NUMBERS = frozenset((
    "-", "--", "---", "–", "—", "——", "/", "\\", ".", "..", "?", "*", "none", "nil", "nan", "nat", "null", "na", "n/a",
    "n.a.", "n.d.", "#null!", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "(null)", "(blank)", "\\n", "missing",
    "unknown", "无", "空", "空值", "缺失", "暂无", "未知", "不详", "不适用", "无数据", "没有",
))
# fmt: on
"""Words, in lower case, that mean that there is no value if they stand among numbers; a text may mean them as such."""

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    "\ufeff".encode("gb18030"): "gb18030",
}
"""Encodings by the mark with which a file begins; that of UTF-32 begins with that of UTF-16."""
_CODE_PAGES = ["big5", "shift_jis", "euc_jp", "euc_kr", "cp1252", "cp1250", "cp1251", "cp1253", "cp1254"]
"""What a file that is neither Unicode nor GB18030 may be written in."""
_COMMON = 0.9
"""At least this share of the characters of a Chinese text is in GB 2312; text of another encoding has fewer."""
_SAMPLE, _ROWS = 1 << 18, 1000
"""The characters and rows at the beginning of a file from which its form is told."""
_SEARCHED = 1 << 24
"""The bytes at the beginning of a file among which lines that are not ASCII are looked for."""


def _is_encoding(value: Any) -> bool:
    try:
        return isinstance(value, str) and value != "" and "".encode(value) is not None
    except (LookupError, ValueError):
        return False


@dataclass(frozen=True)
class Format:
    """How the CSV files of a party are written.

    A cell that is empty, one of `MISSING` or one of `missing` has no value, in whatever column it stands; of the texts
    in a Parquet file this holds where they are read as numbers. Raises `DataError` if a value is not allowed.
    """

    encoding: Annotated[str, Rule('the name of an encoding, such as "utf-8" or "gb18030"', _is_encoding)] = (
        "utf-8"
    )
    separator: Annotated[
        str,
        Rule(
            'one of ",", ";", "\\t" (a tab) and "|"',
            lambda value: isinstance(value, str) and value in SEPARATORS,
        ),
    ] = ","
    decimal: Annotated[str, Rule('"." or ","', lambda value: value in DECIMALS)] = "."
    missing: Annotated[
        tuple[str, ...],
        Rule(
            'a list of texts, such as ["NA", "-"]',
            lambda words: isinstance(words, tuple) and all(isinstance(word, str) for word in words),
        ),
    ] = ()

    def __post_init__(self) -> None:
        """Refuses values that are not allowed."""
        check(self)

    @property
    def without_value(self) -> list[str]:
        """All texts that mean that there is no value."""
        return [*MISSING, *self.missing]

    def __str__(self) -> str:
        """In words: `GB18030, separated by semicolons, with decimal commas; "-" means that there is no value`."""
        decimal = ", with decimal commas" if self.decimal == "," else ""
        words = " and ".join(f'"{word}"' for word in self.missing)
        missing = (
            f"; {words} mean{'' if len(self.missing) > 1 else 's'} that there is no value" if words else ""
        )
        return f"{self.encoding.upper()}, separated by {SEPARATORS[self.separator]}{decimal}{missing}"


USUAL = Format()
"""The format where `party.toml` says nothing."""


def sniff(path: Path) -> Format:
    """The encoding, separator and decimal mark of a CSV file; what its beginning does not tell is as usual.

    Raises `DataError` if the encoding cannot be told.
    """
    encoding = encoding_of(path)
    if encoding is None:
        raise DataError(f"{path} is in an encoding that cannot be recognised; save the file as UTF-8.")
    with path.open(encoding=encoding, newline="") as file:
        text = file.read(_SAMPLE).removeprefix("\ufeff")
        is_whole = not file.read(1)
    if declared := separator_line(text):
        separator = declared
    else:
        separator = max(SEPARATORS, key=lambda separator: _fit(_rows(text, separator, is_whole)))
    cells = [cell.strip() for row in _rows(text, separator, is_whole) for cell in row]
    commas, points = (sum(map(_shows(mark, group), cells)) for mark, group in ((",", "."), (".", ",")))
    return Format(encoding, separator, "," if commas > points else ".")


def separator_line(text: str) -> str | None:
    """The separator that the first line declares, as spreadsheets write it: `sep=;`."""
    line = re.match(r'"?sep=([,;\t|])"?\r?\n', text, re.IGNORECASE)
    return line[1] if line else None


def encoding_of(path: Path) -> str | None:
    """The encoding in which all of a file can be read, or None.

    A byte order mark decides. Without one it is UTF-8 if the file is valid UTF-8, GB18030 (which contains GBK) if it
    is valid and most characters are common in Chinese, else what charset-normalizer finds in the first lines.
    """
    with path.open("rb") as file:
        head = file.read(_SAMPLE)
    marked = (encoding for mark, encoding in _MARKS.items() if head.startswith(mark))
    if encoding := next(marked, None):
        return encoding
    if b"\0" in head:
        wide = ("utf-16-le", "utf-16-be") if head.find(b"\0") % 2 else ("utf-16-be", "utf-16-le")
        return next((encoding for encoding in wide if _decodes(path, encoding)), None)
    if _decodes(path, "utf-8"):
        return "utf-8"
    with path.open("rb") as file:
        foreign = [line for line in file.readlines(_SEARCHED) if not line.isascii()]
    sample = b"".join(foreign)[:_SAMPLE]
    if _is_chinese(sample) and _decodes(path, "gb18030"):
        return "gb18030"
    if any(_is_utf8(line) for line in foreign):
        return None  # A file in UTF-8 that is damaged somewhere.
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=_CODE_PAGES).best()
    fitting = [page for page in _CODE_PAGES if best is not None and page in best.could_be_from_charset]
    return next((page for page in fitting if _decodes(path, page)), None)


def _is_utf8(line: bytes) -> bool:
    try:
        return bool(line.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as file:
            for chunk in iter(partial(file.read, _SAMPLE), b""):
                decoder.decode(chunk)
            decoder.decode(b"", True)
    except UnicodeDecodeError:
        return False
    return True


def _is_chinese(content: bytes) -> bool:
    characters = "".join(c for c in content.decode("gb18030", "ignore") if not c.isascii())
    return len(characters.encode("gb2312", "ignore")) >= 2 * _COMMON * len(characters) > 0


def _rows(text: str, separator: str, is_whole: bool) -> list[list[str]]:
    """The first rows of a text; the last one is left out if the text may be cut off there."""
    try:
        rows = [
            row
            for row in islice(csv.reader(io.StringIO(text, newline=""), delimiter=separator), _ROWS + 1)
            if row
        ]
    except csv.Error:
        return []
    return rows if is_whole or len(rows) < 2 else rows[:-1]


def _fit(rows: list[list[str]]) -> tuple[float, int]:
    """How well rows fit together: the share with as many cells as the header, and the cells, if there are several."""
    cells = len(rows[0]) if rows else 0
    return (sum(len(row) == cells for row in rows) / len(rows), cells) if cells > 1 else (0.0, 0)


def _shows(mark: str, group: str) -> Any:
    """The test whether a cell has this decimal mark for sure: `0,5`, `1.234,56`, but not `1,234`."""
    mark, group = re.escape(mark), re.escape(group)
    sure = rf"\d*{mark}(?:\d{{1,2}}|\d{{4,}})|(?:0|\d{{4,}}|\d{{1,3}}(?:{group}\d{{3}})+)?{mark}\d+"
    amount = re.compile(rf"[^\w.,]*(?:{sure})[^\w.,]*(?:[eE][-+]?\d+)?")
    return lambda cell: amount.fullmatch(cell) is not None
