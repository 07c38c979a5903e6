"""Exact Shapley values of games with few players: how a joint result is shared out fairly."""

from functools import lru_cache
from math import factorial

import numpy as np
from numpy.typing import NDArray


@lru_cache(maxsize=32)
def shapley_matrix(players: int) -> NDArray[np.float64]:
    """Turns what each coalition achieves into what each player adds: values (…, 2^p) @ matrix (2^p, p) is (…, p).

    Player k is in coalition s if bit k of s is set (Shapley, "A Value for n-Person Games", 1953).

    >>> alone, together = [0.0, 1.0, 2.0], 9.0  # nobody, the first player, the second one
    >>> (np.array([*alone, together]) @ shapley_matrix(2)).tolist()
    [4.0, 5.0]
    """
    coalitions = np.arange(1 << players)
    members = (coalitions[:, None] >> np.arange(players)) & 1
    sizes = members.sum(axis=1)
    joining = [factorial(size) * factorial(players - size - 1) for size in range(players)]
    weights = np.array([*joining, 0]) / factorial(players)
    matrix = np.where(members, weights[sizes - 1, None], -weights[sizes, None])
    matrix.flags.writeable = False
    return np.asarray(matrix, np.float64)
