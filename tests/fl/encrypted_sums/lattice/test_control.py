"""The curious bank: it keeps to the protocol, and tries to read a responder's bins off the noise of the replies.

It knows the secret key and every noise that it encrypted with. The noise of a product is that noise, moved by the rows'
bins; correlating the two tells them. The tests look at ciphertexts just before they are shortened, where the bank would
see most, with the reply control as it is and with one part of it switched off at a time.
"""

from functools import cached_property
from typing import Any

import numpy as np
import pytest
from tenseal import sealapi

from fl.encrypted_sums import wire
from fl.encrypted_sums.lattice import LatticeOwner, LatticeResponder, control, form, public_key
from fl.encrypted_sums.lattice.control import ReplyControl
from fl.encrypted_sums.lattice.convolution import LIMBS, Total
from fl.encrypted_sums.lattice.products import adder
from fl.encrypted_sums.lattice.seal import DEGREE, MAX_PLAIN_BITS
from fl.encrypted_sums.packing import Packing

BINS = 32
ROWS = DEGREE // BINS  # one full block
# By chance 8 of the 256 bins are right, and 32 practically never.
MORE_THAN_CHANCE = 4 / BINS
# All 51 bits of the plaintext: the least room for flooding.
PACKING = Packing(ROWS, ((-(2**41), 2**41),))


