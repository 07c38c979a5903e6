"""Secure sums: the total is exact, and nothing but the total can be had."""

import hashlib
import hmac
import itertools
import secrets
import struct
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

from fl.errors import ProtocolError
from fl.records import encode
from fl.secure_sums import KEY, Keys, Use, _Purpose, added

NAMES = ("bank_a", "bank_b", "bank_c")


def federation(names: tuple[str, ...] = NAMES, **changed: object) -> tuple[dict[str, Keys], Use]:
    """The keys of banks by name, and a use of them."""
    group = secrets.token_bytes(KEY)
    keys = {name: Keys(bank=name, private=secrets.token_bytes(KEY), group=group) for name in names}
    public = {name: Keys.public_of(one.private) for name, one in keys.items()}
    return keys, Use(**{"study": "s", "model": "banks-boosting/1", "step": 2, "banks": public, **changed})


def numbers(count: int = 1_000) -> np.ndarray:
    return np.random.default_rng(1).integers(-(10**6), 10**6, count)


def byte_uniformity(shown: np.ndarray) -> float:
    """The p-value of a chi-square test that all bytes are equally frequent."""
    counts = np.bincount(np.frombuffer(shown.tobytes(), np.uint8), minlength=256)
    expected = counts.sum() / 256
    return float(chi2.sf(((counts - expected) ** 2 / expected).sum(), 255))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_every_bank_gets_the_exact_sum_in_any_order_of_the_banks(count: int) -> None:
    keys, use = federation(tuple(f"bank_{number}" for number in range(count)))
    values = {name: numbers() * (place + 1) for place, name in enumerate(keys)}
    reordered = replace(use, banks=dict(reversed(use.banks.items())))
    shown = [
        keys[name].mask(values[name], use if place % 2 else reordered) for place, name in enumerate(keys)
    ]

    totals = [added(order) for order in itertools.islice(itertools.permutations(shown), 6)]

    for one, total in itertools.product(keys.values(), totals):
        np.testing.assert_array_equal(one.unmask(total, use), sum(values.values()))


def chacha20(key: bytes, blocks: int) -> bytes:
    """The key stream of RFC 8439, section 2.3, under a nonce of zeros, from its definition."""
    stream = b""
    for counter in range(blocks):
        start = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), counter, 0, 0, 0]
        state = list(start)
        for turn in range(80):
            column, places = turn % 8 % 4, (0, 0, 0, 0) if turn % 8 < 4 else (0, 1, 2, 3)
            a, b, c, d = (4 * row + (column + places[row]) % 4 for row in range(4))
            for one, other, third, shift in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                state[one] = (state[one] + state[other]) % 2**32
                mixed = state[third] ^ state[one]
                state[third] = (mixed << shift | mixed >> (32 - shift)) % 2**32
        stream += struct.pack(
            "<16I", *((word + first) % 2**32 for word, first in zip(state, start, strict=True))
        )
    return stream


def test_the_pads_are_those_of_the_standards() -> None:
    # Keys and secret of RFC 7748, section 6.1; HKDF by RFC 5869, section 2, for one block.
    private = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    alice = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    secret = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    bob = Keys(bank="bob", private=private, group=bytes(KEY))
    _, use = federation(banks={"alice": alice, "bob": Keys.public_of(private)})
    extracted = hmac.digest(bytes(32), secret, "sha256")
    key = hmac.digest(extracted, encode(_Purpose(use, ("alice", "bob"))) + b"\x01", "sha256")
    pad = np.frombuffer(chacha20(key, 3)[: 8 * 21], "<u8")

    # The factors of the check follow from the group key, which is all zeros here.
    key = hmac.digest(
        hmac.digest(bytes(32), bytes(KEY), "sha256"), encode(_Purpose(use, ())) + b"\x01", "sha256"
    )
    factors = [int(factor) | 1 for factor in np.frombuffer(chacha20(key, 3)[: 8 * 20], "<u8")]
    check = sum(factor * number for number, factor in enumerate(factors)) % 2**64

    shown = np.array([*range(20), check], np.uint64) - pad
    np.testing.assert_array_equal(bob.mask(np.arange(20), use), shown)


def test_a_total_that_was_altered_on_its_way_is_refused() -> None:
    keys, use = federation()
    total = added([one.mask(np.arange(20), use) for one in keys.values()])
    for place, change in itertools.product(range(21), (1, 2**8, 2**40, 2**63)):
        altered = total.copy()
        altered[place : place + 1] += np.uint64(change)
        with pytest.raises(ProtocolError, match="total of step 2 is not that"):
            keys["bank_a"].unmask(altered, use)


