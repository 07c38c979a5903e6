"""The responder's half of the Paillier engine: multiplies the ciphertexts of each bin, squeezes and re-randomises.

A reply is multiplied by a uniform n-th residue, so it is a uniform ciphertext of its sums: whatever randomness the
owner encrypted with, it learns nothing else from it, without any assumption. That holds for an honest modulus.
"""

import secrets

import numpy as np
from gmpy2 import mpz

from fl.encrypted_sums import halves, wire
from fl.encrypted_sums.halves import AnyWire, Bins, Integers, Request
from fl.encrypted_sums.packing import Packing
from fl.encrypted_sums.paillier.keys import PublicKey
from fl.encrypted_sums.paillier.squeeze import Squeezing, to_array, to_numbers
from fl.encrypted_sums.wire import Array
from fl.errors import ConfigError, ProtocolError


class PaillierResponder(halves.Responder):
    """Holds the owner's modulus, and masks numbers by that."""

    adds_up = False

    def __init__(self, packing: Packing, public_key: AnyWire) -> None:
        n = wire.take(public_key, "n", np.uint8, (None,)).tobytes()
        try:
            self._key = PublicKey(mpz.from_bytes(n, "little"))
            self._squeezing = Squeezing(packing, self._key)
        except ConfigError as error:
            raise ProtocolError(f"The public key is refused: {error}") from None
        super().__init__(packing, public_key, self._squeezing.unpack)

    def _rows(self, encrypted: AnyWire, offsets: Integers) -> Array:
        return wire.take(encrypted, "rows", np.uint8, (int(offsets[-1]), self._key.cipher_bytes))

    def _new_mask(self, request: Request) -> Array:
        """Uniform modulo n on every squeezed plaintext."""
        masks = [mpz(secrets.randbelow(int(self._key.n))) for _ in range(self._squeezing.replies(request))]
        return to_array(masks, self._key.plain_bytes)

    def _add_up(self, request: Request, bins: Bins, mask: Array | None) -> Array:
        """Squeezed sums, each under fresh randomness, and random numbers: uint8 (`most_replies`, cipher bytes)."""
        ciphertexts = to_numbers(self._rows(request.held, request.offsets), self._key.square)
        square, nowhere = self._key.square, request.count
        products = [mpz(1)] * nowhere
        for ciphertext, row_places in zip(ciphertexts, request.places(bins).tolist(), strict=True):
            for place in row_places:
                if place < nowhere:
                    products[place] = products[place] * ciphertext % square
        runs = self._squeezing.squeeze(products)
        masks = [mpz(0)] * len(runs) if mask is None else to_numbers(mask, self._key.n)
        guarded = [self._key.rerandomise(run, added) for run, added in zip(runs, masks, strict=True)]
        fillers = range(len(runs), self._squeezing.most_replies(request))
        guarded += [mpz(secrets.randbelow(int(square))) for _ in fillers]
        return to_array(guarded, self._key.cipher_bytes)

    def _subtract(self, masked: Array, mask: Array) -> Array:
        pairs = zip(to_numbers(masked, self._key.n), to_numbers(mask, self._key.n), strict=True)
        return to_array([(one - other) % self._key.n for one, other in pairs], self._key.plain_bytes)
