"""Points that a loan officer can add up, and the reasons that a customer can be told.

A scorecard's points are its log odds in whole numbers: `pdo` of them double the odds of being good, and `base_score`
stands for odds of `base_odds` to 1. Each party rounds the points of its own groups, so a score is exactly the sum of
the parties' points. A reason is a column in which an applicant has fewer points than its best group gives; what an
applicant loses there says how much it weighs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fl.binning import Codes
from fl.config.scorecard import ScorecardConfig
from fl.scorecard.design import Floats, Integers, by_column, of_rows
from fl.scorecard.grouping import Grouping

REASONS = 4
"""Reasons of an applicant at most."""
NO_REASON = -1


@dataclass(frozen=True)
class Scale:
    """Between log odds of default and points: score = offset − factor · log odds.

    >>> scale = Scale.of(ScorecardConfig())
    >>> scale.points(np.log([2.0, 0.5])).tolist()  # of groups that double and halve the odds of default
    [-20, 20]
    >>> float(np.exp(-scale.log_odds(np.array([600]))[0]).round(6))  # goods to one bad
    50.0
    """

    factor: float
    offset: float

    @classmethod
    def of(cls, config: ScorecardConfig) -> "Scale":
        """The scale of the settings."""
        factor = config.pdo / np.log(2)
        return cls(float(factor), float(config.base_score - factor * np.log(config.base_odds)))

    def points(self, weights: Floats) -> Integers:
        """The points of groups with these weights (m,)."""
        return np.asarray(np.rint(-self.factor * weights), np.int64)

    def base(self, intercept: float) -> int:
        """The points that everybody has."""
        return round(self.offset - self.factor * intercept)

    def log_odds(self, scores: Integers) -> Floats:
        """The log odds of default (n,) for which scores (n,) stand."""
        return np.asarray((self.offset - scores) / self.factor, np.float64)


@dataclass(frozen=True)
class PointsTable:
    """A party's share of the scorecard.

    columns  int64 (k,): the numbers of its columns that have points
    counts   int64 (k,): groups of each
    points   int64 (all groups,): column by column

    >>> table = PointsTable(np.array([0, 4]), np.array([2, 3]), np.array([10, -5, 8, 0, -12]))
    >>> groups = np.array([[0, 2], [1, 0]], np.uint8)  # of two rows in two columns
    >>> table.totals(groups).tolist(), table.reasons(groups)[0][:, 0].tolist()
    ([-2, 3], [4, 0])
    """

    columns: NDArray[np.int64]
    counts: NDArray[np.int64]
    points: Integers

    @classmethod
    def of(cls, grouping: Grouping, points: Integers) -> "PointsTable":
        """The share of the columns that have groups, with the points of these."""
        return cls(grouping.columns, grouping.counts, points)

    @property
    def by_column(self) -> list[Integers]:
        """The points of each column."""
        return by_column(self.points, self.counts)

    @property
    def best(self) -> Integers:
        """The most points that each column gives, (k,)."""
        return np.array([points.max() for points in self.by_column], np.int64)

    def totals(self, codes: Codes) -> Integers:
        """The points (n,) of rows in groups (n, k); a row that is UNKNOWN has none."""
        return np.asarray(self.of_columns(codes).sum(axis=1), np.int64)

    def of_columns(self, codes: Codes) -> Integers:
        """The points (n, k) of these rows in each column."""
        return of_rows(self.points, self.counts, codes, of_unknown=0)

    def reasons(self, codes: Codes) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
        """Column numbers (n, REASONS) in falling order of points lost, NO_REASON where there are fewer; the points."""
        of_groups = np.repeat(self.best, self.counts) - self.points
        lost = of_rows(of_groups, self.counts, codes, of_unknown=0).astype(np.int32)
        return worst([(np.broadcast_to(self.columns, lost.shape).astype(np.int16), lost)])


def worst(parts: Sequence[tuple[NDArray[Any], NDArray[np.int32]]]) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Of several lists of reasons per row, names (n, r) and points lost (n, r), the REASONS that lose most.

    Equal losses keep the order of the parts. Where nothing is lost there is no reason: a number becomes NO_REASON, a
    text empty.
    """
    names = np.concatenate([part[0] for part in parts], axis=1)
    lost = np.concatenate([part[1] for part in parts], axis=1)
    gap = max(0, REASONS - lost.shape[1])
    names, lost = (np.pad(array, ((0, 0), (0, gap))) for array in (names, lost))
    order = np.argsort(-lost, axis=1, kind="stable")[:, :REASONS]
    names, lost = np.take_along_axis(names, order, 1), np.take_along_axis(lost, order, 1)
    nothing: Any = "" if names.dtype.kind == "U" else NO_REASON
    return np.where(lost > 0, names, nothing).astype(names.dtype), lost


def prefixes(parties: Sequence[str]) -> list[str]:
    """What the reason codes of each party begin with: the first letters of its name, or P and its number.

    The latter for all of them where letters are not enough to tell them apart, or a name has none of A to Z.
    """
    letters = ["".join(sign for sign in name.upper() if "A" <= sign <= "Z")[:3] for name in parties]
    if len(set(letters)) == len(letters) and all(letters):
        return letters
    return [f"P{number}" for number in range(len(parties))]


def codes_of(prefix: str, columns: NDArray[Any]) -> NDArray[np.str_]:
    """Reason codes such as TAX07 for columns of any shape, which count from 1 there; empty for NO_REASON."""
    codes = [f"{prefix}{column + 1:02d}" if column >= 0 else "" for column in columns.ravel()]
    return np.array(codes, np.str_).reshape(columns.shape)


def obeys(table: PointsTable, runs: NDArray[np.int64], signs: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Whether the points of each column never move against its sign, (k,): where risk rises, points do not.

    runs and signs as in `grouping.Grouping`.
    """
    columns = zip(table.by_column, runs, signs, strict=True)
    return np.array([bool((sign * np.diff(points[:run]) <= 0).all()) for points, run, sign in columns], bool)
