"""The bank's own randomness in boosting."""

import numpy as np
from numpy.typing import NDArray

from clients.randomness import own_generator


def goss_generator(labels: NDArray[np.int8], seed: int, tree: int) -> np.random.Generator:
    """The stream from which GOSS draws a tree's rows of small gradient; labels (n,) are those of the training rows."""
    return own_generator(f"goss/{seed}/{tree}", labels.tobytes())
