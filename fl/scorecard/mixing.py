"""Anderson mixing of a fixed point that is spread over several parties.

Every party has its part of a point x and of the step G(x) − x that the iteration would take from there; the mixed
point is a combination of former G(x), whose coefficients make the same combination of the steps as short as can be
(Anderson 1965; Walker and Ni, "Anderson acceleration for fixed-point iterations", SIAM J. Numer. Anal. 2011). They
follow from inner products of steps alone, and those of the whole are sums of the parties'.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_RANK = 1e-12  # of the largest singular value: below it, differences of steps count as dependent
_WORSE = 4.0  # times the shortest step so far: a point whose step is longer is left


def mixing(products: Floats, mixes: Floats, depth: int, share: float) -> Floats:
    """The coefficients (t,) of the last `depth` of t values of G.

    products (t, t) are the inner products of the steps, oldest first; mixes (t, t) the coefficients that gave each
    point. Where this has led astray, so that the last step is much longer than the shortest, the point of that one
    takes a `share` of its own step instead.
    """
    count = len(products)
    lengths, mix = np.sqrt(np.maximum(np.diag(products), 0.0)), np.zeros(count)
    if lengths[-1] > _WORSE * lengths.min():
        best = int(np.argmin(lengths))
        mix[best] = share
        return np.asarray(mix + (1 - share) * mixes[best], np.float64)
    mix[-1] = 1.0
    used = min(depth, count) - 1
    if not used:
        return mix
    differences = np.ascontiguousarray(np.diff(np.eye(count))[:, -used:])
    normal, right = differences.T @ products @ differences, differences.T @ products[:, -1]
    scale = 1 / np.sqrt(np.maximum(np.diag(normal), np.finfo(np.float64).tiny))
    solved = np.linalg.lstsq(normal * scale[:, None] * scale, right * scale, rcond=_RANK)[0]
    return np.asarray(mix - differences @ (scale * solved), np.float64)
