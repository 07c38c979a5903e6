"""A party's own columns in the scorecard: their bins, and the values of groups in words."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clients.binned import Setup, set_up
from clients.data.column import Column
from clients.session import Session
from fl.binning import Binning, Shape
from fl.config.scorecard import ScorecardConfig
from fl.messages import Letter
from fl.records import Array
from fl.scorecard.card import Texts
from fl.scorecard.grouping import Grouping
from fl.scorecard.values import ROUNDED, values_of_groups
from fl.splits import Split
from fl.tables import Table

LABEL_RANGES = ((0, 1),)
"""Least and greatest label that the label holder encrypts."""


def bin_columns(session: Session, seed: int, split: Letter[Split]) -> Setup:
    """Bin the party's columns by the training rows, and keep that."""
    config = session.config.section(ScorecardConfig)
    return set_up(session, seed, split, config.bins, config.min_group, special=True)


def demanded(shape: Shape, config: ScorecardConfig) -> Shape:
    """The shape with those signs that the settings hold the scorecard to."""
    return shape if config.monotone else shape.without_signs()


def one_group(rows: Array) -> NDArray[np.int64]:
    """The offsets of rows that are all of one group of `encrypted_sums`."""
    return np.array([0, len(rows)], np.int64)


def residual_ranges(config: ScorecardConfig) -> tuple[tuple[int, int], ...]:
    """Least and greatest residual that the label holder encrypts, in units of 2^−precision."""
    unit = 1 << config.precision
    return ((-unit, unit),)


def values_of(
    columns: Mapping[str, Column],
    table: Table,
    binning: Binning,
    grouping: Grouping,
    digits: int = ROUNDED,
) -> Texts:
    """Which values the groups of declared columns stand for, (all groups,); numbers have so many digits."""
    return values_of_groups(binning, table, grouping, [columns[name].unit for name in table.names], digits)
