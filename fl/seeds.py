"""Reproducible randomness: one seed per run, spawned per purpose, so that no two uses share a stream."""

import zlib

import numpy as np

from fl.errors import ProtocolError


def check_seed(seed: int) -> None:
    """Raises ProtocolError for a number that is no seed of a run (`fl/config/run.py`)."""
    if not 0 <= seed < 2**32:
        raise ProtocolError("a seed must lie between 0 and 4294967295")


def generator(seed: int, *purpose: str) -> np.random.Generator:
    """The stream of a purpose, such as `generator(1, "bottom", "tax")`; equal arguments give equal streams.

    Not for secrets: whoever knows the seed knows the stream.

    >>> [int(generator(1, "bottom", "tax").integers(100)) for _ in range(2)]
    [13, 13]
    """
    key = tuple(zlib.crc32(word.encode()) for word in purpose)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
