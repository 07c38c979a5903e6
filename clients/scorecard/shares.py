"""What both halves of the scorecard do with a party's own columns: bins, signs, names, values and texts of reasons."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from clients.aligned import read_table
from clients.binned import Setup, read_binning, set_up
from clients.declaration import Declaration
from clients.session import Session
from fl.binning import Codes, Shape
from fl.config import ScorecardConfig
from fl.scorecard.card import Texts
from fl.scorecard.grouping import Grouping
from fl.scorecard.values import values_of_groups


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


def group_values(session: Session, grouping: Grouping) -> Texts:
    """Which values the groups of the party's columns stand for, (all groups,)."""
    return values_of_groups(read_binning(session.store), read_table(session.study).levels, grouping)


def texts(session: Session, columns: NDArray[np.int64]) -> tuple[Texts, Texts]:
    """What a customer is told who loses points in a column, in English and in Chinese."""
    known, names = (
        reasons_of(session.party.declaration, session.party.reasons),
        read_table(session.study).names,
    )
    told = [known[names[number]] for number in columns]
    return np.array([text for text, _ in told], np.str_), np.array([text for _, text in told], np.str_)


def reasons_of(declaration: Declaration, usual: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """By column, what a customer is told in English and in Chinese; usual is what the client type says.

    As `party.toml` declares it, else as the client type does, else the column's description, else its name.
    """
    found = {}
    for column in declaration.columns:
        named = column.description or column.name
        text, text_zh = usual.get(column.name, ("", ""))
        found[column.name] = (
            column.reason or text or named,
            column.reason_zh or text_zh or column.reason or named,
        )
    return found
