"""Bins of several banks from noisy counts: on a coarse grid, only what stands out of the noise is taken for rows."""

import numpy as np
from numpy.typing import NDArray

from fl.banks.grid import Grid
from fl.binning import Binning

RESOLUTION = 8
"""Cells of the grid between powers of two: fewer than without noise, so that what is in one stands out."""
STANDS_OUT = 3
"""A count stands out from noise if it is so many standard deviations; others are taken for zero."""


def binning(
    grid: Grid,
    total: NDArray[np.int64],
    deviation: float,
    bins: int,
    minimum: int,
    signs: NDArray[np.int8],
) -> Binning:
    """The bins of the total (k,) of counts under noise of that standard deviation; all else as for `Grid.binning`."""
    least = STANDS_OUT * deviation
    counts = np.where(total < least, 0, total)
    return grid.binning(counts, bins, max(minimum, int(np.ceil(least))), signs)
