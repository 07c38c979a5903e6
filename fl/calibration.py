"""From a model's scores to probabilities of default that hold, by rows that the model has not learned from."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, expit

Floats = NDArray[np.float64]

_LEVEL = 0.05
"""Of the likelihood-ratio test below which a map is taken."""


@dataclass(frozen=True)
class Calibration:
    """Platt's map from scores to probabilities (1999): pd = 1 / (1 + exp(−slope · score − intercept)).

    >>> Calibration(slope=1.0, intercept=-2.0).apply(np.array([2.0]))
    array([0.5])
    """

    slope: float = 1.0
    intercept: float = 0.0

    @classmethod
    def fit(cls, scores: Floats, labels: NDArray[np.int8], with_slope: bool = True) -> Self:
        """By Newton's method on rows that the model has not learned from; Platt's own targets keep it finite.

        Without a slope it is a mere offset: the slope stays 1.
        """
        bads, goods = int(labels.sum()), int((1 - labels).sum())
        targets = np.where(labels == 1, (bads + 1) / (bads + 2), 1 / (goods + 2))
        inputs, found = np.stack([scores, np.ones(len(scores))], 1), np.array([1.0, 0.0])
        free = slice(0 if with_slope else 1, 2)
        for _ in range(50):
            pd, of_free = expit(inputs @ found), inputs[:, free]
            hessian = (of_free * (pd * (1 - pd))[:, None]).T @ of_free
            step = np.linalg.solve(hessian + 1e-9 * np.eye(len(hessian)), of_free.T @ (pd - targets))
            found[free] -= step
            if np.abs(step).max() < 1e-10:
                break
        # A slope below zero would turn the order round, and only chance can ask for it.
        return cls(float(max(found[0], 1e-3)), float(found[1]))

    @classmethod
    def fit_if_needed(cls, scores: Floats, labels: NDArray[np.int8], with_slope: bool) -> Self:
        """The same if these rows speak for it, by a likelihood-ratio test at 5 %; else the scores stay as they are."""
        fitted = cls.fit(scores, labels, with_slope)
        gain = _log_losses(scores, labels) - _log_losses(fitted.log_odds(scores), labels)
        return fitted if chdtrc(1 + with_slope, 2 * max(gain, 0.0)) < _LEVEL else cls()

    def after(self, first: "Calibration") -> "Calibration":
        """The map of `first`, and then this one."""
        return Calibration(self.slope * first.slope, self.slope * first.intercept + self.intercept)

    def log_odds(self, scores: Floats) -> Floats:
        """The logarithm of pd / (1 − pd), (n,)."""
        return self.slope * scores + self.intercept

    def apply(self, scores: Floats) -> Floats:
        """Probabilities (n,) of default."""
        return np.asarray(expit(self.log_odds(scores)), np.float64)


def _log_losses(log_odds: Floats, labels: NDArray[np.int8]) -> float:
    return float((np.logaddexp(0, log_odds) - labels * log_odds).sum())
