"""A protocol of three round trips, for tests: a logistic score of the sum of every party's first column.

1. `StartRequest` → `Started`, all parties standardise their first column by the training rows;
2. `TellRequest` → `Told`, the passive parties write it to the label holder;
3. `FitRequest` → `Scored`, the label holder adds the columns up, and fits and evaluates the score.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fl.config.checks import require
from fl.evaluation import Scored
from fl.messages import Count, PerRow, Reader, Request, ToLabelHolder, ToParties, request
from fl.splits import Split


@dataclass(frozen=True)
class ToyConfig:
    """steps: how often the fit is improved."""

    steps: int = 20

    def __post_init__(self) -> None:
        require(self.steps >= 1, "toy.steps", "1 or more", self.steps)


@dataclass(frozen=True)
class Started:
    """In how many training rows the party's first column has a value."""

    rows: Count


@request("start")
@dataclass(frozen=True)
class StartRequest(Request[Started]):
    """Asks a party to standardise its first column by the training rows."""

    split: ToParties[Split]


@dataclass(frozen=True)
class Column:
    """A standardised column, float64 (n,), 0 where a value is missing."""

    values: PerRow


@dataclass(frozen=True)
class Told:
    """The column of a passive party."""

    column: ToLabelHolder[Column]


@request("tell", to=Reader.PASSIVE, after=("start",))
@dataclass(frozen=True)
class TellRequest(Request[Told]):
    """Asks a passive party for its column."""


@request("fit", to=Reader.LABEL_HOLDER, after=("start",))
@dataclass(frozen=True)
class FitRequest(Request[Scored]):
    """Brings the label holder the columns of the passive parties."""

    columns: Mapping[str, ToLabelHolder[Column]]
