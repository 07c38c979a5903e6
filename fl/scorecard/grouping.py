"""From fine bins to the groups that get points: what is too small or against the declared direction is merged.

The bank does this with the goods and bads of each bin, for its own columns and, on sums that it alone can open, for
those of the others, which are numbers to it. Weight of evidence and information value are Good's (1950) as credit
scoring uses them (Siddiqi, "Credit Risk Scorecards", 2006).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from fl.binning import UNKNOWN, Codes, Shape
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError, ProtocolError
from fl.scorecard.design import Floats, Integers, by_column, of_rows
from fl.sums import counts_by_bin

DROPPED = -1
"""In place of a group, for the bins of a column that the scorecard leaves out."""


@dataclass(frozen=True)
class Grouping:
    """How the bins of a party's columns become groups.

    shape   of the bins
    groups  int16 (all bins,), column by column: the group of each bin, numbered from 0 within its column, or DROPPED
    """

    shape: Shape
    groups: NDArray[np.int16]

    @property
    def by_column(self) -> list[NDArray[np.int16]]:
        """The group of each bin, (bins,), by column."""
        return by_column(self.groups, self.shape.bins)

    @property
    def columns(self) -> Integers:
        """The numbers of the columns that stay, (k,)."""
        return np.flatnonzero([groups[0] != DROPPED for groups in self.by_column])

    @property
    def counts(self) -> Integers:
        """The groups of each column that stays, (k,)."""
        return np.array([groups.max() + 1 for groups in self.by_column if groups[0] != DROPPED], np.int64)

    @property
    def runs(self) -> Integers:
        """By column that stays: how many of its groups, the leading ones, rise with the value; none of a category."""
        groups, shape = self.by_column, self.shape
        return np.array(
            [
                groups[column][: shape.bins[column] - shape.apart[column]].max() + 1
                if shape.ordered[column]
                else 0
                for column in self.columns
            ],
            np.int64,
        )

    @property
    def signs(self) -> NDArray[np.int8]:
        """The declared sign of each column that stays, (k,)."""
        return self.shape.signs[self.columns]

    def transform(self, codes: Codes) -> Codes:
        """The groups (n, k) of rows in bins (n, c); UNKNOWN stays."""
        return of_rows(self.groups, self.shape.bins, codes, UNKNOWN)[:, self.columns].astype(np.uint8)

    def check(self) -> Self:
        """This grouping, perhaps made by another party. Raises ProtocolError unless it fits the shape."""
        if self.groups.dtype != np.int16 or self.groups.shape != (int(self.shape.bins.sum()),):
            raise ProtocolError(f"groups must be int16, one for each of {int(self.shape.bins.sum())} bins")
        for number, groups in enumerate(self.by_column):
            dropped = bool((groups == DROPPED).all())
            if not dropped and not np.array_equal(np.unique(groups), np.arange(int(groups.max()) + 1)):
                raise ProtocolError(f"the groups of column {number} must be numbered from 0 without gaps")
            values = groups[: self.shape.bins[number] - self.shape.apart[number]]
            if self.shape.ordered[number] and (np.diff(values) < 0).any():
                raise ProtocolError(f"the groups of column {number} must rise with the value")
        return self


@dataclass(frozen=True)
class Evidence:
    """What the bank knows of a party's c columns.

    goods, bads  int64 (all groups,): training rows of either label in each group
    information  float64 (c,): the information value of every column, also of those that were dropped
    """

    grouping: Grouping
    goods: Integers
    bads: Integers
    information: Floats


def group(
    shape: Shape, goods: Integers, bads: Integers, config: ScorecardConfig, protected: bool = True
) -> Evidence:
    """Groups of a party's columns by the goods and bads (all bins,) of their bins.

    A group has `min_group` goods and bads or more if the labels are to be protected from the party, else `min_group`
    rows: the bank may see in its own columns that nobody of a group has defaulted. Columns are dropped that are left
    with one group, whose information value is below `min_iv`, or whose groups may well differ by chance: a p-value
    above `max_p`, a guide only, since the same labels have merged them. Signs of the shape are kept to.
    """
    groups, of_good, of_bad, information = [], [], [], np.zeros(len(shape))
    columns = zip(by_column(goods, shape.bins), by_column(bads, shape.bins), strict=True)
    for column, of_column in enumerate(columns):
        numbers = merge(
            *of_column,
            bool(shape.ordered[column]),
            int(shape.apart[column]),
            int(shape.signs[column]),
            config.min_group,
            protected,
        )
        good, bad = (np.bincount(numbers, part).astype(np.int64) for part in of_column)
        information[column] = information_value(good, bad)
        weak = information[column] < config.min_iv or chance(good, bad) > config.max_p
        if len(good) < 2 or weak:
            numbers, good, bad = np.full_like(numbers, DROPPED), good[:0], bad[:0]
        groups.append(numbers)
        of_good.append(good)
        of_bad.append(bad)
    none = np.empty(0, np.int64)
    grouping = Grouping(shape, np.concatenate([np.empty(0, np.int16), *groups]))
    return Evidence(grouping, np.concatenate([none, *of_good]), np.concatenate([none, *of_bad]), information)


def group_by_labels(
    shape: Shape, codes: Codes, labels: NDArray[np.int8], config: ScorecardConfig, protected: bool
) -> Evidence:
    """The same, by rows in bins (n, c) with labels (n,)."""
    goods, bads = counts_by_bin(codes, labels, 2, shape.width)[:, shape.cells]
    return group(shape, goods, bads, config, protected)


def check_columns(of_bank: Evidence, passive: Iterable[Grouping], config: ScorecardConfig) -> None:
    """Raises ConfigError if no column of any party stays, with what the bank may tell: its own information values."""
    if any(len(grouping.columns) for grouping in (of_bank.grouping, *passive)):
        return
    highest = of_bank.information.max(initial=0.0)
    if highest < config.min_iv:
        raise ConfigError(
            f"No column reaches the information value {config.min_iv:g} of scorecard.min-iv, and the label holder's "
            f"own reach {highest:.3g} at most; lower scorecard.min-iv."
        )
    raise ConfigError(
        f"No column says more about defaults than chance may: scorecard.max-p is {config.max_p:g}, and the label "
        f"holder's own columns have an information value of {highest:.3g} at most; offer other columns or more "
        "businesses, or raise scorecard.max-p."
    )


def merge(
    goods: Integers, bads: Integers, ordered: bool, apart: int, sign: int, minimum: int, protected: bool
) -> NDArray[np.int16]:
    """The group of each of a column's bins, (bins,), from 0 in their order.

    A group is too small with fewer goods or bads than the minimum, or, if it is not protected, with fewer rows. It
    joins the neighbour whose bad rate is nearer; levels of a category and the bins apart (of special and missing
    values), which have no neighbours, join the nearest of all. Then, under a sign, adjacent groups that violate it are
    pooled.
    """
    members = [[number] for number in range(len(goods))]
    values = len(goods) - apart if ordered else 0  # the leading groups, which keep their order
    size = min if protected else sum

    def rate(place: int) -> float:
        return float(bads[members[place]].sum() / max(1, (goods + bads)[members[place]].sum()))

    def join(first: int, second: int) -> int:
        members[first] = sorted(members[first] + members.pop(second))
        return values - (second < values)

    while len(members) > 1:
        sizes = [size((goods[bins].sum(), bads[bins].sum())) for bins in members]
        least = int(np.argmin(sizes))
        if sizes[least] >= minimum:
            break
        others = [place for place in range(len(members)) if place != least]
        if least < values > 1:
            others = [place for place in (least - 1, least + 1) if 0 <= place < values]
        nearest = min(others, key=lambda place: abs(rate(place) - rate(least)))
        values = join(*sorted((least, nearest)))
    while sign:
        steps = sign * np.diff([rate(place) for place in range(values)])
        if not (steps < 0).any():
            break
        worst = int(np.argmin(steps))
        values = join(worst, worst + 1)
    groups = np.empty(len(goods), np.int16)
    for number, bins in enumerate(members):
        groups[bins] = number
    return groups


def weight_of_evidence(goods: Integers, bads: Integers) -> Floats:
    """By group, the log of its share of the bads over its share of the goods, (m,): positive is risky.

    Where a group has no goods or no bads, half a row is added to every count, so that it is finite: the correction of
    Haldane (1956) and Anscombe (1956).
    """
    goods, bads = _without_zeros(goods, bads)
    return np.asarray(np.log(bads / bads.sum()) - np.log(goods / goods.sum()), np.float64)


def information_value(goods: Integers, bads: Integers) -> float:
    """Sum over groups of the difference of both shares times the weight of evidence; 0 for a single group."""
    if len(goods) < 2:
        return 0.0
    goods, bads = _without_zeros(goods, bads)
    shares: Any = bads / bads.sum() - goods / goods.sum()
    return float(shares @ weight_of_evidence(goods, bads))


def chance(goods: Integers, bads: Integers) -> float:
    """The p-value of Pearson's chi-square test that all groups (m,) have the same bad rate.

    1 for a single group, or if all rows are good or all bad.
    """
    if len(goods) < 2 or not goods.any() or not bads.any():
        return 1.0
    counted = np.stack([goods, bads])
    expected = counted.sum(axis=1, keepdims=True) * counted.sum(axis=0) / counted.sum()
    return float(chdtrc(len(goods) - 1, ((counted - expected) ** 2 / expected).sum()))


def _without_zeros(goods: NDArray[Any], bads: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The counts of a column's groups, with half a row more in each if one is zero."""
    more = 0.0 if goods.all() and bads.all() else 0.5
    return goods + more, bads + more
