"""What the conversions of a column have in common: its type and its cells, and what is said of one that is wrong."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from clients.data.format import Format

LONGEST = 10_000
"""The most characters of a text or id; a longer one is a document, or the rest of a file with a wrong quote."""
TEXT = pa.large_string()
"""The type of all texts, which holds any amount of them."""
SHOWN_CHARACTERS = 60
"""The characters of a cell that a message shows."""


class BadValues(ValueError):
    """A column cannot be converted: a sentence that says why, and the rows at fault (counted from 0), if any."""

    def __init__(self, problem: str, *rows: int) -> None:
        """Takes the sentence and the rows."""
        super().__init__(problem)
        self.problem, self.rows = problem, rows


class StrayCells(NamedTuple):
    """The cells of a column that are no numbers: their rows (counted from 0, ascending), and what the first one is."""

    rows: npt.NDArray[np.int64]
    problem: str


NO_STRAYS = StrayCells(np.empty(0, dtype=np.int64), "")


def shown(value: pa.Scalar) -> str:
    """A cell in quotation marks for a message, cut off where it is long."""
    text = value.as_py()
    whole = not isinstance(text, str) or len(text) <= SHOWN_CHARACTERS
    return repr(text) if whole else f"{text[:SHOWN_CHARACTERS]!r}…"


def decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without dictionary and run-length encoding, and what holds texts in the one type for any amount."""
    if isinstance(column.type, pa.UuidType):
        return pa.chunked_array([[None if cell is None else str(cell) for cell in column.to_pylist()]], TEXT)
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
    if not (is_text(column.type) or _is_binary(column.type)):
        return column
    try:
        return column.cast(TEXT)
    except pa.ArrowInvalid:
        raise BadValues(
            "the column holds bytes that are not text in UTF-8; leave it out or write it as text."
        ) from None


def is_text(kind: pa.DataType) -> bool:
    """Whether cells of this type are texts."""
    return bool(pat.is_string(kind) or pat.is_large_string(kind) or pat.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    of_kind = (pat.is_binary, pat.is_large_binary, pat.is_binary_view, pat.is_fixed_size_binary)
    return any(is_kind(kind) for is_kind in of_kind)


def is_whole(kind: pa.DataType) -> bool:
    """Whether cells of this type are whole numbers."""
    return bool(pat.is_integer(kind) or (pat.is_decimal(kind) and kind.scale == 0))


def is_number(kind: pa.DataType) -> bool:
    """Whether cells of this type are numbers."""
    return bool(pat.is_integer(kind) or pat.is_floating(kind) or pat.is_decimal(kind))


def refuse(is_wrong: pa.ChunkedArray, problem: Callable[[int], str]) -> None:
    """Raises `BadValues` with what is the problem of the first row that is wrong."""
    row = pc.index(is_wrong, True).as_py()
    if row >= 0:
        raise BadValues(problem(row), row)


def require_values(column: pa.ChunkedArray, problem: str) -> None:
    """Raises `BadValues` with the problem of the first cell that has no value."""
    refuse(pc.is_null(column, nan_is_null=pat.is_floating(column.type)), lambda _: problem)


def require_short(column: pa.ChunkedArray) -> None:
    """Raises `BadValues` with the first text of more than `LONGEST` characters."""
    if (pc.max(pc.binary_length(column)).as_py() or 0) <= LONGEST:  # bytes, of which there are no fewer
        return
    lengths = pc.utf8_length(column)
    refuse(
        pc.greater(lengths, LONGEST),
        lambda row: (
            f"the cell has {lengths[row].as_py():,} characters, and at most {LONGEST:,} are read; shorten it."
        ),
    )


def null_where(is_missing: pa.ChunkedArray, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column, null where the mask holds."""
    return pc.if_else(is_missing, pa.scalar(None, column.type), column)


def without(words: Sequence[str], texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts, null where they are one of the words."""
    is_word = pc.is_in(texts, pa.array(words, texts.type))
    return null_where(is_word, texts) if pc.any(is_word).as_py() else texts


def cleaned(column: pa.ChunkedArray, format: Format) -> pa.ChunkedArray:
    """Texts without spaces around them, null where they are words for a missing value."""
    return without(format.without_value, pc.utf8_trim_whitespace(column))
