"""Features of monthly records: the months before an observation month side by side, and functions of them.

A type whose records are monthly is a `MonthlyParty`: each of its columns is a `Feature`, which says in one place what
the column means and how it is computed. A feature is computed from arrays of shape (businesses, months) whose column 0
is the observation month and column k the month k before it; later months are not in them. The functions below work on
such arrays, skip missing months, and return one value per business, missing if there is nothing to compute it from.
Amounts and ratios are given as logarithms, since businesses differ by orders of magnitude.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from clients.data.column import Column
from clients.data.errors import DataError
from clients.parties.base import Party
from clients.parties.records import MONTH

Array = npt.NDArray[np.float64]
MONTHS = 18
"""Months that features look back unless a type says otherwise, the observation month included."""
NEGLIGIBLE = 1e-3
"""Ratios below this, or above its inverse, are cut off there before their logarithm is taken."""


class History(dict[str, npt.NDArray[Any]]):
    """What is known about some businesses as of their observation months: an array for each record column.

    A number of a monthly table is float64 (businesses, months), column k the month k before the observation month; a
    column of another table is (businesses,). Two tables must not have a column of facts of the same name.
    """

    def __init__(self, records: Mapping[str, pd.DataFrame], as_of: pd.Series, months: int, id: str) -> None:
        """Takes what `Party.features` is given. Raises `DataError` if a business has two rows in a month."""
        for table in records.values():
            if MONTH in table:
                panel = Panel(table, as_of, months, id)
                self.update({name: panel[name] for name in table.select_dtypes("number")})
            else:
                facts = table.set_index(id).reindex(as_of.index)
                self.update({name: facts[name].to_numpy() for name in facts})


@dataclass(frozen=True)
class Feature(Column):
    """A column together with the function that computes it.

    `compute` takes the history of some businesses and returns a value for each, (businesses,).
    """

    compute: Callable[[History], npt.NDArray[Any]] = field(kw_only=True)


class MonthlyParty(Party):
    """A party type with record tables of a row per business and month; its columns are features of them.

    A table without a month, such as the label holder's `applications`, has a row per business.
    """

    columns: ClassVar[tuple[Feature, ...]] = ()
    look_back: ClassVar[int] = MONTHS
    """How many months the features look back, the observation month included."""

    def features(self, records: Mapping[str, pd.DataFrame], as_of: pd.Series) -> pd.DataFrame:
        """See `Party.features`."""
        history = History(records, as_of, self.look_back, self.id)
        return pd.DataFrame(
            {column.name: column.compute(history) for column in self.columns}, index=as_of.index
        )


class Panel:
    """The last `months` months of a record table, per business."""

    def __init__(
        self, table: pd.DataFrame, as_of: pd.Series, months: int = MONTHS, id_column: str = "business_id"
    ) -> None:
        """Places the rows of `table` (columns `id_column`, `month`, values) by business and lag.

        `as_of` has business ids as its index and observation months (datetime64) as values; where it is NaT,
        the last month in the table counts. Raises `DataError` if a business has two rows in a month.
        """
        record_month, observed = _month_count(table["month"]), _month_count(as_of)
        last = record_month.max() if len(record_month) else 0
        observed = np.where(np.isnat(as_of.to_numpy()), last, observed)
        business = as_of.index.get_indexer(table[id_column])
        lag = observed[business] - record_month if len(as_of) else np.full(len(table), -1)
        self._used = np.flatnonzero((business >= 0) & (lag >= 0) & (lag < months))
        self._cell = business[self._used] * months + lag[self._used]
        self._shape = (len(as_of), months)
        self._table = table
        if (is_repeated := pd.Series(self._cell).duplicated().to_numpy()).any():
            row = self._used[is_repeated.argmax()]
            raise DataError(
                f"business '{table[id_column].iloc[row]}' has more than one record of "
                f"{table['month'].iloc[row]:%Y-%m}; keep one row per business and month."
            )

    def __getitem__(self, column: str) -> Array:
        """The column as an array of shape (businesses, months), NaN where there is no record."""
        values = np.full(self._shape, np.nan)
        values.flat[self._cell] = self._table[column].to_numpy(dtype=np.float64)[self._used]
        return values


def total(values: Array, first: int, last: int) -> Array:
    """Sum over the lags first … last-1."""
    window = values[:, first:last]
    present = ~np.isnan(window)
    return np.where(present.any(axis=1), np.where(present, window, 0).sum(axis=1), np.nan)


def mean(values: Array, first: int, last: int) -> Array:
    """Mean over the lags first … last-1."""
    count = (~np.isnan(values[:, first:last])).sum(axis=1)
    return np.asarray(total(values, first, last) / np.maximum(count, 1))


def highest(values: Array, first: int, last: int) -> Array:
    """Maximum over the lags first … last-1."""
    return np.asarray(np.fmax.reduce(values[:, first:last], axis=1))


def lowest(values: Array, first: int, last: int) -> Array:
    """Minimum over the lags first … last-1."""
    return np.asarray(np.fmin.reduce(values[:, first:last], axis=1))


def log_ratio(numerator: Array, denominator: Array) -> Array:
    """Logarithm of a ratio of amounts, cut off at `NEGLIGIBLE` and its inverse.

    Missing where either is missing, or the denominator is not positive.
    """
    ratio = numerator / np.where(denominator > 0, denominator, np.nan)
    return np.log(np.clip(ratio, NEGLIGIBLE, 1 / NEGLIGIBLE))


def log_amount(amount: Array) -> Array:
    """log(1 + amount), amounts below zero counting as zero."""
    return np.log1p(np.maximum(amount, 0))


def trend(values: Array, months: int) -> Array:
    """Log ratio of the mean of the last `months` months to that of the `months` before."""
    return log_ratio(mean(values, 0, months), mean(values, months, 2 * months))


def year_on_year(values: Array, months: int) -> Array:
    """Log ratio of the last `months` months to the same months a year ago: free of season."""
    return log_ratio(mean(values, 0, months), mean(values, 12, 12 + months))


def volatility(values: Array, first: int, last: int) -> Array:
    """Log coefficient of variation over the lags first … last-1; missing with fewer than three months."""
    window, centre = values[:, first:last], mean(values, first, last)
    spread = np.sqrt(mean((window - centre[:, None]) ** 2, 0, last - first))
    enough = (~np.isnan(window)).sum(axis=1) >= 3
    return np.where(enough, log_ratio(spread, centre), np.nan)


def share_of_months(condition_values: Array, first: int, last: int) -> Array:
    """Share of the recorded months at lags first … last-1 in which the value is above zero."""
    return mean(np.where(np.isnan(condition_values), np.nan, condition_values > 0), first, last)


def _month_count(dates: pd.Series) -> npt.NDArray[np.int64]:
    return np.asarray(dates, dtype="datetime64[M]").astype(np.int64)
