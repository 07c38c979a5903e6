"""Checks of arrays that came from somebody else, before anything is computed with them.

A message's types are checked when it is unpacked (`fl/messages.py`). Its shapes and ranges depend on what its receiver
knows, so they are checked there, by these functions. What they raise names the field and never a value.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from fl.errors import ProtocolError

AnyArray = np.ndarray[Any, Any]

_LARGEST = 1e12
"""Far above every honest number; squares and sums of larger ones would overflow."""


def check_integers(name: str, array: AnyArray, length: int | None, low: int, high: int) -> None:
    """Raises ProtocolError unless the array holds `length` integers (any number if None) in [low, high)."""
    if array.dtype.kind not in "iu" or array.ndim != 1 or length not in (None, len(array)):
        wanted = "integers" if length is None else f"{length} integers"
        raise ProtocolError(f"{name} must be {wanted}, not {array.shape} of {array.dtype}")
    if len(array) and not (low <= array.min() and array.max() < high):
        raise ProtocolError(f"{name} must lie between {low} and {high - 1}")


def check_numbers(
    name: str, array: AnyArray, shape: tuple[int, ...], kind: type = np.float32, advice: str = ""
) -> None:
    """Raises ProtocolError unless the array holds numbers up to 1e12 of this floating-point kind in that shape.

    advice ends the sentence on numbers that are too large or not finite.
    """
    if array.dtype != kind or array.shape != shape:
        wanted = f"{shape} of {np.dtype(kind)}"
        raise ProtocolError(f"{name} must be {wanted}, not {array.shape} of {array.dtype}")
    if not np.isfinite(array).all():
        raise ProtocolError(f"{name} must be finite{advice}")
    if np.abs(array).max(initial=0) > _LARGEST:
        raise ProtocolError(f"{name} must be numbers up to {_LARGEST:g}{advice}")


def check_bytes(name: str, array: AnyArray, shape: tuple[int | None, ...]) -> None:
    """Raises ProtocolError unless the array is uint8 in that shape; None stands for any length."""
    fits = array.ndim == len(shape) and all(
        want in (None, have) for want, have in zip(shape, array.shape, strict=True)
    )
    if array.dtype != np.uint8 or not fits:
        raise ProtocolError(f"{name} must be {shape} of uint8, not {array.shape} of {array.dtype}")


def check_names(name: str, found: Iterable[str], expected: Iterable[str]) -> None:
    """Raises ProtocolError unless both are the same names, in any order."""
    wanted = sorted(expected)
    if sorted(found) != wanted:
        raise ProtocolError(f"{name} must be there for {', '.join(wanted) or 'no party'} and for no other")
