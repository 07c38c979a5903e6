"""A column of a party's data that it offers to a model: what `party.toml` says of it, and which values are allowed."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias, get_args

import pandas as pd

from clients.data import table_file
from clients.data.errors import DataError, check
from fl.rules import Rule

Kind = Literal["numeric", "categorical", "date"]
KINDS = "'numeric', 'categorical' or 'date'"
"""The same in a message."""

_Text: TypeAlias = Annotated[
    str, Rule('text in quotation marks, such as "…"', lambda value: isinstance(value, str))
]
_MOST_SPECIAL = 20
OTHER = "other"
"""The level of a categorical column with declared levels that stands for all texts that are none of them."""


def _are_special(values: object) -> bool:
    """Whether these can be a column's special values."""
    return (
        isinstance(values, tuple)
        and all(type(value) in (int, float) and abs(value) <= sys.float_info.max for value in values)
        and len(set(values)) == len(values) <= _MOST_SPECIAL
    )


def _are_levels(levels: object) -> bool:
    """Whether these can be a column's levels."""
    return (
        isinstance(levels, tuple)
        and all(isinstance(level, str) and level.strip() for level in levels)
        and len(set(levels)) == len(levels)
    )


def _is_reference(value: object) -> bool:
    """Whether this can be a column's reference month."""
    return isinstance(value, str) and re.fullmatch(r"(\d{4}-(0[1-9]|1[0-2]))?", value) is not None


_KINDS_WITH: Mapping[str, tuple[Kind, ...]] = {
    "levels": ("categorical",),
    "special": ("numeric",),
    "stray": ("numeric", "date"),
    "reference": ("date",),
    "day_first": ("date",),
}
"""Keys of a column that only some kinds have."""


@dataclass(frozen=True)
class Column:
    """A feature column that a party offers.

    `unit` is free text (`CNY`, `days`, `share`); `sign` says whether a higher value means higher risk (+1),
    lower risk (-1) or either (0, no demand); `grade` is the data grade, from 1 (public) to 5 (most
    sensitive). `reason` is what a customer is told who loses points for this column, in English, and `reason_zh`
    the same in Chinese. `levels` are the texts that a categorical column can hold; every other text is read as
    "other". Without them, its levels are the texts in the data. Banks that train a model together declare the same
    ones, since those in its data say something of a bank's customers. `special` are values of a numeric column that are
    codes and no amounts, such as -999 for "no account": the scorecard gives each a bin of its own, elsewhere they count
    as missing.

    A date is offered to models as a number: the months from it to the observation month or, where the data have none,
    to the month `reference`, such as 2023-03. `day_first` says how a date such as 05/01/2023 is read. `stray` says what
    a cell is in which a number or a date is expected and something else stands: an error, or missing. These three are
    keys of a table's columns (party type `table`).

    Raises `DataError` if a value is not allowed.

    >>> Column("sector", "categorical", sign=1)
    Traceback (most recent call last):
    clients.data.errors.DataError: a categorical column has no order, so its sign must be 0, not 1.
    """

    name: Annotated[
        str, Rule("text that is not blank", lambda value: isinstance(value, str) and value.strip())
    ]
    kind: Annotated[Kind, Rule(KINDS, lambda value: value in get_args(Kind))]
    unit: _Text = ""
    description: _Text = ""
    sign: Annotated[
        int,
        Rule(
            "1 (a higher value means higher risk), -1 (lower risk) or 0 (no demand)",
            lambda value: type(value) is int and -1 <= value <= 1,
        ),
    ] = 0
    grade: Annotated[
        int,
        Rule(
            "a whole number from 1 (public) to 5 (most sensitive)",
            lambda value: type(value) is int and 1 <= value <= 5,
        ),
    ] = 3
    reason: _Text = ""
    reason_zh: _Text = ""
    levels: Annotated[
        tuple[str, ...],
        Rule('a list of different texts, such as ["retail", "transport"]', _are_levels),
    ] = ()
    special: Annotated[
        tuple[float, ...],
        Rule(
            f"a list of at most {_MOST_SPECIAL} different finite numbers, such as [-999, 99999999]",
            _are_special,
        ),
    ] = ()
    stray: Annotated[
        table_file.Strays, Rule("'error' or 'missing'", lambda value: value in get_args(table_file.Strays))
    ] = "error"
    reference: Annotated[str, Rule('a month in quotation marks, such as "2023-03"', _is_reference)] = ""
    day_first: Annotated[
        bool | None, Rule("true or false", lambda value: value is None or isinstance(value, bool))
    ] = None

    def __post_init__(self) -> None:
        """Refuses values that are not allowed."""
        check(self)
        if self.kind == "categorical" and self.sign != 0:
            raise DataError(f"a categorical column has no order, so its sign must be 0, not {self.sign}.")
        if self.kind == "categorical" and self.special:
            raise DataError("every level of a categorical column stands for itself; remove the key special.")
        for key, kinds in _KINDS_WITH.items():
            if self.kind not in kinds and getattr(self, key) != getattr(type(self), key):
                raise DataError(f"a column of kind '{self.kind}' has no such key; remove the key {key}.")

    @property
    def is_numeric(self) -> bool:
        """Whether models are given numbers, as they are of a date."""
        return self.kind != "categorical"

    def categories(self, texts: pd.Series) -> pd.Series:
        """Texts of this categorical column as pandas categories: the declared levels and "other", if there are any.

        >>> sector = Column("sector", "categorical", levels=("retail", "trade"))
        >>> sector.categories(pd.Series(["trade", "farms"])).tolist()
        ['trade', 'other']
        """
        if not self.levels:
            return texts.astype("category")
        listed = texts.where(texts.isna() | texts.isin(self.levels), OTHER)
        return listed.astype(pd.CategoricalDtype(list(dict.fromkeys((*self.levels, OTHER)))))
