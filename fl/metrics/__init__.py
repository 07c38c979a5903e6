"""How good is a credit score? The measures of discrimination, calibration and decisions that banks report.

Every function takes `labels`, shape (n,), 1 = default ("bad") and 0 = no default ("good"), and `scores` or
`pd`, shape (n,), finite floats where **higher means riskier**; `pd` is a probability of default in [0, 1].
Functions that only rank applicants take scores and are unchanged by any increasing transformation of them;
functions that compare with observed frequencies take `pd`.

Equal scores are never ordered by their position in the array: rank measures give ties half weight, and where
a cut-off falls inside a group of equal scores, the group counts in part, as if chosen by lot. So no result
depends on the order of the rows. Bad input raises ValueError: lengths that differ, labels other than 0 and 1,
a single class, NaN or infinity, probabilities outside [0, 1].
"""

from fl.metrics.calibration import (
    CalibrationCurve,
    brier,
    calibration_curve,
    expected_calibration_error,
    quantile_bins,
    wilson_interval,
)
from fl.metrics.comparison import Comparison, delong_test, population_stability_index, stability_index
from fl.metrics.decisions import (
    SwapGroup,
    SwapSet,
    approval_rate_at_bad_rate,
    approval_weights,
    bad_rate_at_approval,
    swap_set,
)
from fl.metrics.discrimination import (
    AucInterval,
    GainCurve,
    KsCurve,
    RocCurve,
    auc,
    auc_interval,
    expected_auc,
    gain_curve,
    gini,
    ks,
    ks_curve,
    roc_curve,
)

__all__ = [
    "AucInterval",
    "CalibrationCurve",
    "Comparison",
    "GainCurve",
    "KsCurve",
    "RocCurve",
    "SwapGroup",
    "SwapSet",
    "approval_rate_at_bad_rate",
    "approval_weights",
    "auc",
    "auc_interval",
    "bad_rate_at_approval",
    "brier",
    "calibration_curve",
    "delong_test",
    "expected_auc",
    "expected_calibration_error",
    "gain_curve",
    "gini",
    "ks",
    "ks_curve",
    "population_stability_index",
    "quantile_bins",
    "roc_curve",
    "stability_index",
    "swap_set",
    "wilson_interval",
]
