"""The bank's own columns: those of its table, and one for each passive party that some business is unknown to.

It has two sets of points for them. With the points of the passive parties go those of the whole scorecard. A business
that none of them knows is better served by those of the bank's own scorecard, which is where training begins: they do
not count on what the others would have said.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fl.binning import Codes, Shape
from fl.config.scorecard import ScorecardConfig
from fl.scorecard.design import Floats, Integers, one_hot
from fl.scorecard.grouping import DROPPED, Grouping
from fl.scorecard.points import PointsTable, Scale
from fl.scorecard.regression import BankBlock, cone_of
from fl.scorecard.solver import Solver

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class BankColumns:
    """The bank's columns.

    grouping  of its table's columns
    covered   the passive parties that know some of the training rows but not all, each with its number among all
              passive parties
    """

    grouping: Grouping
    covered: Mapping[str, int]

    @classmethod
    def of(cls, grouping: Grouping, coverage: Mapping[str, Flags]) -> "BankColumns":
        """coverage says by passive party which training rows (n,) it knows."""
        return cls(
            grouping,
            {
                name: number
                for number, (name, known) in enumerate(coverage.items())
                if known.any() and not known.all()
            },
        )

    @property
    def whole(self) -> Grouping:
        """Of all columns: those of the table, then one for each passive party, whose bins are known and unknown rows.

        A party's column is left out unless the party is among those covered.
        """
        shape, numbers = self.grouping.shape, np.array(list(self.covered.values()), np.int64)
        groups = np.full((1 + numbers.max(initial=-1), 2), DROPPED, np.int16)
        groups[numbers] = 0, 1
        none = np.zeros(len(groups), np.int64)
        whole = Shape(
            bins=np.append(shape.bins, np.full(len(groups), 2)),
            apart=np.append(shape.apart, none),
            ordered=np.append(shape.ordered, none.astype(bool)),
            signs=np.append(shape.signs, none.astype(np.int8)),
        )
        return Grouping(whole, np.append(self.grouping.groups, groups))

    def transform(self, codes: Codes, coverage: Mapping[str, Flags]) -> Codes:
        """The groups (n, k) of rows in bins (n, c); coverage says by passive party which of them (n,) it knows."""
        unknown = [(~coverage[name]).astype(np.uint8)[:, None] for name in self.covered]
        return np.concatenate([self.grouping.transform(codes), *unknown], axis=1)

    def solver(
        self, groups: Codes, labels: NDArray[np.int8], training: Flags, parties: int, config: ScorecardConfig
    ) -> Solver:
        """What the bank solves on: groups (n, k), labels and who trains (n,) of rows that train or validate.

        parties is the number of those that fit columns of their own.
        """
        design, (l1, l2) = one_hot(groups, self.whole.counts), config.penalty
        of_table = int(self.grouping.counts.sum())
        selective = np.where(np.arange(design.shape[1]) < of_table, l1, 0.0)
        block = BankBlock(design[training], labels[training], cone_of(self.whole), selective, l2)
        return Solver(block, design, labels, training, parties, config)


@dataclass(frozen=True)
class BankPoints:
    """The bank's points: of its columns, and what everybody has to begin with.

    base, table              beside the passive parties' points
    alone_base, alone_table  of a business that no passive party knows
    """

    base: int
    table: PointsTable
    alone_base: int
    alone_table: PointsTable

    @classmethod
    def of(cls, bank: BankColumns, weights: Floats, alone: Floats, scale: Scale) -> "BankPoints":
        """From the weights (1 + width,) of the whole scorecard and of the bank's own, the intercept first."""
        joint, by_itself = (
            (scale.base(float(w[0])), PointsTable.of(bank.whole, scale.points(w[1:])))
            for w in (weights, alone)
        )
        return cls(*joint, *by_itself)

    def of_coverage(self, column: int, alone: Flags) -> tuple[Integers, Integers]:
        """Of rows that a passive party knows and that it does not, the points (n,) in the column that says so.

        They are 0 where there is no such column. alone (n,) are rows that no passive party knows.
        """
        places = np.flatnonzero(self.table.columns == column)
        if not len(places):
            return np.zeros(len(alone), np.int64), np.zeros(len(alone), np.int64)
        joint, by_itself = (each.by_column[places[0]] for each in (self.table, self.alone_table))
        known, unknown = (np.where(alone, by_itself[group], joint[group]) for group in (0, 1))
        return known, unknown

    def bases(self, unknown: Flags) -> Integers:
        """What each row has to begin with, (n,); unknown (n,) are rows that no passive party knows."""
        return np.where(unknown, self.alone_base, self.base)
