"""Several small numbers in one large one, so that a single encryption carries them all.

Numbers x_1 … x_k of a row become x_1·s_2·…·s_k + … + x_k, where s_i is wide enough for any sum of x_i over the rows
of a group. Sums of packed numbers are then packed sums of numbers: no digit can run into its neighbour. The idea is
SecureBoost+'s packing of gradient and hessian (Chen et al. 2021, section 4), in mixed radix, so that no bit is lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from fl.encrypted_sums.wire import Array, Wire, take
from fl.errors import ConfigError, ProtocolError

# Sums are returned as int64, so no sum may need more.
_INT64 = 2**63 - 1


@dataclass(frozen=True)
class Packing:
    """What may be summed without overflow: at most `rows` rows of numbers within `ranges`.

    rows    most rows of one group
    ranges  least and greatest value of each of the k numbers of a row, with least ≤ 0 ≤ greatest

    Raises ConfigError when a sum could leave int64.
    """

    rows: int
    ranges: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if self.rows < 1 or not self.ranges:
            raise ConfigError("Encrypted sums need at least one row and one number per row.")
        for low, high in self.ranges:
            if not low <= 0 <= high:
                raise ConfigError(f"A range of numbers to be summed must include 0, unlike [{low}, {high}].")
            if self.rows * max(-low, high) > _INT64:
                raise ConfigError(
                    f"Sums of {self.rows} numbers within [{low}, {high}] can exceed 64 bits: "
                    "use fewer fractional bits or fewer rows."
                )

    @property
    def spans(self) -> tuple[int, ...]:
        """By number: how many different sums there can be."""
        return tuple(self.rows * (high - low) + 1 for low, high in self.ranges)

    @property
    def size(self) -> int:
        """How many different packed sums there can be; an encryption modulus must be at least that."""
        return prod(self.spans)

    @property
    def modulus(self) -> int:
        """The least power of two that tells all packed sums apart; at least 4, as the lattice wants it."""
        return 1 << max(2, (self.size - 1).bit_length())

    @property
    def lowest(self) -> int:
        """The least packed sum there can be; the greatest is `lowest + size - 1`."""
        return int(self.pack(self.rows * np.array(self.ranges, np.int64)[None, :, 0])[0])

    def planes(self, size: int) -> list["Packing"]:
        """As few packings as can be, in the order of the numbers, none larger than `size`.

        Raises ConfigError when one number alone is too large.
        """
        planes: list[list[tuple[int, int]]] = []
        for one in self.ranges:
            if Packing(self.rows, (one,)).size > size:
                raise ConfigError(
                    f"Sums of {self.rows} numbers within [{one[0]}, {one[1]}] need more than the "
                    f"{size.bit_length() - 1} bits that this engine can carry: use fewer fractional bits."
                )
            if planes and Packing(self.rows, (*planes[-1], one)).size <= size:
                planes[-1].append(one)
            else:
                planes.append([one])
        return [Packing(self.rows, tuple(plane)) for plane in planes]

    def check(self, values: NDArray[np.int64], offsets: NDArray[np.int64]) -> None:
        """Raises ValueError unless values (n, k) and the groups' offsets keep to rows and ranges."""
        if values.ndim != 2 or values.shape[1] != len(self.ranges) or values.dtype != np.int64:
            raise ValueError(
                f"Numbers to be summed must be int64 (n, {len(self.ranges)}), not {values.shape}."
            )
        check_offsets(offsets, len(values))
        most = int(np.diff(offsets).max(initial=0))
        if most > self.rows:
            raise ValueError(
                f"A group of {most} rows has more than the {self.rows} that the key was made for."
            )
        low, high = np.array(self.ranges, np.int64).T
        if len(values) and ((values.min(0) < low).any() or (values.max(0) > high).any()):
            raise ValueError(
                f"A number to be summed is outside the ranges {self.ranges} that the key was made for."
            )

    def pack(self, values: NDArray[np.int64]) -> Array:
        """(n, k) numbers to (n,) packed ones: int64, or Python integers when they are larger.

        >>> packing = Packing(rows=3, ranges=((-1, 1), (0, 9)))
        >>> packed = packing.pack(np.array([[1, 9], [-1, 4]]))
        >>> packing.unpack(packed.sum(keepdims=True), packing.size).tolist()
        [[0, 13]]
        """
        wide = np.int64 if self.size <= _INT64 else object
        packed = np.zeros(len(values), wide)
        for span, column in zip(self.spans, values.T, strict=True):
            packed = packed * span + column.astype(wide)
        return packed

    def unpack(self, packed: Array, modulus: int) -> NDArray[np.int64]:
        """Packed sums (n,), known modulo `modulus`, to sums (n, k).

        Raises ProtocolError when a value is no sum that the rows and ranges allow.
        """
        rest, digits = (packed - self.lowest) % modulus + self.lowest, []
        for span, (low, _) in zip(reversed(self.spans), reversed(self.ranges), strict=True):
            least = self.rows * low
            digit = (rest - least) % span + least
            digits.append(digit.astype(np.int64))
            rest = (rest - digit) // span
        if np.any(rest != 0):
            raise ProtocolError(
                "A decrypted sum is larger than the rows allow; the reply is not for this request."
            )
        return np.stack(digits[::-1], -1)

    def to_wire(self) -> Wire:
        """As arrays: `rows` (1,) and `ranges` (k, 2), both int64."""
        return {"rows": np.array([self.rows], np.int64), "ranges": np.array(self.ranges, np.int64)}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Array]) -> "Packing":
        """The inverse of `to_wire`; ProtocolError when arrays are absent or malformed."""
        (rows,), ranges = take(wire, "rows", np.int64, (1,)), take(wire, "ranges", np.int64, (None, 2))
        try:
            return cls(int(rows), tuple((int(low), int(high)) for low, high in ranges))
        except ConfigError as error:
            raise ProtocolError(f"The stored key does not fit any sums: {error}") from None


