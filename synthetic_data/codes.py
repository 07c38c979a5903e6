"""Unified Social Credit Codes (GB 32100-2015), the business ids of China: 18 characters with two check
characters.

Position 1 is the registration authority (9: market regulation), 2 the kind of body (1: company, 2: individual
business), 3-8 the administrative division (GB/T 2260), 9-17 the organisation code of GB 11714 whose last
character is its own check, and 18 the check character over all the others, modulo 31.
"""

from __future__ import annotations

import numpy as np

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""The 31 characters of GB 32100-2015 in the order of their values; I, O, S, V and Z are left out."""
_CHARACTERS = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)
_VALUES = np.full(128, -1, dtype=np.int64)
_VALUES[_CHARACTERS] = np.arange(31)
_WEIGHTS = np.array([pow(3, k, 31) for k in range(17)], dtype=np.int64)
_ORGANISATION_WEIGHTS = np.array([3, 7, 9, 10, 5, 8, 4, 2], dtype=np.int64)
_ORGANISATION_CHECK = np.frombuffer(b"0123456789X", dtype=np.uint8)
_BODIES = 31**8


def credit_codes(
    count: int, divisions: np.ndarray, individual: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw ``count`` different valid codes.

    Args:
        count: how many.
        divisions: (count,) six-digit administrative divisions, int.
        individual: (count,) bool, whether the business is an individual one (个体工商户).
        rng: where the codes start and how they jump.

    Returns:
        (count,) array of ``<U18``. The organisation bodies are distinct because n -> a*n + b (mod 31^8) is
        one-to-one for every a that 31 does not divide.

    >>> beijing, shanghai = 110105, 310115
    >>> credit_codes(2, np.array([beijing, shanghai]), np.array([False, True]), np.random.default_rng(0)).tolist()
    ['9111010518BKW69R4A', '92310115B4DFLBCA5A']
    """
    step = 31 * int(rng.integers(1, _BODIES // 62)) + int(rng.integers(1, 31))
    start = int(rng.integers(_BODIES))
    bodies = (np.arange(count, dtype=np.int64) * step + start) % _BODIES
    codes = np.empty((count, 18), dtype=np.uint8)
    codes[:, 0] = ord("9")
    codes[:, 1] = np.where(individual, ord("2"), ord("1"))
    for k in range(6):
        codes[:, 2 + k] = ord("0") + (divisions // 10 ** (5 - k)) % 10
    for k in range(8):
        codes[:, 8 + k] = _CHARACTERS[(bodies // 31 ** (7 - k)) % 31]
    codes[:, 16] = _organisation_check(codes[:, 8:16])
    codes[:, 17] = _CHARACTERS[-(_VALUES[codes[:, :17]] @ _WEIGHTS) % 31]
    return codes.view("S18").ravel().astype("U18")


def _organisation_check(bodies: np.ndarray) -> np.ndarray:
    """Check characters of GB 11714, where letters count 10 to 35."""
    digits = np.where(bodies <= ord("9"), bodies - ord("0"), bodies - ord("A") + 10).astype(np.int64)
    return _ORGANISATION_CHECK[-(digits @ _ORGANISATION_WEIGHTS) % 11]
