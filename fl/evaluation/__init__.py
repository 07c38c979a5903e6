"""What the label holder tells the coordinator about a model: a few metrics and points of curves, never rows.

`measures.evaluate` runs where the labels are. What it returns crosses the organisation's border, so every bin and
every step of a curve holds ten applicants or more (`MINIMUM_GROUP`) and a curve has at most 101 points; a segment with
fewer than ten goods or ten bads is withheld, as are more when what was withheld could be had by subtraction.

Columns by name are one-dimensional arrays of one length; `pandas.DataFrame(columns)` makes them a frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fl.errors import ProtocolError
from fl.messages import Aggregate, Figure
from fl.records import Array

MAXIMUM_POINTS = 101
MINIMUM_GROUP = 10
APPROVAL = 0.6
"""The approval rate at which decisions are compared: metric `bad_rate_at_60`."""

METRICS = (
    "auc",
    "auc_low",
    "auc_high",
    "gini",
    "ks",
    "brier",
    "calibration_error",
    "bad_rate",
    "mean_pd",
    "bad_rate_at_60",
)
"""The final metrics, the same for every contender and in this order. All are shares; `auc_low` and `auc_high`
bound the 95 % interval, `bad_rate_at_60` is the bad rate among the 60 % of applicants with the lowest PD."""

Columns = Mapping[str, Array]


@dataclass(frozen=True)
class Evaluation:
    """Metrics and tables of one contender on one set of rows.

    `metrics` has the keys `METRICS`. `tables`, by name, with their columns (floats unless said otherwise):

    - `roc`: fpr, tpr, riskiest applicants first;
    - `ks`: pd, bads, goods (shares of each class at or below that PD);
    - `gain`: applicants, bads (shares, riskiest first);
    - `calibration`: predicted, observed, low, high, applicants (int64), by rising PD;
    - `distribution`: low, high (the bin's ends), bads, goods (shares of each class in the bin);
    - `deciles`: decile, applicants, bads (int64, 1 = riskiest), bad_rate, mean_pd, bads_captured, lift;
    - `segments`: segment, level, size, withheld (all str; the last says why or is empty), bad_rate, mean_pd,
      auc, auc_low, auc_high, gini, ks (NaN where withheld); no rows when no segments were given;
    - `members`, of a blend only: member (str), weight, validation_auc (its own);
    - `recalibration`, of a model of several banks that this bank has recalibrated: slope, intercept, with one row;
    - `importance`, of boosting only: party (str), column (its number), splits (both int64), gain, best first;
    - of the scorecard only, with a row per column that has points: `scorecard`: party, code (both str), column (its
      number), groups, least, most, sign (int64), obeys (bool), information, stability; `groups`, with a row per
      group: party, code, values (str, empty where a party keeps them), applicants (share), points, alone (int64: of a
      business that no passive party knows); `reasons`: code, text, text_zh (str); and with one row `scale`: pdo,
      base_score, base_odds, base, alone_base, score_stability, and bank (str, the party whose alone counts).
    """

    metrics: Mapping[str, float]
    tables: Mapping[str, Columns]

    def __post_init__(self) -> None:
        if missing := [name for name in METRICS if name not in self.metrics]:
            raise ProtocolError(f"the evaluation lacks the metrics {', '.join(missing)}")
        for name, columns in self.tables.items():
            lengths = {column: values.shape for column, values in columns.items()}
            if len(set(lengths.values())) > 1 or any(len(shape) != 1 for shape in lengths.values()):
                raise ProtocolError(f"the columns of table {name!r} are not of one length: {lengths}")


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How a model fits in training: its log loss on the training rows, its AUC and log loss on the validation rows."""

    train_loss: Figure
    validation_auc: Figure
    validation_loss: Figure

    @property
    def metrics(self) -> dict[str, float]:
        """The same by the names under which training curves are kept."""
        return {
            "train.loss": self.train_loss,
            "valid.auc": self.validation_auc,
            "valid.loss": self.validation_loss,
        }


@dataclass(frozen=True)
class Scored:
    """How a model does on the test rows; never a row's own score."""

    evaluation: Aggregate[Evaluation]
