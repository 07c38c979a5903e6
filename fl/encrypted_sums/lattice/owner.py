"""The owner's half of the lattice engine: encrypts blocks of rows, decrypts histograms."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from tenseal import sealapi

from fl.encrypted_sums import wire
from fl.encrypted_sums.interface import AnyWire, Integers, Sums
from fl.encrypted_sums.lattice import form, layout
from fl.encrypted_sums.lattice.form import Planes
from fl.encrypted_sums.lattice.layout import Reply
from fl.encrypted_sums.lattice.seal import DEGREE, Coefficients
from fl.encrypted_sums.packing import Packing
from fl.encrypted_sums.wire import Wire
from fl.errors import ProtocolError

_SECRET: Final = "keys of a lattice owner"


class LatticeOwner:
    """Holds the secret key. Blocks are encrypted with it, not with the public key: their second half is then a seed."""

    row_wise = False

    def __init__(self, packing: Packing, secret: AnyWire | None = None) -> None:
        self._planes = Planes(packing)
        self._lattice = self._planes.lattice
        if secret is None:
            generator = sealapi.KeyGenerator(self._lattice.context)
            self._secret_key, public_key = generator.secret_key(), sealapi.PublicKey()
            generator.create_public_key(public_key)
            self._public_key = self._lattice.save(public_key)
        else:
            self._secret_key = self._load_key(sealapi.SecretKey(), secret, "secret_key")
            self._public_key = wire.take(secret, "public_key", np.uint8, (None,)).tobytes()
        self._encryptor = sealapi.Encryptor(self._lattice.context, self._secret_key)
        self._decryptor = sealapi.Decryptor(self._lattice.context, self._secret_key)
        self._fingerprint = wire.fingerprint(self.public_key())

    @classmethod
    def restore(cls, secret: AnyWire) -> "LatticeOwner":
        """The owner that `secret()` describes."""
        wire.check_digest(_SECRET, secret)
        return cls(Packing.from_wire(secret), secret)

    def public_key(self) -> Wire:
        """SEAL's public key, and the rows and ranges that fix the plaintext modulus."""
        return {**self._planes.packing.to_wire(), "public_key": wire.as_array(self._public_key)}

    def secret(self) -> Wire:
        """The public key with the secret one. Whoever reads it can read every number sent."""
        secret_key = wire.as_array(self._lattice.save(self._secret_key))
        return wire.with_digest(_SECRET, {**self.public_key(), "secret_key": secret_key})

    def encrypt(
        self, values: Integers, offsets: Integers, bin_counts: Sequence[Integers]
    ) -> tuple[Wire, Wire]:
        """Blocks of rows in slots whose width suits the responders' columns."""
        self._planes.packing.check(values, offsets)
        width = layout.choose_width(offsets, bin_counts, len(self._planes))
        rows = DEGREE // width
        packed, blocks = self._planes.pack(values), []
        for start in range(0, len(values), rows):
            for plane in packed:
                numbers = plane[start : start + rows]
                plaintext = self._lattice.plaintext(np.arange(len(numbers)) * width, numbers)
                blocks.append(self._lattice.save(self._encryptor.encrypt_symmetric(plaintext)))
        name = wire.new_ticket()
        shape = {"width": np.array([width], np.int64)}
        message = wire.with_ticket(name, {**shape, **form.join(blocks)})
        return (
            wire.with_digest(form.NUMBERS, message, self._fingerprint, offsets),
            {**wire.ticket_for(name, offsets), **shape},
        )

    def regroup(self, ticket: AnyWire, rows: Integers, offsets: Integers) -> Wire:
        """Refused: rows of a block cannot be taken apart."""
        raise ProtocolError(
            "The lattice engine encrypts rows in blocks: encrypt those of the new groups anew."
        )

    def decrypt(self, reply: AnyWire, ticket: AnyWire, bin_counts: Integers) -> Sums:
        """The sums of a reply."""
        replies, groups = self._replies(ticket, bin_counts)
        sums = self._planes.unpack(self._open(form.SUMS, reply, ticket, bin_counts, replies))
        return layout.arrange(sums, groups, bin_counts, replies)

    def open_masked(self, reply: AnyWire, ticket: AnyWire, bin_counts: Integers) -> Wire:
        """Decrypted coefficients modulo t, uint64 (planes, all used coefficients)."""
        replies, _ = self._replies(ticket, bin_counts)
        opened = {"opened": self._open(form.MASKED, reply, ticket, bin_counts, replies)}
        return wire.with_digest(form.OPENED, opened, self._fingerprint, wire.take_ticket(ticket))

    def _replies(self, ticket: AnyWire, bin_counts: Integers) -> tuple[list[Reply], int]:
        groups = len(wire.take(ticket, "offsets", np.int64, (None,))) - 1
        width = int(wire.take(ticket, "width", np.int64, (1,))[0])
        return layout.replies_of(groups, bin_counts, width), groups

    def _open(
        self, kind: str, reply: AnyWire, ticket: AnyWire, bin_counts: Integers, replies: list[Reply]
    ) -> Coefficients:
        wire.check_digest(kind, reply, self._fingerprint, wire.take_ticket(ticket), bin_counts)
        length = sum(form.byte_length(one.used + DEGREE) for one in replies) * len(self._planes)
        data = wire.take(reply, "replies", np.uint8, (length,))
        opened: list[list[Coefficients]] = [[] for _ in range(len(self._planes))]
        plaintext, at = sealapi.Plaintext(), 0
        for one in replies:
            size = form.byte_length(one.used + DEGREE)
            for plane in opened:
                words = form.from_bytes(data[at : at + size], one.used + DEGREE)[None]
                at += size
                if (words >= self._lattice.primes[0]).any():
                    raise ProtocolError("A reply holds a number that is no coefficient of a ciphertext.")
                ciphertext = self._lattice.ciphertext(words[:, : one.used], words[:, one.used :])
                self._decryptor.decrypt(ciphertext, plaintext)
                plane.append(self._lattice.coefficients(plaintext, one.used))
        none = np.zeros(0, np.uint64)
        return np.stack([np.concatenate([none, *plane]) for plane in opened])

    def _load_key(self, empty: sealapi.SecretKey, secret: AnyWire, name: str) -> sealapi.SecretKey:
        return self._lattice.load(empty, wire.take(secret, name, np.uint8, (None,)).tobytes())
