"""Models that only an experiment can train: on the joined table, which no party of a federation ever sees.

The module of an algorithm's name holds its twin: `train(joined, roles, seed, settings) -> Fitted` trains the federated
algorithm's model without a federation, on the rows of all tables that it is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from fl.evaluation import Columns
from fl.protocols import CONVERSATIONS, VERTICAL


@dataclass(frozen=True)
class Fitted:
    """A trained model: log odds (n,) of all rows, its metrics after each step, and tables for its evaluation."""

    log_odds: NDArray[np.float64]
    curve: list[dict[str, float]]
    tables: Mapping[str, Columns] = field(default_factory=dict)


def twins() -> tuple[str, ...]:
    """The algorithms of federations that are also trained on the bank's table alone and on the joined one."""
    vertical = [talk.name for talk in CONVERSATIONS if talk.contenders and VERTICAL in talk.layouts]
    return tuple(name for name in vertical if find_spec(f"{__name__}.{name}"))
