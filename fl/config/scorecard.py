"""Settings of the scorecard."""

from dataclasses import dataclass
from typing import Annotated

from fl.config.checks import BelowOne, Count, Engine, NotNegative, Positive, Share, between, check
from fl.rules import Rule


@dataclass(frozen=True)
class ScorecardConfig:
    """Settings of the scorecard (`fl/scorecard`).

    bins          quantile bins of a column at most, that of missing values included; special values come on top
    min_group     goods and bads at least of a passive party's group, rows at least of one of the bank's own; smaller
                  groups are merged
    max_p         highest p-value of a column that stays, by the chi-square test that all its groups have one bad rate
    min_iv        information value of a column at least; weaker columns are dropped
    monotone      keep to the signs that `party.toml` declares: points never move against them
    c             strength of the fit against the penalty, scikit-learn's C
    l1_ratio      share of L1 in the penalty, below 1, scikit-learn's l1_ratio; 0: L2 alone
    exchanges     exchanges of a residual for a step at most; one costs four round trips
    depth         exchanges that Anderson mixing remembers; 1: no mixing
    tolerance     training ends when a step is shorter, in units of the root of the log likelihood
    settled       it ends, too, when validation log loss has moved less in two exchanges in a row; 0: not so
    pdo           points to double the odds
    base_score    points of an applicant with the base odds
    base_odds     goods per bad there
    calibrate     fit the map from points to probabilities on the validation rows
    precision     fractional bits of the residual
    encryption    engine of the sums (`fl/encrypted_sums`): lattice, paillier or plain
    """

    bins: Annotated[int, between(2, 100)] = 10
    min_group: Count = 20
    max_p: Share = 0.001
    min_iv: NotNegative = 0.0
    monotone: bool = True
    c: Positive = 0.1
    # Without any L2 the weights of a one-hot column would not be unique.
    l1_ratio: BelowOne = 0.0
    exchanges: Count = 30
    depth: Count = 30
    tolerance: Positive = 0.01
    settled: NotNegative = 0.0001
    pdo: Positive = 20.0
    base_score: Annotated[float, Rule("below a million", lambda value: abs(value) < 1e6)] = 600.0
    base_odds: Positive = 50.0
    calibrate: bool = True
    precision: Annotated[int, between(8, 30)] = 24
    encryption: Engine = "lattice"

    def __post_init__(self) -> None:
        check(self, "scorecard.")

    @property
    def penalty(self) -> tuple[float, float]:
        """Of a weight w: L1 of |w|, and L2 of w² / 2."""
        return self.l1_ratio / self.c, (1 - self.l1_ratio) / self.c