@pytest.mark.parametrize("count", [1, 2])
def test_without_all_banks_a_sum_is_noise(count: int) -> None:
    keys, use = federation()
    shown = [one.mask(np.zeros(50_000, np.int64), use) for one in keys.values()]

    partial = added(shown[-count:])

    assert byte_uniformity(partial) > 1e-4
    with pytest.raises(
        ProtocolError, match="total of step 2 is not that of what bank_a, bank_b, bank_c have added"
    ):
        keys["bank_a"].unmask(partial, use)


def test_what_the_coordinator_sees_is_uniform_and_without_masks_it_is_not() -> None:
    keys, use = federation()
    values = numbers(50_000)
    shown = [one.mask(values, use) for one in keys.values()]

    for record in (*shown, added(shown)):
        assert byte_uniformity(record) > 1e-4
    for plain in (values, 3 * values):
        assert byte_uniformity(plain) < 1e-100


def test_no_two_uses_share_a_pad() -> None:
    keys, use = federation()
    other_keys = {**use.banks, "bank_c": Keys.public_of(secrets.token_bytes(KEY))}
    uses = [
        use,
        replace(use, study="t"),
        replace(use, model="banks-boosting/2"),
        replace(use, step=3),
        replace(use, banks=other_keys),
        replace(use, banks={name: use.banks[name] for name in NAMES[:2]}),
        replace(use, history=b"1"),
        use.after(np.zeros(1, np.uint64)),
    ]

    pads = [keys["bank_a"].mask(np.zeros(8, np.int64), one) for one in uses]

    assert len(np.unique(np.concatenate(pads))) == 9 * len(uses)


def test_banks_that_were_told_different_totals_notice_it_in_the_next_step() -> None:
    keys, use = federation()
    total = added([one.mask(numbers(), use) for one in keys.values()])
    told = {name: total + np.uint64(name == "bank_b") for name in NAMES}
    following = {name: use.after(told[name]) for name in NAMES}

    next_total = added([keys[name].mask(numbers(), following[name]) for name in NAMES])

    for name in NAMES:
        with pytest.raises(ProtocolError, match="total of step 3 is not that"):
            keys[name].unmask(next_total, following[name])


@pytest.mark.parametrize("banks", [2, 3, 5])
def test_a_number_that_could_wrap_is_refused_and_the_largest_other_is_exact(banks: int) -> None:
    keys, use = federation(tuple(f"bank_{number}" for number in range(banks)))
    most = (2**63 - 1) // banks
    for sign in (1, -1):
        shown = [one.mask(np.array([sign * most]), use) for one in keys.values()]
        assert keys["bank_0"].unmask(added(shown), use).tolist() == [sign * most * banks]
        with pytest.raises(ProtocolError, match=f"with {banks} banks it may be ±{most:,} at most"):
            keys["bank_0"].mask(np.array([sign * (most + 1)]), use)


def test_only_whole_numbers_are_added() -> None:
    keys, use = federation()
    for wrong in (np.zeros(3), np.zeros(3, np.int32), np.zeros((3, 1), np.int64)):
        with pytest.raises(ProtocolError, match="whole numbers"):
            keys["bank_a"].mask(wrong, use)


def test_vectors_of_different_lengths_are_not_added() -> None:
    with pytest.raises(ProtocolError, match="different lengths: 2 and 3 numbers"):
        added([np.zeros(2, np.uint64), np.zeros(3, np.uint64)])


def test_a_bank_that_is_alone_or_has_another_key_or_an_impossible_partner_adds_nothing() -> None:
    keys, use = federation()
    for banks in ({"bank_a": use.banks["bank_a"]}, {**use.banks, "bank_a": use.banks["bank_b"]}):
        with pytest.raises(ProtocolError, match="this bank with its own key, and others"):
            keys["bank_a"].mask(numbers(), replace(use, banks=banks))
    for public in (bytes(KEY), b"short"):
        with pytest.raises(ProtocolError, match="bank_b has told no valid public key"):
            keys["bank_a"].mask(numbers(), replace(use, banks={**use.banks, "bank_b": public}))


def test_the_history_is_a_hash_of_all_totals() -> None:
    _, use = federation()
    first, second = np.arange(3, dtype=np.uint64), np.arange(4, dtype=np.uint64)
    digest = hashlib.sha256(hashlib.sha256(first.tobytes()).digest() + second.tobytes()).digest()
    assert use.after(first).after(second) == replace(use, step=4, history=digest)
