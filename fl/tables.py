"""A party's features in the common row order, as arrays: what every protocol trains on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fl.errors import ProtocolError


@dataclass(frozen=True)
class Table:
    """Features at each position of an alignment.

    numeric   float64 (n, p), NaN where missing, columns named `numeric_names`
    codes     int32 (n, q), an index into `levels` of the column, −1 where missing, columns named `categorical_names`
    levels    the texts of each categorical column
    known     bool (n,): the party knows the business; other rows are all missing
    special   float64 (n,) by numeric column that has special values: that of a row, NaN in all other rows. In `numeric`
              they are missing
    """

    numeric: NDArray[np.float64]
    numeric_names: tuple[str, ...]
    codes: NDArray[np.int32]
    categorical_names: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    known: NDArray[np.bool_]
    special: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.known)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns as protocols number them: numeric ones first."""
        return (*self.numeric_names, *self.categorical_names)

    def in_levels_of(self, other: "Table") -> "Table":
        """The same rows with the level codes of another table; levels that it does not know get codes after its own.

        A code is good only beside the levels that it was made with, and those depend on the rows of a table. Raises
        ProtocolError unless both tables have the same columns.
        """
        if (self.numeric_names, self.categorical_names) != (other.numeric_names, other.categorical_names):
            raise ProtocolError("the columns are not those with which the model was trained")
        levels = tuple(
            (*known, *(text for text in own if text not in set(known)))
            for own, known in zip(self.levels, other.levels, strict=True)
        )
        codes = np.full(self.codes.shape, -1, np.int32)
        for column, (own, joined) in enumerate(zip(self.levels, levels, strict=True)):
            places = {text: place for place, text in enumerate(joined)}
            # The last entry stands for a missing value, whose code −1 finds it.
            moved = np.array([*(places[text] for text in own), -1], np.int32)
            codes[:, column] = moved[self.codes[:, column]]
        return replace(self, codes=codes, levels=levels)

    @classmethod
    def stacked(cls, tables: Sequence["Table"]) -> "Table":
        """The rows of several tables with the same columns one after the other, with all their levels in text order.

        So the levels have an order that none of the tables decides. Raises ProtocolError unless all have the columns of
        the first.
        """
        first = tables[0]
        levels = tuple(
            tuple(sorted(set().union(*texts))) for texts in zip(*(t.levels for t in tables), strict=True)
        )
        common = replace(first.take(np.empty(0, np.int64)), levels=levels)
        coded = [table.in_levels_of(common) for table in tables]
        return replace(
            common,
            numeric=np.concatenate([table.numeric for table in coded]),
            codes=np.concatenate([table.codes for table in coded]),
            known=np.concatenate([table.known for table in coded]),
            special={
                name: np.concatenate([table.special[name] for table in coded]) for name in first.special
            },
        )

    def take(self, rows: NDArray[np.int_]) -> Self:
        """Some of the rows, in that order."""
        return replace(
            self,
            numeric=self.numeric[rows],
            codes=self.codes[rows],
            known=self.known[rows],
            special={name: values[rows] for name, values in self.special.items()},
        )