class CuriousBank(LatticeOwner):
    """An owner that measures noise. Only the arithmetic of a polynomial ring; SEAL does not offer it."""

    @property
    def lattice(self):
        return self._lattice

    @cached_property
    def key(self) -> np.ndarray:
        """The secret polynomial, read as the decryption of (0, q / t)."""
        modulus = self.modulus(2) // self.lattice.plain_modulus
        one = np.array([[modulus % prime] for prime in self.lattice.primes], np.uint64)
        plain = sealapi.Plaintext()
        self._decryptor.decrypt(self.lattice.ciphertext(np.zeros((2, 0), np.uint64), one), plain)
        key = self.lattice.coefficients(plain, DEGREE).astype(np.int64)
        return np.where(key > 1, key - self.lattice.plain_modulus, key)

    def modulus(self, primes: int) -> int:
        return int(np.prod(np.array(self.lattice.primes[:primes], object)))

    def parts(self, ciphertext: Any) -> tuple[np.ndarray, np.ndarray]:
        """Both polynomials of a ciphertext of two primes, as Python integers."""
        raw = np.array([ciphertext[i] for i in range(4 * DEGREE)], object).reshape(2, 2, DEGREE)
        p, q = self.lattice.primes
        return tuple(low + p * ((high - low) * pow(p, -1, q) % q) for low, high in raw)

    def noise(self, c0: np.ndarray, c1: np.ndarray, modulus: int) -> np.ndarray:
        """What separates the first coefficients of c0 + c1 · s from the nearest encodings of plaintexts."""
        size = len(c0)
        spectrum = np.fft.rfft(self.key, 2 * DEGREE)
        product = np.zeros(DEGREE, object)
        for shift in range(0, modulus.bit_length(), 20):  # limbs whose products are exact in floating point
            limb = ((c1 >> shift) & (2**20 - 1)).astype(float)
            full = np.rint(np.fft.irfft(np.fft.rfft(limb, 2 * DEGREE) * spectrum, 2 * DEGREE)).astype(
                np.int64
            )
            product += (full[:DEGREE] - full[DEGREE:]).astype(object) << shift
        phase = (c0 + product[:size]) % modulus
        plain = (2 * phase * self.lattice.plain_modulus + modulus) // (2 * modulus)
        return (phase - plain * modulus // self.lattice.plain_modulus).astype(float)

    def known_noise(self, encrypted: dict) -> np.ndarray:
        (piece,) = form.cut(encrypted, 1)
        block = self.lattice.load(sealapi.Ciphertext(), piece)
        return self.noise(*self.parts(block), self.modulus(2))


class FlawlessKey(CuriousBank):
    """Its public key has no error, which others cannot see: nothing but flooding covers the noise of products."""

    def public_key(self) -> wire.Wire:
        key = super().public_key()
        primes = np.array(self.lattice.primes, object)[:, None]
        words = self.lattice.words(self._secret_key, 3 * DEGREE)
        s = words.reshape(3, DEGREE)[:2].astype(object)
        a = public_key._expanded(key["seed"].tobytes(), self.lattice.primes)
        return {**key, "b": form.to_bytes((-(a * s) % primes).astype(np.uint64).ravel())}


def correlations(known: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """For each row and bin: how well `known`, moved as that bin would move it, agrees with the noise seen."""
    padded = np.zeros(DEGREE)
    padded[: len(seen)] = seen
    moved = np.concatenate([known, -known])
    agreement = np.fft.irfft(np.fft.rfft(padded, 2 * DEGREE) * np.conj(np.fft.rfft(moved)), 2 * DEGREE)
    return agreement[(np.arange(BINS) - BINS * np.arange(ROWS)[:, None]) % (2 * DEGREE)]


class Attack:
    """Replies to the same bins, as over many trees, and how many of the bins the bank reads off their noise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bank = FlawlessKey(PACKING)
        self.responder = LatticeResponder(PACKING, self.bank.public_key())
        self.rng = np.random.default_rng(5)
        self.bins = self.rng.integers(0, BINS, (ROWS, 1), np.uint8)
        self.guarded: list[Any] = []
        shorten = ReplyControl.shorten

        def record(by: ReplyControl, guarded: Any, used: int) -> Any:
            seen = self.bank.parts(guarded)
            self.guarded.append(seen)
            return shorten(by, guarded, used)

        monkeypatch.setattr(ReplyControl, "shorten", record)

    def reply(self) -> tuple[np.ndarray, dict]:
        """The bank's noise in one request, and the reply to it."""
        values = self.rng.integers(-(2**41), 2**41, (ROWS, 1))
        offsets, counts = np.array([0, ROWS]), np.array([BINS])
        encrypted, ticket = self.bank.encrypt(values, offsets, [counts])
        reply = self.responder.sums(encrypted, offsets, self.bins, counts)
        sums = self.bank.decrypt(reply, ticket, counts)
        assert sums[0].sum() == values.sum()
        return self.bank.known_noise(encrypted), reply

    def recovered(self, replies: int, visible: int) -> float:
        """The share of bins that the bank finds, of this many coefficients of replies at the full modulus."""
        score = np.zeros((ROWS, BINS))
        for _ in range(replies):
            known, _ = self.reply()
            c0, c1 = self.guarded.pop()
            score += correlations(known, self.bank.noise(c0[:visible], c1, self.bank.modulus(2)))
        return float((score.argmax(1) == self.bins[:, 0]).mean())

    def recovered_from_what_leaves(self, replies: int) -> float:
        """The same from the replies' own bytes."""
        score = np.zeros((ROWS, BINS))
        for _ in range(replies):
            known, reply = self.reply()
            words = form.from_bytes(reply["replies"], BINS + DEGREE).astype(object)
            score += correlations(known, self.bank.noise(words[:BINS], words[BINS:], self.bank.modulus(1)))
        return float((score.argmax(1) == self.bins[:, 0]).mean())


@pytest.fixture
def attack(monkeypatch: pytest.MonkeyPatch) -> Attack:
    return Attack(monkeypatch)


def without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReplyControl, "_noise", lambda by, used: np.zeros((2, 2, DEGREE), np.uint64))


def without_rerandomisation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReplyControl, "zero", lambda by: np.zeros((DEGREE // 2, 4 * LIMBS)))


def test_the_curious_bank_finds_bins_only_by_chance(attack: Attack) -> None:
    assert attack.recovered(replies=20, visible=BINS) < MORE_THAN_CHANCE
    assert attack.recovered_from_what_leaves(replies=20) < MORE_THAN_CHANCE


def test_without_flooding_the_curious_bank_finds_bins(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_noise(monkeypatch)

    assert attack.recovered(replies=20, visible=BINS) > MORE_THAN_CHANCE
    assert attack.recovered(replies=1, visible=DEGREE) > 0.9


def test_without_rerandomisation_the_curious_bank_confirms_a_guess(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A bank that guesses all bins right can compute the reply itself: unless the reply has randomness of its own.
    def agreement() -> float:
        first = [attack.responder.sums(*request)["replies"] for _ in range(2)]
        return float((first[0] == first[1]).mean())

    counts, offsets = np.array([BINS]), np.array([0, ROWS])
    encrypted, _ = attack.bank.encrypt(np.ones((ROWS, 1), np.int64), offsets, [counts])
    request = (encrypted, offsets, attack.bins, counts)

    assert agreement() < 0.01
    without_rerandomisation(monkeypatch)
    assert agreement() > 0.99


def test_flooding_drowns_what_products_add(attack: Attack) -> None:
    noise = []
    for _ in range(4):
        attack.reply()
        c0, c1 = attack.guarded.pop()
        noise.append(attack.bank.noise(c0[:BINS], c1, attack.bank.modulus(2)))
    flood_bits = adder(attack.responder._key).control.flood_bits
    bound = 2.0**flood_bits

    assert flood_bits == 65
    assert np.abs(noise).min() > 2.0**40, "a coefficient leaves without flooding"
    assert bound / 4 < np.abs(noise).max() <= bound * 1.001
    assert abs(np.mean(noise)) < bound / 3


def test_replies_decrypt_with_room_to_spare(attack: Attack) -> None:
    # Half a step between encodings at the last modulus: 8 bits.
    limit = attack.bank.modulus(1) / attack.bank.lattice.plain_modulus / 2
    assert attack.bank.lattice.plain_modulus == 1 << MAX_PLAIN_BITS
    for _ in range(5):
        _, reply = attack.reply()
        words = form.from_bytes(reply["replies"], BINS + DEGREE).astype(object)
        noise = attack.bank.noise(words[:BINS], words[BINS:], attack.bank.modulus(1))
        assert np.abs(noise).max() < 0.7 * limit


def test_smaller_plaintexts_leave_more_room_for_flooding() -> None:
    packing = Packing(1000, ((0, 1),))
    owner = LatticeOwner(packing)
    assert adder(LatticeResponder(packing, owner.public_key())._key).control.flood_bits >= 100


def test_what_rerandomises_is_distributed_as_the_library_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = np.concatenate([control._ternary() for _ in range(40)])
    shares = np.bincount(drawn + 1, minlength=3) / len(drawn)
    assert np.abs(shares - 1 / 3).max() < 5 * (2 / 9 / len(drawn)) ** 0.5
    errors = np.concatenate([control._error() for _ in range(40)])
    assert abs(errors.mean()) < 5 * (10.5 / len(errors)) ** 0.5
    assert abs(errors.var() / 10.5 - 1) < 5 * (2 / len(errors)) ** 0.5
    assert np.abs(errors).max() <= 21

    # With u = 1, what is added is the public key with a flood and an error.
    bank = CuriousBank(PACKING)
    responder = LatticeResponder(PACKING, bank.public_key())
    key = public_key.load(bank.lattice, bank.public_key())
    bank.lattice.evaluator.transform_from_ntt_inplace(key)
    monkeypatch.setattr(control, "_ternary", lambda: (np.arange(DEGREE) == 0).astype(np.int64))
    guarded = bank.parts(adder(responder._key).control.guard(Total(2 * bank.lattice.primes), BINS))
    flood, error = (ours - theirs for ours, theirs in zip(guarded, bank.parts(key), strict=True))
    assert 3 < error.astype(float).std() < 3.5
    assert np.all(flood[BINS:] == 0)
    assert np.abs(flood[:BINS]).min() > 2**40


def test_random_bytes_are_as_many_as_asked_for_and_never_the_same() -> None:
    one, other = (np.frombuffer(control.random_bytes(100_000), np.uint8) for _ in range(2))

    assert control.random_bytes(0) == b""
    assert len(one) == len(other) == 100_000
    for bits in (one, one ^ other):
        assert abs(np.unpackbits(bits).mean() - 0.5) < 5 * 0.5 / (8 * len(bits)) ** 0.5
