"""The owner's half of the Paillier engine: encrypts rows one by one, decrypts squeezed sums."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from gmpy2 import mpz

from fl.encrypted_sums import packing, wire
from fl.encrypted_sums.interface import AnyWire, Integers, Sums
from fl.encrypted_sums.packing import Packing
from fl.encrypted_sums.paillier.keys import LEAST_BITS, PrivateKey, new_key
from fl.encrypted_sums.paillier.squeeze import Squeezing, to_array, to_numbers
from fl.encrypted_sums.wire import Wire
from fl.errors import ConfigError, ProtocolError

NUMBERS, SUMS, MASKED, OPENED = "encrypted numbers", "encrypted sums", "masked sums", "opened masked sums"
_SECRET: Final = "keys of a Paillier owner"


class PaillierOwner:
    """Holds the primes. A row's encryption does not depend on its group, so `regroup` costs nothing."""

    row_wise = True

    def __init__(self, packing: Packing, key: PrivateKey | int | None = None) -> None:
        self._packing = packing
        self._key = key if isinstance(key, PrivateKey) else new_key(LEAST_BITS if key is None else key)
        self._squeezing = Squeezing(packing, self._key.public)
        self._fingerprint = wire.fingerprint(self.public_key())

    @classmethod
    def restore(cls, secret: AnyWire) -> "PaillierOwner":
        """The owner that `secret()` describes."""
        wire.check_digest(_SECRET, secret)
        p, q = (
            int.from_bytes(wire.take(secret, name, np.uint8, (None,)).tobytes(), "little") for name in "pq"
        )
        try:
            return cls(Packing.from_wire(secret), PrivateKey(p, q))
        except ConfigError as error:
            raise ProtocolError(f"The stored key is no Paillier key: {error}") from None

    def public_key(self) -> Wire:
        """The modulus n as bytes, rows and ranges."""
        n = to_array([self._key.public.n], self._key.public.plain_bytes)[0]
        return {**self._packing.to_wire(), "n": n}

    def secret(self) -> Wire:
        """The primes. Whoever reads them can read every number sent."""
        length = self._key.public.plain_bytes
        p, q = to_array([self._key.p, self._key.q], length)
        return wire.with_digest(_SECRET, {**self._packing.to_wire(), "p": p, "q": q})

    def encrypt(
        self, values: Integers, offsets: Integers, bin_counts: Sequence[Integers]
    ) -> tuple[Wire, Wire]:
        """One ciphertext per row: uint8 (n, cipher bytes)."""
        self._packing.check(values, offsets)
        ciphertexts = self._key.encrypt(self._packing.pack(values).tolist())
        name = wire.new_ticket()
        message = wire.with_ticket(name, {"rows": to_array(ciphertexts, self._key.public.cipher_bytes)})
        return wire.with_digest(NUMBERS, message, self._fingerprint, offsets), wire.ticket_for(name, offsets)

    def regroup(self, ticket: AnyWire, rows: Integers, offsets: Integers) -> Wire:
        """The ticket for other groups of the same rows."""
        packing.check_offsets(offsets, len(rows))
        return wire.ticket_for(wire.regrouped(wire.take_ticket(ticket), rows, offsets), offsets)

    def decrypt(self, reply: AnyWire, ticket: AnyWire, bin_counts: Integers) -> Sums:
        """The sums of a reply."""
        groups, width = self._shape(ticket, bin_counts)
        sums = self._squeezing.unpack(self._open(SUMS, reply, ticket, bin_counts), groups * width)
        return packing.split_columns(sums.reshape(groups, width, sums.shape[1]), bin_counts)

    def open_masked(self, reply: AnyWire, ticket: AnyWire, bin_counts: Integers) -> Wire:
        """Decrypted plaintexts modulo n, uint8 (replies, plain bytes)."""
        opened = to_array(self._open(MASKED, reply, ticket, bin_counts), self._key.public.plain_bytes)
        return wire.with_digest(OPENED, {"opened": opened}, self._fingerprint, wire.take_ticket(ticket))

    def _shape(self, ticket: AnyWire, bin_counts: Integers) -> tuple[int, int]:
        return len(wire.take(ticket, "offsets", np.int64, (None,))) - 1, int(bin_counts.sum())

    def _open(self, kind: str, reply: AnyWire, ticket: AnyWire, bin_counts: Integers) -> list[mpz]:
        wire.check_digest(kind, reply, self._fingerprint, wire.take_ticket(ticket), bin_counts)
        groups, width = self._shape(ticket, bin_counts)
        shape = (self._squeezing.replies(groups * width), self._key.public.cipher_bytes)
        replies = to_numbers(wire.take(reply, "replies", np.uint8, shape), self._key.public.square)
        return [self._key.decrypt(one) for one in replies]
