"""The responder's half of the Paillier engine: multiplies the ciphertexts of each bin, squeezes and re-randomises.

A reply is multiplied by a uniform n-th residue, so it is a uniform ciphertext of its sums: whatever randomness the
owner encrypted with, it learns nothing else from it, without any assumption. That holds for an honest modulus.
"""

import itertools
import secrets

import numpy as np
from gmpy2 import mpz

from fl.encrypted_sums import packing, wire
from fl.encrypted_sums.interface import AnyWire, Bins, Integers, Sums
from fl.encrypted_sums.packing import Packing
from fl.encrypted_sums.paillier.keys import PublicKey
from fl.encrypted_sums.paillier.owner import MASKED, NUMBERS, OPENED, SUMS
from fl.encrypted_sums.paillier.squeeze import Squeezing, to_array, to_numbers
from fl.encrypted_sums.wire import Array, Wire
from fl.errors import ConfigError, ProtocolError


class PaillierResponder:
    """Holds the owner's modulus."""

    row_wise = True

    def __init__(self, public_key: AnyWire) -> None:
        n = wire.take(public_key, "n", np.uint8, (None,)).tobytes()
        try:
            self._key = PublicKey(mpz.from_bytes(n, "little"))
            self._squeezing = Squeezing(Packing.from_wire(public_key), self._key)
        except ConfigError as error:
            raise ProtocolError(f"The public key is refused: {error}") from None
        self._fingerprint = wire.fingerprint(public_key)

    def regroup(self, encrypted: AnyWire, offsets: Integers, rows: Integers, new_offsets: Integers) -> Wire:
        """The ciphertexts of those rows."""
        ciphertexts = self._rows(encrypted, offsets)
        packing.check_offsets(new_offsets, len(rows))
        name = wire.regrouped(wire.take_ticket(encrypted), rows, new_offsets)
        message = wire.with_ticket(name, {"rows": ciphertexts[rows]})
        return wire.with_digest(NUMBERS, message, self._fingerprint, new_offsets)

    def sums(self, encrypted: AnyWire, offsets: Integers, bins: Bins, bin_counts: Integers) -> Wire:
        """Squeezed sums, each under fresh randomness: uint8 (replies, cipher bytes)."""
        runs = self._runs(encrypted, offsets, bins, bin_counts)
        return self._reply(SUMS, [self._key.rerandomise(run) for run in runs], encrypted, bin_counts)

    def masked_sums(
        self, encrypted: AnyWire, offsets: Integers, bins: Bins, bin_counts: Integers
    ) -> tuple[Wire, Wire]:
        """The same plus a mask, uniform modulo n on every squeezed plaintext."""
        runs = self._runs(encrypted, offsets, bins, bin_counts)
        masks = [secrets.randbelow(int(self._key.n)) for _ in runs]
        guarded = [self._key.rerandomise(run, mask) for run, mask in zip(runs, masks, strict=True)]
        mask = to_array([mpz(one) for one in masks], self._key.plain_bytes)
        kept: Wire = {"mask": mask, "offsets": offsets, "bin_counts": bin_counts}
        reply = self._reply(MASKED, guarded, encrypted, bin_counts)
        return reply, wire.with_ticket(wire.take_ticket(encrypted), kept)

    def unmask(self, opened: AnyWire, mask: AnyWire) -> Sums:
        """The sums."""
        wire.check_digest(OPENED, opened, self._fingerprint, wire.take_ticket(mask))
        masked = to_numbers(wire.take(opened, "opened", np.uint8, mask["mask"].shape), self._key.n)
        masks = to_numbers(mask["mask"], self._key.n)
        plaintexts = [(one - other) % self._key.n for one, other in zip(masked, masks, strict=True)]
        groups, bin_counts = len(mask["offsets"]) - 1, mask["bin_counts"]
        width = int(bin_counts.sum())
        sums = self._squeezing.unpack(plaintexts, groups * width)
        return packing.split_columns(sums.reshape(groups, width, sums.shape[1]), bin_counts)

    def _rows(self, encrypted: AnyWire, offsets: Integers) -> Array:
        wire.check_digest(NUMBERS, encrypted, self._fingerprint, offsets)
        return wire.take(encrypted, "rows", np.uint8, (int(offsets[-1]), self._key.cipher_bytes))

    def _runs(self, encrypted: AnyWire, offsets: Integers, bins: Bins, bin_counts: Integers) -> list[mpz]:
        rows = self._rows(encrypted, offsets)
        packing.check_offsets(offsets, len(rows))
        packing.check_bins(bins, bin_counts, len(rows))
        ciphertexts = to_numbers(rows, self._key.square)
        square, first = self._key.square, np.cumsum(bin_counts) - bin_counts
        # One place more, for rows that are in no bin of a column.
        nowhere = int(bin_counts.sum())
        places = np.where(bins < bin_counts, bins + first, nowhere).tolist()
        products: list[mpz] = []
        for start, stop in itertools.pairwise(offsets):
            group = [mpz(1)] * (nowhere + 1)
            for ciphertext, own in zip(ciphertexts[start:stop], places[start:stop], strict=True):
                for place in own:
                    if place < nowhere:
                        group[place] = group[place] * ciphertext % square
            products += group[:nowhere]
        return self._squeezing.squeeze(products)

    def _reply(self, kind: str, runs: list[mpz], encrypted: AnyWire, bin_counts: Integers) -> Wire:
        payload = {"replies": to_array(runs, self._key.cipher_bytes)}
        return wire.with_digest(kind, payload, self._fingerprint, wire.take_ticket(encrypted), bin_counts)
