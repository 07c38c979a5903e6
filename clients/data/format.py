"""How a party's CSV files are written: their encoding, separator and decimal mark, and the words for a missing value.

A `Format` is what `party.toml` says of this (keys `encoding`, `separator`, `decimal` and `missing`).
"""

from dataclasses import dataclass
from typing import Annotated, Any

from clients.data.errors import check
from fl.rules import Rule

SEPARATORS = (",", ";", "\t", "|")
DECIMALS = (".", ",")
# fmt: off
MISSING = (
    "", "NA", "N/A", "na", "n/a", "NaN", "nan", "NAN", "null", "Null", "NULL",
    "#N/A", "#N/A N/A", "#NA", "<NA>", "None", "-nan", "-NaN", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN",
)
# fmt: on
"""Cells that mean that there is no value: those of `pandas.read_csv`, and two more ways to write NA and NaN."""


def _is_encoding(value: Any) -> bool:
    try:
        return isinstance(value, str) and value != "" and "".encode(value) is not None
    except (LookupError, ValueError):
        return False


@dataclass(frozen=True)
class Format:
    """How the CSV files of a party are written.

    `missing` holds in every column: a cell that is one of these words has no value, and an empty cell never has one.
    The words also hold in the text columns of a Parquet file that are read as numbers. Raises `DataError` if a value
    is not allowed.
    """

    encoding: Annotated[str, Rule('the name of an encoding, such as "utf-8" or "gb18030"', _is_encoding)] = (
        "utf-8"
    )
    separator: Annotated[
        str, Rule('one of ",", ";", "\\t" (a tab) and "|"', lambda value: value in SEPARATORS)
    ] = ","
    decimal: Annotated[str, Rule('"." or ","', lambda value: value in DECIMALS)] = "."
    missing: Annotated[
        tuple[str, ...],
        Rule(
            'a list of texts, such as ["NA", "-"]',
            lambda words: isinstance(words, tuple) and all(isinstance(word, str) for word in words),
        ),
    ] = MISSING

    def __post_init__(self) -> None:
        """Refuses values that are not allowed."""
        check(self)
