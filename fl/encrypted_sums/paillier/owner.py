"""The owner's half of the Paillier engine: encrypts rows one by one, decrypts squeezed sums."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from fl.encrypted_sums import halves, wire
from fl.encrypted_sums.halves import AnyWire, Integers, Request
from fl.encrypted_sums.packing import Packing
from fl.encrypted_sums.paillier.keys import LEAST_BITS, PrivateKey, new_key
from fl.encrypted_sums.paillier.squeeze import Squeezing, to_array, to_numbers
from fl.encrypted_sums.wire import Array, Wire
from fl.errors import ConfigError, ProtocolError


class PaillierOwner(halves.Owner):
    """Holds the primes. A row's encryption does not depend on its group, so `regroup` costs nothing."""

    adds_up = False

    def __init__(self, packing: Packing, key: PrivateKey | int = LEAST_BITS) -> None:
        self._key = key if isinstance(key, PrivateKey) else new_key(key)
        self._squeezing = Squeezing(packing, self._key.public)
        super().__init__(packing, self._squeezing.unpack)

    @classmethod
    def _restored(cls, packing: Packing, keys: AnyWire) -> Self:
        p, q = (int.from_bytes(wire.take(keys, name, np.uint8, (None,)).tobytes(), "little") for name in "pq")
        try:
            return cls(packing, PrivateKey(p, q))
        except ConfigError as error:
            raise ProtocolError(f"The stored key is no Paillier key: {error}") from None

    def _keys(self) -> Wire:
        """The primes."""
        p, q = to_array([self._key.p, self._key.q], self._key.public.plain_bytes)
        return {"p": p, "q": q}

    def public_key(self) -> Wire:
        """The modulus n as bytes."""
        (n,) = to_array([self._key.public.n], self._key.public.plain_bytes)
        return {"n": n}

    def _encrypt(self, values: Integers, offsets: Integers, bin_counts: Sequence[Integers]) -> Wire:
        """One ciphertext per row: uint8 (n, cipher bytes)."""
        ciphertexts = self._key.encrypt(self._packing.pack(values).tolist())
        return {"rows": to_array(ciphertexts, self._key.public.cipher_bytes)}

    def _decrypt(self, reply: AnyWire, request: Request) -> Array:
        """Plaintexts modulo n, uint8 (replies, plain bytes)."""
        shape = (self._squeezing.most_replies(request), self._key.public.cipher_bytes)
        told = wire.take(reply, "replies", np.uint8, shape)[: self._squeezing.replies(request)]
        replies = to_numbers(told, self._key.public.square)
        return to_array([self._key.decrypt(one) for one in replies], self._key.public.plain_bytes)
