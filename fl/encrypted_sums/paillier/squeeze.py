"""Many sums in one Paillier plaintext, and ciphertexts as arrays of bytes.

A packed sum has some 50 bits and a plaintext 2048: so many sums go side by side into one, each shifted by a power of
two, which under encryption is a power of the ciphertext. A reply is then shorter and faster to decrypt by that
factor.
"""

from collections.abc import Sequence

import gmpy2
import numpy as np
from gmpy2 import mpz
from numpy.typing import NDArray

from fl.encrypted_sums.halves import Integers, Request
from fl.encrypted_sums.packing import Packing
from fl.encrypted_sums.paillier.keys import PublicKey
from fl.errors import ConfigError, ProtocolError


class Squeezing:
    """How many packed sums go into one plaintext, and how they come out of it.

    Raises ConfigError when not even one does.
    """

    def __init__(self, packing: Packing, key: PublicKey) -> None:
        self._packing, self._key = packing, key
        self._bits = max((packing.size - 1).bit_length(), 1)
        # One bit is left free, so that no squeezed plaintext reaches n.
        self.room = (int(key.n.bit_length()) - 1) // self._bits
        if not self.room:
            raise ConfigError(
                f"Packed sums of {self._bits} bits do not fit a Paillier modulus of {key.n.bit_length()} bits: "
                "use fewer fractional bits."
            )

    def replies(self, request: Request) -> int:
        """Into how many ciphertexts the wanted sums of a request go."""
        return -(-request.count // self.room)

    def most_replies(self, request: Request) -> int:
        """Into how many all sums would go: so many are sent, wanted or not, since whoever carries them sees that."""
        return -(-request.groups * request.bins // self.room)

    def squeeze(self, ciphertexts: Sequence[mpz]) -> list[mpz]:
        """Encrypted sums to encrypted runs of `room` sums, the first sum in the lowest bits."""
        square, shift = self._key.square, 1 << self._bits
        squeezed = []
        for start in range(0, len(ciphertexts), self.room):
            *rest, run = ciphertexts[start : start + self.room]
            for one in reversed(rest):
                run = pow(run, shift, square) * one % square
            squeezed.append(run)
        return squeezed

    def unpack(self, plaintexts: NDArray[np.uint8], request: Request) -> Integers:
        """Decrypted runs (replies, plain bytes) to sums (count, k); ProtocolError when one is out of range."""
        lowest, packed, left = self._packing.lowest, list[mpz](), request.count
        for plaintext in to_numbers(plaintexts, self._key.n):
            count = min(self.room, left)
            left -= count
            # Sums may be negative: lifted by the least possible one, they are digits.
            least = sum(lowest << (self._bits * place) for place in range(count))
            digits = gmpy2.unpack((plaintext - least) % self._key.n, self._bits)
            if len(digits) > count:
                raise ProtocolError("A decrypted reply is larger than its sums; it is not for this request.")
            packed += [*digits, *[mpz(0)] * (count - len(digits))]
        return self._packing.unpack(np.array(packed, object) + lowest, 1 << self._bits)


def to_array(numbers: Sequence[mpz], length: int) -> NDArray[np.uint8]:
    """Numbers as little-endian bytes (numbers, length)."""
    data = bytearray(b"".join(number.to_bytes(length, "little") for number in numbers))
    return np.frombuffer(data, np.uint8).reshape(-1, length)


def to_numbers(array: NDArray[np.uint8], below: mpz) -> list[mpz]:
    """The inverse of `to_array`; ProtocolError unless all are positive and below that bound."""
    length, data = array.shape[1], array.tobytes()
    numbers = [mpz.from_bytes(data[at : at + length], "little") for at in range(0, len(data), length)]
    if numbers and not (min(numbers) >= 0 and max(numbers) < below):
        raise ProtocolError("A number is out of the range of its Paillier key.")
    return numbers
