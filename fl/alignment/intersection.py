"""The mathematics of the private set intersection: ids to points of a group, and points to secret powers.

Each party maps its ids to points of the prime-order group ristretto255 (RFC 9496) and raises them to a secret
exponent; exponents commute, so H(x)^(ab) is equal at both parties exactly for equal ids, while H(x)^a alone tells
nothing without the exponent (decisional Diffie–Hellman; Meadows 1986, Huberman, Franklin and Hogg 1999). Secure
against semi-honest parties. Points are arrays (n, 32) of uint8, ids arrays (n,) of text.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import rbcl
from numpy.typing import NDArray

from fl.arrays import check_bytes
from fl.errors import ProtocolError
from fl.processes import count

# A tag of our own keeps these points apart from every other use of the same ids.
DOMAIN = b"siloscore/alignment/1\x00"
_POINT = rbcl.crypto_core_ristretto255_BYTES

Points = NDArray[np.uint8]


def new_exponent() -> bytes:
    """A uniform secret exponent (32 bytes) from the operating system's randomness."""
    return bytes(rbcl.crypto_core_ristretto255_scalar_random())


def hash_to_points(ids: NDArray[np.str_]) -> Points:
    """Each id's point: SHA-512 of the tagged id, mapped to the group by RFC 9496's one-way map."""
    to_point, sha512 = rbcl.crypto_core_ristretto255_from_hash, hashlib.sha512
    return _mapped(lambda one: to_point(sha512(DOMAIN + one.encode()).digest()), ids.tolist())


def raise_to(points: Points, exponent: bytes) -> Points:
    """Every point to the power of the exponent.

    Raises ProtocolError when the array is not (n, 32) uint8 or a row is no valid point other than the identity:
    such points could come only from a party that departs from the protocol, or from a damaged message.
    """
    check_points(points)
    raw, multiply = points.tobytes(), rbcl.crypto_scalarmult_ristretto255
    rows = [raw[i : i + _POINT] for i in range(0, len(raw), _POINT)]
    try:
        return _mapped(lambda point: multiply(exponent, point), rows)
    except RuntimeError:
        raise ProtocolError("Blinded ids hold a value that is no point of the group ristretto255.") from None


def check_points(points: Points) -> None:
    """Raises ProtocolError when the array is not (n, 32) uint8; whether its rows are points, `raise_to` finds out."""
    check_bytes("Blinded ids", points, (None, _POINT))


def match_points(own: Points, theirs: Points) -> NDArray[np.int32]:
    """For each row of `own`, the row of `theirs` with the same point, or −1; int32 (n,).

    Raises ProtocolError when `theirs` holds a point twice: two rows of that party carry the same id.

    >>> bank, tax = new_exponent(), new_exponent()
    >>> of_bank = raise_to(raise_to(hash_to_points(np.array(["a", "b"])), bank), tax)
    >>> of_tax = raise_to(raise_to(hash_to_points(np.array(["b", "c"])), tax), bank)
    >>> match_points(of_bank, of_tax).tolist()
    [-1, 0]
    """
    index = {point.tobytes(): row for row, point in enumerate(theirs)}
    if len(index) != len(theirs):
        raise ProtocolError("A party's blinded ids hold the same id twice; an id stands for one business.")
    return np.fromiter((index.get(point.tobytes(), -1) for point in own), np.int32, len(own))


def _mapped(to_point: Callable[[Any], bytes], values: list[Any]) -> Points:
    """The point of each value, on all cores: libsodium works without Python's lock."""
    size = -(-len(values) // count()) or 1
    parts = [values[i : i + size] for i in range(0, len(values), size)]
    with ThreadPoolExecutor(max(len(parts), 1)) as pool:
        made = pool.map(lambda part: b"".join(map(to_point, part)), parts)
        return np.frombuffer(b"".join(made), np.uint8).reshape(-1, _POINT)
