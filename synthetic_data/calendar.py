"""The calendar of a dataset: which months are simulated, recorded and observed, and the season of each.

Months are counted as integers since January 1970, as numpy's ``datetime64[M]`` counts them.
"""

from __future__ import annotations

import numpy as np

FIRST_OBSERVATION = int(np.datetime64("2023-01", "M").astype(np.int64))
"""Observation month of the first vintage."""
VINTAGES = 12
"""Monthly vintages of applications."""
OUT_OF_TIME_VINTAGES = 3
"""The last vintages, which a split by vintage holds out (25 % of the applications)."""
LAST_OBSERVATION = FIRST_OBSERVATION + VINTAGES - 1
HISTORY = 18
"""Months of records up to and including the observation month."""
AFTERMATH = 3
"""Months of records after it: an extract is never cut at each applicant's own month, and features must not
look."""
PERFORMANCE_WINDOW = 12
"""Months in which default is observed, from the one after the observation month."""
BURN_IN = 36
"""Months simulated before the first record, so that the population forgets how it was drawn."""
FIRST_MONTH = FIRST_OBSERVATION - HISTORY + 1 - BURN_IN
LAST_MONTH = LAST_OBSERVATION + PERFORMANCE_WINDOW
DOWNTURN_MONTH = LAST_OBSERVATION - OUT_OF_TIME_VINTAGES + 2
"""In a recession, the month after the first out-of-time observation month."""
DOWNTURN_ONSET = 4
"""Months over which the downturn reaches its depth."""

SEASON = np.array([1.15, 0.66, 0.97, 0.99, 1.00, 1.01, 0.98, 0.98, 1.02, 1.00, 1.05, 1.19], dtype=np.float32)
"""Sales by calendar month, mean 1: the rush before the Spring Festival, the pause after it, the year's
end."""


def season(month: int) -> float:
    """Sales in that month relative to the year's mean."""
    return float(SEASON[month % 12])


def downturn(month: int, depth: float) -> float:
    """Fall of log demand in that month: reaches ``depth`` in ``DOWNTURN_ONSET`` months and stays there."""
    return -depth * float(np.clip((month - DOWNTURN_MONTH + 1) / DOWNTURN_ONSET, 0.0, 1.0))


def timestamps(months: np.ndarray) -> np.ndarray:
    """Month counts as the timestamps of their first days, ``datetime64[s]``."""
    return np.asarray(months, dtype=np.int64).astype("datetime64[M]").astype("datetime64[s]")
