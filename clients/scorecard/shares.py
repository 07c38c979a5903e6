"""What both halves of the scorecard do with a party's own columns: bins, signs, points and the texts of reasons."""

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_table
from clients.binned import Setup, set_up
from clients.session import Session
from fl.binning import Codes, Shape
from fl.config import ScorecardConfig

Texts = NDArray[np.str_]


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


def texts(session: Session, columns: NDArray[np.int64]) -> tuple[Texts, Texts]:
    """What a customer is told who loses points in a column, in English and in Chinese.

    As `party.toml` declares it, else as the client type does, else the column's description, else its name.
    """
    table, party = read_table(session.study), session.party
    names = (*table.numeric_names, *table.categorical_names)
    declared = {column.name: column for column in party.declaration.columns}
    english, chinese = [], []
    for column in (declared[names[number]] for number in columns):
        usual = column.description or column.name
        text, text_zh = party.reasons.get(column.name, ("", ""))
        english.append(column.reason or text or usual)
        chinese.append(column.reason_zh or text_zh or column.reason or usual)
    return np.array(english, np.str_), np.array(chinese, np.str_)
