"""Noise on sums, of which every bank adds a share: differential privacy for what the banks see of one another.

A mechanism is (ε, δ)-differentially private (Dwork et al. 2006) if what it shows is about as likely with one applicant
more or less. Here the banks see sums of whole numbers with discrete Gaussian noise (Canonne, Kamath and Steinke, "The
Discrete Gaussian for Differential Privacy", NeurIPS 2020), drawn exactly, from the operating system's randomness.
Noise of variance σ² on sums that one applicant changes by Δ, in the Euclidean norm, costs Δ² / (2 σ²) of ρ, the budget
of concentrated differential privacy, and costs add up over sums. `dp-accounting` says which ρ gives ε and δ.

A bank knows its own share of the noise and can take it off. So shares are such that those of all other banks suffice.
The sum of two discrete Gaussians is one but for a difference that vanishes with the variance (Kairouz, Liu and Steinke,
"The Distributed Discrete Gaussian Mechanism", ICML 2021, theorem 1): `LEAST_VARIANCE` keeps it below 10^−15.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from secrets import randbelow

import numpy as np
from numpy.typing import NDArray

from fl.errors import ConfigError

LEAST_VARIANCE = 4
"""Of a bank's share."""


@dataclass(frozen=True)
class Noise:
    """What all sums of a model together are to be, (ε, δ)-differentially private, and how many banks add noise."""

    epsilon: float
    delta: float
    banks: int

    @property
    def budget(self) -> float:
        """The ρ that all sums may cost together. Raises ConfigError where `dp-accounting` is not installed."""
        return budget(self.epsilon, self.delta)

    def share(self, squared_change: float, rho: float, count: int) -> NDArray[np.int64]:
        """A bank's share (count,) of the noise on sums that cost `rho` of the budget.

        squared_change is by how much one applicant changes the sums at most: the square of the Euclidean norm.
        """
        return discrete_gaussian(self._variance(squared_change, rho), count)

    def deviation(self, squared_change: float, rho: float) -> float:
        """The standard deviation of the noise of all banks on such sums."""
        return math.sqrt(self.banks * self._variance(squared_change, rho))

    def _variance(self, squared_change: float, rho: float) -> int:
        """Of one share: those of all other banks have the variance that the budget wants."""
        return max(math.ceil(squared_change / (2 * rho) / max(1, self.banks - 1)), LEAST_VARIANCE)


@lru_cache
def budget(epsilon: float, delta: float) -> float:
    """The greatest ρ of concentrated differential privacy that gives (ε, δ), by Rényi differential privacy.

    Raises ConfigError where the package `dp-accounting` is not installed.
    """
    try:
        import dp_accounting
        from dp_accounting import rdp
    except ImportError:
        raise ConfigError(
            "Setting 'banks.epsilon' needs the package dp-accounting; install it by `pip install siloscore[privacy]`."
        ) from None
    # What is looked for is the noise in multiples of the change, since the search expects less ε from more of it.
    multiple = dp_accounting.calibrate_dp_mechanism(
        rdp.RdpAccountant,
        lambda multiple: dp_accounting.ZCDpEvent(1 / (2 * multiple**2)),
        epsilon,
        delta,
        dp_accounting.LowerEndpointAndGuess(1e-3, 1.0),
    )
    return float(1 / (2 * multiple**2))


def discrete_gaussian(variance: int, count: int) -> NDArray[np.int64]:
    """Draws (count,) of the distribution on whole numbers x that is proportional to exp(−x² / (2 · variance)).

    Algorithm 3 of Canonne, Kamath and Steinke, which is exact: from discrete Laplace draws, rejected by whole numbers.
    """
    random, scale = _Random(), math.isqrt(variance) + 1
    draws = np.empty(count, np.int64)
    for place in range(count):
        draw = random.laplace(scale)
        while not random.happens((abs(draw) * scale - variance) ** 2, 2 * variance * scale**2):
            draw = random.laplace(scale)
        draws[place] = draw
    return draws


class _Random:
    """Exact draws by whole numbers, from randomness that is read of the operating system for many at once."""

    def __init__(self) -> None:
        self._words = _words()

    def below(self, bound: int) -> int:
        """A whole number from 0, all below the bound alike."""
        if bound > 1 << 64:
            return randbelow(bound)
        limit = (1 << 64) - (1 << 64) % bound
        while (word := next(self._words)) >= limit:
            pass
        return word % bound

    def happens(self, numerator: int, denominator: int) -> bool:
        """A chance of exp(−numerator / denominator): algorithm 1."""
        while numerator > denominator:
            if not self.happens(1, 1):
                return False
            numerator -= denominator
        draws = 1
        while self.below(denominator * draws) < numerator:
            draws += 1
        return draws % 2 == 1

    def laplace(self, scale: int) -> int:
        """A draw of the distribution that is proportional to exp(−|x| / scale): algorithm 2."""
        while True:
            rest = self.below(scale)
            if not self.happens(rest, scale):
                continue
            whole = 0
            while self.happens(1, 1):
                whole += 1
            size, is_negative = rest + scale * whole, self.below(2)
            if size or not is_negative:
                return -size if is_negative else size


def _words() -> Iterator[int]:
    """Random whole numbers below 2^64."""
    while True:
        yield from np.frombuffer(os.urandom(1 << 14), np.uint64).tolist()
