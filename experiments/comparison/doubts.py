"""What a reader should know of a model before its figures: that it predicts the same for everyone, and why."""

import numpy as np
from numpy.typing import NDArray

_NO_SPLIT = "none of its trees has a split"
_REASONS = {
    "boosting": f"{_NO_SPLIT}; look at boosting.min-leaf-count, boosting.min-bin-count and the columns",
    "trees": f"{_NO_SPLIT}; there are too few rows, or the columns tell nothing",
    "scorecard": "none of its columns has points; look at scorecard.min-iv, scorecard.max-p and the columns",
}
_SAME = 1e-6
"""PDs that lie no further apart than this are the same for a lender."""


def doubt(contender: str, pd: NDArray[np.float64], unknown: NDArray[np.bool_], bank: str = "") -> str:
    """A sentence on a model that predicts the same for everyone, with the reason if it is known; else an empty text.

    pd (n,) are the PDs of all rows, and unknown (n,) says which of them no passive party knows: there the bank's
    reserve model has a say, so they may differ although the model itself tells nobody apart. bank is whose rows these
    are, if there are several.
    """
    judged = pd if unknown.all() else pd[~unknown]
    if np.ptp(judged) > _SAME:
        return ""
    whom = " whom a passive party knows" if np.ptp(pd) > _SAME else ""
    reason = _REASONS.get(contender.rpartition("-")[2], "look at its columns and settings")
    where = f" of {bank}" if bank else ""
    return f"{contender} predicts the same for everyone{where}{whom}: {reason}."
