"""The exception and the warning for a party's folder that is wrong, and the wording that they share.

A `DataError` is read by the person who keeps the party's folder. In a sentence or two it says where something is wrong
(file, line or row, column), what is wrong, and what to do; no stack trace is needed to act on it.
"""

import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Self

from fl.rules import rules


class _Placed(Exception):
    """What is said of a place in a party's folder."""

    @classmethod
    def at(cls, file: Path, problem: str, *, row: str | None = None, column: str | None = None) -> Self:
        """What is said of a place: `bank.csv, line 17, column 'inflow': problem`.

        `row` is already in words (`line 17`, `row 3`, `lines 3 and 9`), since files count their rows differently.
        """
        place = (str(file), row, None if column is None else f"column '{column}'")
        return cls(f"{', '.join(filter(None, place))}: {problem}")


class DataError(_Placed, ValueError):
    """A party's declaration or data cannot be used as it is."""


class DataWarning(_Placed, UserWarning):
    """A party's data can be used, but not all of it; the message says what is left out."""


@lru_cache(maxsize=256)
def warn_once(sentence: str) -> None:
    """Warns (`DataWarning`) once in a process. Python itself forgets what it has shown when a library sets filters."""
    warnings.warn(DataWarning(sentence), stacklevel=3)


def check(record: object) -> None:
    """Raises `DataError` if a field of a dataclass breaks the rule in its annotation."""
    for key, value, rule in rules(record):
        if not rule.test(value):
            raise DataError(f"{key} must be {rule.allowed}, not {value!r}.")


def suggestion(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?`, where `x` is the known word most similar to `word`; empty if none is similar."""
    by_lower_case = {name.casefold(): name for name in known}
    nearest = get_close_matches(word.strip().casefold(), by_lower_case, n=1)
    return f" Did you mean '{by_lower_case[nearest[0]]}'?" if nearest else ""


def listing(words: Iterable[str], limit: int = 12) -> str:
    """The words quoted and joined by commas; beyond `limit` only their number is given."""
    quoted = [f"'{word}'" for word in words]
    more = f" and {len(quoted) - limit} more" if len(quoted) > limit else ""
    return ", ".join(quoted[:limit]) + more if quoted else "none"


def not_decodable(path: Path, encoding: str = "utf-8", advice: str = "save the file as UTF-8.") -> DataError:
    """The error of a file that could not be read in an encoding, with the line, and the byte and its offset from 0."""
    content = path.read_bytes()
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].decode(encoding, "ignore").count("\n") + 1
        problem = (
            f"byte {error.start} (0x{content[error.start]:02x}) is not valid {encoding.upper()}; {advice}"
        )
        return DataError.at(path, problem, row=f"line {line}")
    return DataError(f"{path} changed while it was read; try again.")
