"""Settings of boosting."""

from dataclasses import dataclass
from math import ceil
from typing import Annotated

from fl.config.checks import (
    BelowOne,
    Count,
    Engine,
    NotNegative,
    Positive,
    Share,
    at_least,
    between,
    check,
    one_of,
    require,
)


@dataclass(frozen=True)
class BoostingConfig:
    """Settings of boosting (`fl/boosting`).

    trees                 trees at most
    parallel              trees of a round, which grow together on the same gradients, each on its own samples, and add
                          their mean to the score (XGBoost's num_parallel_tree); in the last round those that are left
    depth                 levels of splits in a tree
    learning_rate         share of a leaf's best weight that the trees of a round add to the score, in the mean
    bins                  bins of a column at most, that of missing values included
    min_bin_count         training rows of a bin at least; with GOSS more, so that about as many of them count
    min_leaf_count        training rows of a leaf at least
    min_leaf_weight       sum of hessians of a leaf at least
    min_gain              a split gains more than this
    l2                    penalty on squared leaf weights
    category_smoothing    hessian added to that of each level of a category before levels are ordered
    row_share             share of the training rows that a tree learns from
    column_share          share of each party's columns that a tree may use
    goss_top              GOSS: share of the rows, those of largest gradient, that a tree learns from whole; 0: no GOSS
    goss_other            GOSS: share drawn from the other rows
    monotone              keep to the signs that `party.toml` declares
    first_tree_bank_only  the first round, whose gradients are the labels themselves, is grown by the bank alone
    ahead                 how far ahead of splits the gradients for what follows them are sent: `tree` (with the last
                          splits of a tree for the next one, too; with parallel trees as `level`), `level` (for the
                          next level) or `none`. Each step saves round trips, most of a run's time in a deployment,
                          and costs encryption
    sealed_sides          with several passive parties, each hands the coordinator its sides of rows under a pad of the
                          bank's (`fl/boosting/padding.py`), which saves a round trip per level; the coordinator and
                          the bank must not collude
    patience              rounds without a better validation AUC after which training stops, and returns to the best;
                          0: all trees are grown and kept
    calibrate             fit the map from scores to probabilities on the validation rows
    reweigh               segment of the bank's; training rows get weights under which all its groups have the same bad
                          rate (`fl.boosting.gradients.reweighing`); empty: every row counts once
    precision             fractional bits of gradients and hessians
    encryption            engine of the sums (`fl/encrypted_sums`): lattice, paillier or plain
    """

    trees: Count = 68
    parallel: Annotated[int, between(1, 32)] = 4
    depth: Annotated[int, between(1, 10)] = 3
    learning_rate: Share = 0.4
    bins: Annotated[int, between(2, 255)] = 12
    min_bin_count: Count = 10
    min_leaf_count: Count = 40
    min_leaf_weight: NotNegative = 1.0
    min_gain: NotNegative = 0.0
    l2: Positive = 20.0
    category_smoothing: NotNegative = 10.0
    row_share: Share = 0.5
    column_share: Share = 0.5
    goss_top: BelowOne = 0.0
    goss_other: float = 0.1
    monotone: bool = True
    first_tree_bank_only: bool = False
    ahead: Annotated[str, one_of("tree", "level", "none")] = "tree"
    sealed_sides: bool = True
    patience: Annotated[int, at_least(0)] = 5
    calibrate: bool = True
    reweigh: str = ""
    precision: Annotated[int, between(4, 24)] = 10
    encryption: Engine = "lattice"

    def __post_init__(self) -> None:
        check(self, "boosting.")
        allowed = 0 < self.goss_other <= 1 - self.goss_top
        require(allowed, "boosting.goss-other", "positive, and with goss-top at most 1", self.goss_other)

    @property
    def rounds(self) -> int:
        """Rounds at most."""
        return ceil(self.trees / self.parallel)

    def trees_after(self, rounds: int) -> int:
        """How many trees there are after so many rounds.

        >>> BoostingConfig(trees=10, parallel=4).trees_after(3)
        10
        """
        return min(rounds * self.parallel, self.trees)

    def trees_of(self, number: int) -> range:
        """The trees of a round, by number from 0.

        >>> BoostingConfig(trees=10, parallel=4).trees_of(2)
        range(8, 10)
        """
        return range(self.trees_after(number), self.trees_after(number + 1))

    @property
    def min_merged_count(self) -> int:
        """Rows of a node's bin at least: with GOSS many weigh nothing, and `min_bin_count` count on average.

        >>> BoostingConfig(min_bin_count=10, goss_top=0.2, goss_other=0.1).min_merged_count
        34
        """
        share = self.goss_top + self.goss_other if self.goss_top else 1.0
        return ceil(self.min_bin_count / share)
