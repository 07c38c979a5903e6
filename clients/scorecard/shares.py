"""What both halves of the scorecard do with a party's own columns: bins, signs, names, values and texts of reasons."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_table
from clients.binned import Setup, read_binning, set_up
from clients.data.declaration import Column, with_reasons
from clients.session import Session
from fl.binning import Binning, Codes, Shape
from fl.config.scorecard import ScorecardConfig
from fl.scorecard.card import Texts
from fl.scorecard.grouping import Grouping
from fl.scorecard.values import ROUNDED, printable, values_of_groups
from fl.tables import Table


def bin_columns(session: Session, seed: int, roles: NDArray[np.int8]) -> Setup:
    """Bin the party's columns by the training rows, and keep that."""
    config = session.config.scorecard
    return set_up(session, seed, roles, config.bins, config.min_group)


def demanded(shape: Shape, config: ScorecardConfig) -> Shape:
    """The shape with the signs that the settings hold it to."""
    return shape if config.monotone else shape.without_signs()


def all_codes(session: Session, setup: Setup) -> Codes:
    """The bins (n, c) of every position."""
    return setup.binning.transform(read_table(session.study))


def group_values(session: Session, grouping: Grouping, digits: int = ROUNDED) -> Texts:
    """Which values the groups of the party's columns stand for, (all groups,), numbers with so many digits."""
    columns = with_reasons(session.party.declaration, session.party.columns)
    return values_of(columns, read_table(session.study), read_binning(session.store), grouping, digits)


def texts(session: Session, numbers: NDArray[np.int64]) -> tuple[Texts, Texts]:
    """What a customer is told who loses points in columns of these numbers, in English and in Chinese."""
    columns = with_reasons(session.party.declaration, session.party.columns)
    return texts_of(columns, read_table(session.study), numbers)


def values_of(
    columns: Mapping[str, Column],
    table: Table,
    binning: Binning,
    grouping: Grouping,
    digits: int = ROUNDED,
) -> Texts:
    """As `group_values`, of declared columns."""
    units = [columns[name].unit for name in table.names]
    return values_of_groups(binning, table, grouping, units, digits)


def texts_of(columns: Mapping[str, Column], table: Table, numbers: NDArray[np.int64]) -> tuple[Texts, Texts]:
    """As `texts`, of columns that `with_reasons` made."""
    own = [columns[table.names[number]] for number in numbers]
    english, chinese = ([printable(getattr(c, name)) for c in own] for name in ("reason", "reason_zh"))
    return np.array(english, np.str_), np.array(chinese, np.str_)
