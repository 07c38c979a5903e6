"""Settings of the scorecard."""

from dataclasses import dataclass

from fl.config.checks import positive, require, setting_name


@dataclass(frozen=True)
class ScorecardConfig:
    """Settings of the scorecard (`fl/scorecard`).

    bins          quantile bins of a column at most, that of missing values included
    min_group     goods and bads of a bin at least; smaller bins are merged
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

    bins: int = 10
    min_group: int = 20
    max_p: float = 0.001
    min_iv: float = 0.0
    monotone: bool = True
    c: float = 0.1
    l1_ratio: float = 0.0
    exchanges: int = 30
    depth: int = 30
    tolerance: float = 0.01
    settled: float = 0.0001
    pdo: float = 20.0
    base_score: float = 600.0
    base_odds: float = 50.0
    calibrate: bool = True
    precision: int = 24
    encryption: str = "lattice"

    def __post_init__(self) -> None:
        require(2 <= self.bins <= 100, "scorecard.bins", "from 2 to 100", self.bins)
        for name in ("min_group", "exchanges", "depth"):
            value = getattr(self, name)
            require(value >= 1, f"scorecard.{setting_name(name)}", "1 or more", value)
        for name in ("c", "tolerance", "pdo", "base_odds"):
            value = getattr(self, name)
            require(positive(value), f"scorecard.{setting_name(name)}", "positive", value)
        # Without any L2 the weights of a one-hot column would not be unique.
        require(0 <= self.l1_ratio < 1, "scorecard.l1-ratio", "from 0 to below 1", self.l1_ratio)
        require(0 < self.max_p <= 1, "scorecard.max-p", "above 0 and at most 1", self.max_p)
        require(0 <= self.settled < float("inf"), "scorecard.settled", "0 or more", self.settled)
        require(0 <= self.min_iv < float("inf"), "scorecard.min-iv", "0 or more", self.min_iv)
        finite = abs(self.base_score) < 1e6
        require(finite, "scorecard.base-score", "below a million", self.base_score)
        require(8 <= self.precision <= 30, "scorecard.precision", "from 8 to 30", self.precision)
        engines = ("lattice", "paillier", "plain")
        require(self.encryption in engines, "scorecard.encryption", ", ".join(engines), self.encryption)

    @property
    def penalty(self) -> tuple[float, float]:
        """Of a weight w: L1 of |w|, and L2 of w² / 2."""
        return self.l1_ratio / self.c, (1 - self.l1_ratio) / self.c
