"""How the log odds of a row come about: a base that stands for the average applicant, and what each column adds.

Every model is explained in these terms, so the explanations of models that are averaged are averaged, too. A feature
of a passive party is known to others by its number alone, unless the party tells what it is about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fl.arrays import AnyArray
from fl.calibration import Calibration
from fl.errors import ProtocolError

Floats = NDArray[np.float64]

ALL = -1
"""In place of a column's number: those columns of the party together that are not told apart."""
BANK = ""
"""In place of the bank's name."""
LONGEST = 1000
"""Characters of a text that a party tells."""


class Feature(NamedTuple):
    """A column of a party (`BANK`, or a passive one by name) by its number in the party's table, or `ALL`.

    The bank's columns of its table are followed by one for each passive party: whether that one knows the business.
    """

    party: str
    column: int


class Text(NamedTuple):
    """What a customer is told of a feature, in English and in Chinese."""

    english: str
    chinese: str


@dataclass(frozen=True)
class Explanation:
    """Of n rows: log odds of default = base + the sum of all contributions.

    base           float64 (n,): the log odds of an average business
    contributions  float64 (n,) by feature; above 0 it raises the risk
    texts          of those features of which a party has told one

    >>> boosting = Explanation(np.array([-3.0]), {Feature(BANK, 0): np.array([0.5])})
    >>> network = Explanation(np.array([-2.0]), {Feature("tax", ALL): np.array([1.0])})
    >>> mean = weighted_mean([boosting, network], [0.5, 0.5])
    >>> mean.base.tolist(), mean.log_odds.tolist()
    ([-2.5], [-1.75])
    """

    base: Floats
    contributions: Mapping[Feature, Floats]
    texts: Mapping[Feature, Text] = field(default_factory=dict)

    @property
    def log_odds(self) -> Floats:
        """What it explains, (n,)."""
        return np.asarray(sum(self.contributions.values(), self.base), np.float64)

    def calibrated(self, calibration: Calibration) -> "Explanation":
        """The same after calibration of the log odds."""
        return replace(
            self,
            base=calibration.log_odds(self.base),
            contributions={name: calibration.slope * values for name, values in self.contributions.items()},
        )

    def at(self, positions: NDArray[np.int_], rows: int) -> "Explanation":
        """The same rows in their positions among `rows` others, which have no log odds."""

        def spread(values: Floats) -> Floats:
            everywhere = np.zeros(rows)
            everywhere[positions] = values
            return everywhere

        contributions = {name: spread(values) for name, values in self.contributions.items()}
        return replace(self, base=spread(self.base), contributions=contributions)


def weighted_mean(explanations: Sequence[Explanation], weights: Sequence[float | Floats]) -> Explanation:
    """Explains the weighted mean of the log odds that several models give the same rows.

    weights add up to 1; each is one number, or one for each row (n,). The first text told of a feature is taken.
    """
    base: Floats = np.zeros_like(explanations[0].base)
    contributions: dict[Feature, Floats] = {}
    texts: dict[Feature, Text] = {}
    for explanation, weight in zip(explanations, weights, strict=True):
        base = base + weight * explanation.base
        for name, values in explanation.contributions.items():
            contributions[name] = contributions.get(name, 0.0) + weight * values
        texts = {**explanation.texts, **texts}
    return Explanation(base, contributions, texts)


def printable(text: str, longest: int = LONGEST) -> str:
    """The text on one line, cut off where it is longer."""
    line = text if text.isprintable() else "".join(sign if sign.isprintable() else " " for sign in text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def check_texts(name: str, texts: AnyArray, length: int) -> None:
    """Raises ProtocolError unless these are `length` texts that fit in a table.

    A long text takes its width in memory for every other one, too.
    """
    if texts.dtype.kind != "U" or texts.shape != (length,):
        raise ProtocolError(f"{name} must be {length} texts, not {texts.shape} of {texts.dtype}")
    if texts.dtype.itemsize > 4 * LONGEST or any(not text.isprintable() for text in texts.tolist()):
        raise ProtocolError(f"{name} must be printable, and of {LONGEST} characters at most")
