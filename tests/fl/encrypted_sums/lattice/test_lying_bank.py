"""Finding 4 of the security review: a bank that lies in its numbers, its packing, its slots or its key.

Its packing and its slots are refused. What remains is measured: numbers of its own choice read one row's bins for each
bit of a plaintext, and no test of a key finds one that makes replies tell more, but narrow slots keep that from telling
enough.
"""

from typing import Any

import numpy as np
import pytest

from fl.encrypted_sums import halves, wire
from fl.encrypted_sums.halves import Request
from fl.encrypted_sums.lattice import LatticeOwner, LatticeResponder, form, layout, public_key
from fl.encrypted_sums.lattice.seal import DEGREE
from fl.encrypted_sums.packing import Packing
from fl.errors import ProtocolError

from .test_control import CuriousBank

GRADIENTS = ((-2048, 2048), (0, 512))
HONEST = Packing(20_000, GRADIENTS)
COUNTS = np.full(12, 15)


def bins_of(rows: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, COUNTS, (rows, len(COUNTS))).astype(np.uint8)


def powers_of_two(rows: int, bits: int) -> np.ndarray:
    """2^k for row k, and 0 for rows beyond the bits, modulo 2^64."""
    return np.where(np.arange(rows) < bits, np.uint64(1) << np.arange(rows, dtype=np.uint64), np.uint64(0))


def bins_read(sums: np.ndarray, rows: int) -> np.ndarray:
    """The bins (rows, columns) that sums of powers of two, (all bins,), tell."""
    members = (sums[:, None] >> np.arange(rows, dtype=np.uint64)) & np.uint64(1)
    return np.stack([part.argmax(axis=0) for part in np.split(members, len(COUNTS))], axis=1)


def test_finding_4_a_hidden_number_of_each_row_is_refused() -> None:
    # Sums of the first two numbers are what they should be; the third is 2^k for row k.
    rows, hidden = 34, Packing(HONEST.rows, (*GRADIENTS, (0, 2**33)))
    bank, offsets, bins = LatticeOwner(hidden), np.array([0, rows]), bins_of(rows)
    values = np.stack([np.ones(rows), np.ones(rows), 2 ** np.arange(rows)], 1).astype(np.int64)
    encrypted, ticket = bank.encrypt(values, offsets, [COUNTS])

    responder = LatticeResponder(HONEST, bank.public_key())
    with pytest.raises(ProtocolError, match="digest"):
        responder.sums(encrypted, offsets, bins, COUNTS)
    # A bank that names them as an honest one would has sent more blocks than it should.
    named = {name: array for name, array in encrypted.items() if name != "digest"}
    named = wire.with_digest(halves._NUMBERS, named, responder._fingerprint, offsets)
    with pytest.raises(ProtocolError, match="lengths"):
        responder.sums(named, offsets, bins, COUNTS)

    obedient = LatticeResponder(hidden, bank.public_key())
    sums = bank.decrypt(obedient.sums(encrypted, offsets, bins, COUNTS), ticket, COUNTS)
    told = np.concatenate([part[0, :, 2] for part in sums]).astype(np.uint64)
    np.testing.assert_array_equal(bins_read(told, rows), bins)


def test_what_remains_of_finding_4_one_row_for_each_bit_of_a_plaintext() -> None:
    class LyingBank(LatticeOwner):
        """Encrypts 2^k for row k, and looks at what it decrypts before it is unpacked."""

        def _encrypt(self, values: Any, offsets: Any, bin_counts: Any) -> wire.Wire:
            self._planes.pack = lambda values: [powers_of_two(len(values), 50)]  # type: ignore[method-assign]
            return super()._encrypt(values, offsets, bin_counts)

    bank, rows = LyingBank(HONEST), 1_000
    offsets, bins, counts = np.array([0, rows]), bins_of(rows), COUNTS
    encrypted, ticket = bank.encrypt(np.zeros((rows, 2), np.int64), offsets, [counts])
    reply = LatticeResponder(HONEST, bank.public_key()).sums(encrypted, offsets, bins, counts)
    request = Request(ticket, offsets, counts)
    (told,) = bank._decrypt(reply, request)

    assert bank._lattice.plain_modulus == 2**50
    np.testing.assert_array_equal(bins_read(told, 50), bins[:50])


