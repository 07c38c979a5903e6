"""The bins of the columns that several banks have, from the rows of all of them in one table."""

from collections.abc import Sequence

import numpy as np

from fl.banks.grid import Grid, Schema
from fl.banks.program import Rows
from fl.binning import Binning
from fl.splits import TRAIN
from fl.tables import Table


def banks_bins(
    banks: Sequence[Rows], schema: Schema, bins: int, minimum: int, special: bool = False
) -> tuple[Binning, Table]:
    """The bins, and these columns of the rows of one bank after the other.

    A column has at most `bins` bins, of `minimum` training rows or more; with `special` each special value has one of
    its own.
    """
    table = schema.table(Table.stacked([rows.table for rows in banks]))
    training = np.flatnonzero(np.concatenate([rows.roles for rows in banks]) == TRAIN)
    signs = np.array([banks[0].signs.get(name, 0) for name in table.names], np.int8)
    grid = Grid(schema, special=special)
    return grid.binning(grid.addend(table.take(training)), bins, minimum, signs), table
