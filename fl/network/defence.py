"""What the bank does to gradients before a passive party sees them, so that they do not tell labels."""

import os

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from fl.config.network import NetworkConfig
from fl.network import Floats


def defend(gradient: Floats, config: NetworkConfig) -> Floats:
    """What the bank lets a party see of the gradient (k, embedding) at its embeddings.

    `gaussian` adds noise of standard deviation `config.noise` times the largest row norm to every number; `max-norm`
    (Li et al. 2022) stretches each row by noise in its own direction until all rows have the largest norm on average.
    The noise comes from the operating system, since whoever knew its seed could subtract it.
    """
    if config.defence == "none" or not len(gradient):
        return gradient
    # In double precision: a row that party dropout hid has norm zero, and its stretch must stay finite.
    norms = np.linalg.norm(gradient.astype(np.float64), axis=1, keepdims=True)
    largest = norms.max()
    if config.defence == "gaussian":
        noise = config.noise * largest * secret_normal(gradient.shape)
        return np.asarray(gradient + noise, np.float32)
    spread = np.sqrt(np.maximum(0, (largest / np.maximum(norms, 1e-30)) ** 2 - 1))
    return np.asarray(gradient * (1 + spread * secret_normal(norms.shape)), np.float32)


def secret_normal(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Standard normal numbers from the operating system's randomness."""
    count = int(np.prod(shape))
    whole = np.frombuffer(os.urandom(8 * count), np.uint64) >> np.uint64(11)
    return ndtri((whole + 0.5) / 2.0**53).reshape(shape)  # type: ignore[no-any-return]
