"""The owner's half of the lattice engine: encrypts blocks of rows, decrypts histograms."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from tenseal import sealapi

from fl.encrypted_sums import halves, wire
from fl.encrypted_sums.halves import AnyWire, Integers, Request
from fl.encrypted_sums.lattice import form, layout, public_key
from fl.encrypted_sums.lattice.form import Planes
from fl.encrypted_sums.lattice.seal import DEGREE, Coefficients
from fl.encrypted_sums.packing import Packing
from fl.encrypted_sums.wire import Array, Wire
from fl.errors import ProtocolError


class LatticeOwner(halves.Owner):
    """Holds the secret key. Blocks are encrypted with it, not with the public key: their second half is then a seed."""

    row_wise = False

    def __init__(self, packing: Packing, keys: AnyWire | None = None) -> None:
        self._planes = Planes(packing)
        self._lattice = self._planes.lattice
        if keys is None:
            self._secret_key, self._public_key = public_key.new_keys(self._lattice)
        else:
            secret_key = wire.take(keys, "secret_key", np.uint8, (None,)).tobytes()
            self._secret_key = self._lattice.load(sealapi.SecretKey(), secret_key)
            self._public_key = {name: wire.take(keys, name, np.uint8, (None,)) for name in ("seed", "b")}
        self._encryptor = sealapi.Encryptor(self._lattice.context, self._secret_key)
        self._decryptor = sealapi.Decryptor(self._lattice.context, self._secret_key)
        super().__init__(packing, self._planes.sums)

    @classmethod
    def _restored(cls, packing: Packing, keys: AnyWire) -> Self:
        return cls(packing, keys)

    def _keys(self) -> Wire:
        """The public key with the secret one."""
        secret_key = wire.as_array(self._lattice.save(self._secret_key))
        return {**self._public_key, "secret_key": secret_key}

    def public_key(self) -> Wire:
        """As `public_key` makes it."""
        return self._public_key

    def _encrypt(self, values: Integers, offsets: Integers, bin_counts: Sequence[Integers]) -> Wire:
        """Blocks of rows in slots whose width suits the responders' columns."""
        width = layout.choose_width(offsets, bin_counts, len(self._planes))
        rows, packed = DEGREE // width, self._planes.pack(values)
        blocks = [
            self._encrypted(plane[start : start + rows], width)
            for start in range(0, len(values), rows)
            for plane in packed
        ]
        return {"width": np.array([width], np.int64), **form.join(blocks)}

    def _encrypted(self, numbers: Coefficients, width: int) -> bytes:
        plaintext = self._lattice.plaintext(np.arange(len(numbers)) * width, numbers)
        return self._lattice.save(self._encryptor.encrypt_symmetric(plaintext))

    def _decrypt(self, reply: AnyWire, request: Request) -> Array:
        """Coefficients modulo t, uint64 (planes, wanted sums)."""
        used = [one.used for one in layout.replies_of(request) for _ in range(len(self._planes))]
        lengths = [form.byte_length(count + DEGREE) for count in used]
        most = form.reply_bytes(layout.most_replies_of(request), len(self._planes))
        data = wire.take(reply, "replies", np.uint8, (most,))[: sum(lengths)]
        plaintext = sealapi.Plaintext()
        opened = [
            self._coefficients(piece, count, plaintext)
            for piece, count in zip(wire.stretches(data, lengths), used, strict=True)
        ]
        none, planes = np.zeros(0, np.uint64), len(self._planes)
        return np.stack([np.concatenate([none, *opened[plane::planes]]) for plane in range(planes)])

    def _coefficients(self, data: Array, used: int, plaintext: Any) -> Coefficients:
        words = form.from_bytes(data, used + DEGREE)[None]
        if (words >= self._lattice.primes[0]).any():
            raise ProtocolError("A reply holds a number that is no coefficient of a ciphertext.")
        self._decryptor.decrypt(self._lattice.ciphertext(words[:, :used], words[:, used:]), plaintext)
        return self._lattice.coefficients(plaintext, used)
