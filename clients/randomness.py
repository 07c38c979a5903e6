"""Randomness that a party can repeat and nobody else can: seeded by a hash of what it alone knows.

A run's own seed will not do wherever chance follows the labels. Every party knows that seed, and whoever can repeat
a draw within each class can tell the classes apart by its outcome.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray


def own_generator(purpose: str, *secrets: bytes) -> np.random.Generator:
    """A stream for one purpose; equal secrets give equal streams, so that a run can be repeated.

    It hides as much as there is to guess in the secrets: thousands of labels, not a few.
    """
    digest = hashlib.sha256(purpose.encode())
    for secret in secrets:
        digest.update(hashlib.sha256(secret).digest())
    return np.random.default_rng(np.frombuffer(digest.digest(), np.uint32))


def goss_generator(labels: NDArray[np.int8], seed: int, number: int) -> np.random.Generator:
    """The stream from which GOSS draws a round's rows of small gradient; labels (n,) are those of the training rows."""
    return own_generator(f"goss/{seed}/{number}", labels.tobytes())