def check_offsets(offsets: NDArray[np.int64], rows: int) -> None:
    """Raises ValueError unless group j can be rows offsets[j]:offsets[j + 1], all `rows` of them in turn."""
    if (
        len(offsets) < 1
        or offsets[0] != 0
        or offsets[-1] != rows
        or (np.diff(offsets.astype(np.int64)) < 0).any()
    ):
        raise ValueError(f"Offsets of groups must rise from 0 to the {rows} rows.")


def check_bins(bins: NDArray[np.uint8], bin_counts: NDArray[np.int64], rows: int) -> None:
    """Raises ValueError unless bins is (rows, columns) of uint8, none above its column's count (0 … 256)."""
    if bins.dtype != np.uint8 or bins.shape != (rows, len(bin_counts)):
        raise ValueError(f"Bins must be uint8 ({rows}, {len(bin_counts)}), not {bins.shape} of {bins.dtype}.")
    if len(bin_counts) and not (bin_counts.min() >= 0 and bin_counts.max() <= 256):
        raise ValueError("A column must have 0 to 256 bins.")
    if rows and (bins.max(0) > bin_counts).any():
        raise ValueError("A bin is above its column's number of bins.")


def check_wanted(wanted: NDArray[np.bool_], groups: int, bins: int) -> None:
    """Raises ValueError unless `wanted` has a truth value for each group and bin."""
    if wanted.dtype != bool or wanted.shape != (groups, bins):
        raise ValueError(
            f"Wanted sums must be bool ({groups}, {bins}), not {wanted.shape} of {wanted.dtype}."
        )


def split_columns(sums: Array, bin_counts: Sequence[int] | NDArray[np.int64]) -> list[Array]:
    """(groups, all bins, …), columns side by side, to one (groups, bins of that column, …) per column."""
    return np.split(sums, np.cumsum(bin_counts)[:-1], axis=1) if len(bin_counts) else []
