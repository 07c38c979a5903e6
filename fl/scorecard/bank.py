"""The bank's own columns: those of its table, and one for each passive party that some business is unknown to.

It has two sets of points for them. With the points of the passive parties go those of the whole scorecard. A business
that none of them knows is better served by those of the bank's own scorecard, which is where training begins: they do
not count on what the others would have said.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fl.binning import Codes
from fl.config.scorecard import ScorecardConfig
from fl.scorecard.cone import Cone
from fl.scorecard.design import Design
from fl.scorecard.grouping import Grouping
from fl.scorecard.points import PointsTable, Scale
from fl.scorecard.regression import BankBlock
from fl.scorecard.solver import Solver

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class BankColumns:
    """The bank's columns.

    grouping  of its table's columns
    parties   int64 (p,): numbers of the passive parties that some training rows are known to and some not
    """

    grouping: Grouping
    parties: NDArray[np.int64]

    @classmethod
    def of(cls, grouping: Grouping, known: Sequence[Flags]) -> "BankColumns":
        """known says of each passive party which training rows (n,) it knows."""
        partial = [number for number, rows in enumerate(known) if rows.any() and not rows.all()]
        return cls(grouping, np.array(partial, np.int64))

    @property
    def columns(self) -> NDArray[np.int64]:
        """Numbers of the columns that have points: those of the table, then one for each passive party."""
        return np.append(self.grouping.columns, len(self.grouping.shape) + self.parties)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Groups of each; those of a passive party are its known and its unknown rows."""
        return np.append(self.grouping.counts, np.full(len(self.parties), 2, np.int64))

    @property
    def runs(self) -> NDArray[np.int64]:
        """As `Grouping.runs`."""
        return np.append(self.grouping.runs, np.zeros(len(self.parties), np.int64))

    @property
    def signs(self) -> NDArray[np.int8]:
        """As `Grouping.signs`."""
        return np.append(self.grouping.signs, np.zeros(len(self.parties), np.int8))

    def transform(self, codes: Codes, known: Sequence[Flags]) -> Codes:
        """The groups (n, k) of rows in bins (n, c)."""
        unknown = [(~known[number]).astype(np.uint8)[:, None] for number in self.parties]
        return np.concatenate([self.grouping.transform(codes), *unknown], axis=1)

    @property
    def cone(self) -> Cone:
        """The weights that keep to the signs."""
        return Cone.of(self.counts, self.runs, self.signs)

    def solver(
        self, groups: Codes, labels: NDArray[np.int8], training: Flags, parties: int, config: ScorecardConfig
    ) -> Solver:
        """What the bank solves on: groups (n, k), labels and who trains (n,) of rows that train or validate.

        parties is the number of those that fit columns of their own.
        """
        design = Design(groups, self.counts)
        l1, l2 = config.penalty
        own = int(self.grouping.counts.sum())
        selective = np.where(np.arange(design.width) < own, l1, 0.0)
        block = BankBlock(design.rows(training), labels[training], self.cone, selective, l2)
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
        tables = [PointsTable(bank.columns, bank.counts, scale.points(own[1:])) for own in (weights, alone)]
        return cls(scale.base(float(weights[0])), tables[0], scale.base(float(alone[0])), tables[1])

    def bases(self, unknown: Flags) -> Integers:
        """What each row has to begin with, (n,); unknown (n,) are rows that no passive party knows."""
        return np.where(unknown, self.alone_base, self.base)

    def totals(self, groups: Codes, unknown: Flags) -> Integers:
        """The points (n,) of rows in groups (n, k), without those."""
        return np.where(unknown, self.alone_table.totals(groups), self.table.totals(groups))