class LyingKey(CuriousBank):
    """An owner whose key b has a structure added that only it can see, since b looks random with and without it.

    A reply adds u (b, a) with small random u of the responder. Of an honest key, c0 + c1 s then holds u e, which
    flooding drowns; here it holds u · structure, and each coefficient that is sent tells DIGITS of u. Who knows all of
    u takes u a out of c1, where nothing floods the products: the bank's c1 is a power of 4 for each block.
    """

    DIGITS, FIRST, USED = 23, 12, 360
    BLOCKS, LOWEST = 19, 20

    def public_key(self) -> wire.Wire:
        return {**super().public_key(), "b": form.to_bytes(self.lying_b().ravel())}

    def lying_b(self) -> np.ndarray:
        primes = self.lattice.primes
        structure = np.zeros(DEGREE, object)
        for digit in range(self.DIGITS):
            place = -digit * self.USED % (2 * DEGREE)
            value = primes[1] << (self.FIRST + 2 * digit)
            structure[place % DEGREE] += value if place < DEGREE else -value
        polynomial = np.array([structure % prime for prime in primes], object).astype(np.uint64)
        carrier = self.lattice.ciphertext(polynomial, np.ones_like(polynomial))
        self.lattice.evaluator.transform_to_ntt_inplace(carrier)
        added = self.lattice.words(carrier, 4 * DEGREE).reshape(2, 2, DEGREE)[0]
        b = form.from_bytes(super().public_key()["b"], 2 * DEGREE).reshape(2, DEGREE).astype(object)
        return np.array(((b + added) % np.array(primes, object)[:, None]), np.uint64)

    def uniform_half(self) -> np.ndarray:
        """The coefficients of a, modulo both primes together."""
        key = public_key.load(self.lattice, super().public_key())
        self.lattice.evaluator.transform_from_ntt_inplace(key)
        return self.parts(key)[1]

    def encrypted(self, rows: int, offsets: np.ndarray) -> wire.Wire:
        """Blocks that decrypt to zero, and whose second halves are the constants 4^block."""
        pieces, per_block = [], DEGREE // self.USED
        for block in range(-(-rows // per_block)):
            constant = self.lattice.primes[1] << (self.LOWEST + 2 * block)
            first = np.array([-constant * self.key.astype(object) % prime for prime in self.lattice.primes])
            second = np.array([[constant % prime] for prime in self.lattice.primes], np.uint64)
            pieces.append(self.lattice.save(self.lattice.ciphertext(first.astype(np.uint64), second)))
        numbers = {"ticket": np.zeros(32, np.uint8), "width": np.array([self.USED]), **form.join(pieces)}
        return wire.with_digest(halves._NUMBERS, numbers, self._fingerprint, offsets)

    def masks(self, reply: wire.Wire) -> np.ndarray:
        """The masks of all blocks, side by side: their coefficients as digits of base 4, (N,)."""
        words, modulus = form.from_bytes(reply["replies"], self.USED + DEGREE).astype(object), self.modulus(1)
        c0, c1 = words[: self.USED], words[self.USED :]
        told = centred(c0 + times(self.key, c1)[: self.USED], modulus)
        u = np.array(digits(told, self.FIRST, self.DIGITS)).ravel()[:DEGREE]
        full = self.modulus(2)
        hidden = times(u, self.uniform_half()) % full
        dropped = full // modulus
        return centred(c1 - (hidden + dropped // 2) // dropped, modulus)


def times(small: np.ndarray, large: np.ndarray) -> np.ndarray:
    """The product of a polynomial of small coefficients with one of long ones, modulo X^N + 1."""
    spectrum, product = np.fft.rfft(small.astype(float), 2 * DEGREE), np.zeros(DEGREE, object)
    for shift in range(
        0, int(max(large)).bit_length(), 20
    ):  # limbs whose products are exact in floating point
        limb = ((large >> shift) & (2**20 - 1)).astype(float)
        whole = np.rint(np.fft.irfft(np.fft.rfft(limb, 2 * DEGREE) * spectrum, 2 * DEGREE)).astype(np.int64)
        product += (whole[:DEGREE] - whole[DEGREE:]).astype(object) << shift
    return product


def centred(numbers: np.ndarray, modulus: int) -> np.ndarray:
    return (numbers + modulus // 2) % modulus - modulus // 2


def digits(numbers: np.ndarray, first: int, count: int) -> list[np.ndarray]:
    """The digits −1, 0 and 1 of base 4 above so many bits of noise, lowest first."""
    rest, found = (numbers + (1 << (first - 1))) >> first, []
    for _ in range(count):
        digit = (rest + 1) % 4 - 1
        found.append(digit.astype(np.int64))
        rest = (rest - digit) >> 2
    return found


def read_by_a_lying_key(bank: LyingKey, responder: LatticeResponder) -> float:
    """The share of bins of all rows in one request that the bank reads, from one reply."""
    per_block = DEGREE // bank.USED
    rows = bank.BLOCKS * per_block
    offsets, bins = np.array([0, rows // 2, rows]), bins_of(rows)
    reply = responder.sums(bank.encrypted(rows, offsets), offsets, bins, COUNTS)
    blocks = digits(bank.masks(reply), bank.LOWEST, bank.BLOCKS)
    starts, right = np.cumsum(COUNTS) - COUNTS, 0
    for row in range(rows):
        block, slot = divmod(row, per_block)
        first = COUNTS.sum() * (row >= rows // 2) - bank.USED * slot
        for column, count in enumerate(COUNTS):
            places = (first + starts[column] + np.arange(count)) % (2 * DEGREE)
            seen = np.where(places < DEGREE, 1, -1) * blocks[block][places % DEGREE]
            right += int(seen.argmax()) == bins[row, column]
    return right / bins.size


def test_finding_4_wide_slots_are_refused_since_a_lying_key_reads_all_bins_by_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bank = LyingKey(HONEST)
    responder = LatticeResponder(HONEST, bank.public_key())  # no test of the key finds it
    with pytest.raises(ProtocolError, match="Slots must have 1 to 128 coefficients, not 360"):
        read_by_a_lying_key(bank, responder)

    monkeypatch.setattr(layout, "MOST_WIDTH", DEGREE)
    assert read_by_a_lying_key(bank, responder) == 1
