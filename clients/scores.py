"""What the label holder keeps of a trained model for its own people: every row's score."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit


@dataclass(frozen=True)
class Scores:
    """The log odds of default at every position by a model, (n,); unmixed (n,) are those without the reserve model."""

    log_odds: NDArray[np.float64]
    unmixed: NDArray[np.float64]

    @property
    def pd(self) -> NDArray[np.float64]:
        """The probabilities of default, (n,)."""
        return np.asarray(expit(self.log_odds), np.float64)
