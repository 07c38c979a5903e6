"""Settings of boosting."""

from dataclasses import dataclass

from fl.config.checks import positive, require, setting_name


@dataclass(frozen=True)
class BoostingConfig:
    """Settings of boosting (`fl/boosting`).

    trees                 trees at most
    depth                 levels of splits in a tree
    learning_rate         share of a leaf's best weight that it adds to the score
    bins                  bins of a column at most, that of missing values included
    min_bin_count         training rows of a bin at least
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
    first_tree_bank_only  the first tree, whose gradients are the labels themselves, is grown by the bank alone
    ahead                 how far ahead of splits the gradients for what follows them are sent: `tree` (with the last
                          splits of a tree for the next one, too), `level` (for the next level) or `none`. Each step
                          saves round trips, most of a run's time in a deployment, and costs encryption
    sealed_sides          with several passive parties, each hands the coordinator its sides of rows under a pad of the
                          bank's (`fl/boosting/padding.py`), which saves a round trip per level; the coordinator and
                          the bank must not collude
    patience              trees without a better validation AUC after which training stops, and returns to the best;
                          0: all trees are grown and kept
    calibrate             fit the map from scores to probabilities on the validation rows
    precision             fractional bits of gradients and hessians
    encryption            engine of the sums (`fl/encrypted_sums`): lattice, paillier or plain
    """

    trees: int = 60
    depth: int = 4
    learning_rate: float = 0.25
    bins: int = 16
    min_bin_count: int = 10
    min_leaf_count: int = 40
    min_leaf_weight: float = 1.0
    min_gain: float = 0.0
    l2: float = 10.0
    category_smoothing: float = 10.0
    row_share: float = 1.0
    column_share: float = 1.0
    goss_top: float = 0.0
    goss_other: float = 0.1
    monotone: bool = True
    first_tree_bank_only: bool = False
    ahead: str = "tree"
    sealed_sides: bool = True
    patience: int = 8
    calibrate: bool = True
    precision: int = 10
    encryption: str = "lattice"

    def __post_init__(self) -> None:
        for name in ("trees", "min_bin_count", "min_leaf_count"):
            require(
                getattr(self, name) >= 1, f"boosting.{setting_name(name)}", "1 or more", getattr(self, name)
            )
        require(self.patience >= 0, "boosting.patience", "0 or more", self.patience)
        require(1 <= self.depth <= 10, "boosting.depth", "from 1 to 10", self.depth)
        require(2 <= self.bins <= 255, "boosting.bins", "from 2 to 255", self.bins)
        require(4 <= self.precision <= 24, "boosting.precision", "from 4 to 24", self.precision)
        require(0 < self.learning_rate <= 1, "boosting.learning-rate", "in (0, 1]", self.learning_rate)
        require(positive(self.l2), "boosting.l2", "positive", self.l2)
        for name in ("min_leaf_weight", "min_gain", "category_smoothing"):
            value = getattr(self, name)
            require(0 <= value < float("inf"), f"boosting.{setting_name(name)}", "0 or more", value)
        for name in ("row_share", "column_share"):
            value = getattr(self, name)
            require(0 < value <= 1, f"boosting.{setting_name(name)}", "in (0, 1]", value)
        require(0 <= self.goss_top < 1, "boosting.goss-top", "in [0, 1)", self.goss_top)
        allowed = 0 < self.goss_other <= 1 - self.goss_top
        require(allowed, "boosting.goss-other", "positive, and with goss-top at most 1", self.goss_other)
        paces = ("tree", "level", "none")
        require(self.ahead in paces, "boosting.ahead", ", ".join(paces), self.ahead)
        engines = ("lattice", "paillier", "plain")
        require(self.encryption in engines, "boosting.encryption", ", ".join(engines), self.encryption)
