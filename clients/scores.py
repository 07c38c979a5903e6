"""What the label holder keeps of a trained model for its own people: every row's probability of default."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scores:
    """The PD of every position by a model, (n,)."""

    pd: NDArray[np.float64]
