"""What every engine promises: exact sums in both directions, and nothing computed with what is not as it was sent."""

import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fl.encrypted_sums import (
    ENGINES,
    Wire,
    added,
    adds_up,
    new_owner,
    new_responder,
    restore_owner,
    sums_of_shares,
)
from fl.errors import ConfigError, ProtocolError

from .conftest import Request, assert_equal_sums, make_request, owner_for, requests, responder_for

GRADIENTS = ((-2048, 2048), (0, 512))
SMALL = make_request([5, 0, 9], [4, 1, 7], GRADIENTS)
EXAMPLES = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])


def revealed_to_owner(engine: str, request: Request) -> list[np.ndarray]:
    owner = owner_for(engine, request)
    responder = responder_for(engine, request, owner)
    encrypted, ticket = owner.encrypt(request.values, request.offsets, [request.bin_counts])
    reply = responder.sums(encrypted, request.offsets, request.bins, request.bin_counts)
    return owner.decrypt(reply, ticket, request.bin_counts)


def revealed_to_responder(engine: str, request: Request) -> list[np.ndarray]:
    owner = owner_for(engine, request)
    responder = responder_for(engine, request, owner)
    encrypted, ticket = owner.encrypt(request.values, request.offsets, [request.bin_counts])
    reply, mask = responder.masked_sums(encrypted, request.offsets, request.bins, request.bin_counts)
    return responder.unmask(owner.open_masked(reply, ticket, request.bin_counts), mask)


@given(requests())
@EXAMPLES
def test_sums_are_numpys(engine: str, request: Request) -> None:
    assert_equal_sums(revealed_to_owner(engine, request), request.by_numpy())


@given(requests(most_rows=100), st.integers(0, 2**32))
@EXAMPLES
def test_sums_that_are_not_wanted_are_zero(engine: str, request: Request, seed: int) -> None:
    shape = len(request.offsets) - 1, request.bin_counts.sum()
    wanted = np.random.default_rng(seed).random(shape) < 0.5
    owner = owner_for(engine, request)
    encrypted, ticket = owner.encrypt(request.values, request.offsets, [request.bin_counts])
    asked = encrypted, request.offsets, request.bins, request.bin_counts
    reply = responder_for(engine, request, owner).sums(*asked, wanted)

    sums = owner.decrypt(reply, ticket, request.bin_counts, wanted)

    assert_equal_sums(sums, request.by_numpy(wanted))
    if not wanted.all():
        with pytest.raises(ProtocolError, match="digest"):
            owner.decrypt(reply, ticket, request.bin_counts)
        with pytest.raises(ValueError, match="Wanted sums"):
            responder_for(engine, request, owner).sums(*asked, wanted[:, 1:])


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "plain"])
def test_a_reply_is_as_long_whatever_is_wanted(engine: str) -> None:
    request = make_request([40, 90], [30, 30, 30], GRADIENTS)
    owner = owner_for(engine, request)
    responder = responder_for(engine, request, owner)
    encrypted, _ = owner.encrypt(request.values, request.offsets, [request.bin_counts])
    asked = encrypted, request.offsets, request.bins, request.bin_counts
    few = np.zeros((2, 90), bool)
    few[1, :5] = True

    whole, part, none = (
        responder.sums(*asked, wanted)["replies"] for wanted in (None, few, np.zeros_like(few))
    )

    assert whole.shape == part.shape == none.shape
    # What fills it up looks like ciphertexts: all bits are set as often as not.
    if engine == "lattice":
        assert abs(np.unpackbits(none).mean() - 0.5) < 5 * 0.5 / (8 * len(none)) ** 0.5


@given(requests(most_rows=100))
@EXAMPLES
def test_masked_sums_are_numpys(engine: str, request: Request) -> None:
    assert_equal_sums(revealed_to_responder(engine, request), request.by_numpy())


@pytest.mark.parametrize("reveal", [revealed_to_owner, revealed_to_responder])
@pytest.mark.parametrize("fill", ["least", "greatest"])
@pytest.mark.parametrize(
    ("sizes", "bin_counts", "ranges"),
    [
        ([1], [1], ((0, 1),)),
        ([1], [2], ((-(2**50), 2**50 - 1),)),  # all 51 bits of the lattice's plaintext
        ([1023], [3], ((-(2**30), 2**30), (0, 2**9))),  # in two planes
        ([600], [33, 2], ((-(2**15), 2**15), (0, 2**15))),
        ([0], [3], GRADIENTS),
        ([0, 0, 1], [256], GRADIENTS),
        ([7], [], GRADIENTS),
        ([4], [3, 3], ((0, 0),)),
    ],
)
def test_extremes_are_summed_exactly(
    engine: str,
    reveal: Callable[[str, Request], list[np.ndarray]],
    sizes: list[int],
    bin_counts: list[int],
    ranges: tuple[tuple[int, int], ...],
    fill: str,
) -> None:
    request = make_request(sizes, bin_counts, ranges, fill=fill)
    assert_equal_sums(reveal(engine, request), request.by_numpy())


def test_one_encryption_serves_several_responders(engine: str, meet: Callable) -> None:
    one, other = make_request([60, 40], [32, 5], GRADIENTS), make_request([60, 40], [9], GRADIENTS, seed=2)
    owner, responder = meet(one)
    second = responder_for(engine, one, owner)
    counts = [one.bin_counts, other.bin_counts]

    encrypted, ticket = owner.encrypt(one.values, one.offsets, counts)
    replies = [
        asked.sums(encrypted, one.offsets, request.bins, request.bin_counts)
        for asked, request in [(responder, one), (second, other)]
    ]

    for reply, request in zip(replies, (one, other._replace(values=one.values)), strict=True):
        assert_equal_sums(owner.decrypt(reply, ticket, request.bin_counts), request.by_numpy())


def test_a_responder_answers_many_requests(meet: Callable) -> None:
    root, repeated = (
        make_request([300], [32, 5], GRADIENTS),
        make_request([100, 50], [32, 5], GRADIENTS, seed=2),
    )
    owner, responder = meet(root)

    # The root comes again with other numbers, other bins come in between: nothing kept may be mistaken for another.
    for request in (
        root,
        repeated,
        root._replace(values=root.values[::-1].copy()),
        root._replace(bins=root.bins // 2),
    ):
        encrypted, ticket = owner.encrypt(request.values, request.offsets, [request.bin_counts])
        reply = responder.sums(encrypted, request.offsets, request.bins, request.bin_counts)
        assert_equal_sums(owner.decrypt(reply, ticket, request.bin_counts), request.by_numpy())


def test_an_owner_is_restored_between_messages(engine: str, meet: Callable) -> None:
    owner, responder = meet(SMALL)
    encrypted, ticket = owner.encrypt(SMALL.values, SMALL.offsets, [SMALL.bin_counts])
    reply = responder.sums(encrypted, SMALL.offsets, SMALL.bins, SMALL.bin_counts)

    restored = restore_owner(engine, owner.secret())

    assert_equal_sums(restored.decrypt(reply, ticket, SMALL.bin_counts), SMALL.by_numpy())
    for name, array in owner.public_key().items():
        np.testing.assert_array_equal(restored.public_key()[name], array)


def test_rows_sent_once_can_be_grouped_anew(meet: Callable) -> None:
    owner, responder = meet(SMALL)
    encrypted, ticket = owner.encrypt(SMALL.values, SMALL.offsets, [SMALL.bin_counts])
    rows, offsets = np.array([13, 2, 3, 0]), np.array([0, 1, 4])
    if not owner.row_wise:
        with pytest.raises(ProtocolError, match="anew"):
            owner.regroup(ticket, rows, offsets)
        with pytest.raises(ProtocolError, match="anew"):
            responder.regroup(encrypted, SMALL.offsets, rows, offsets)
        return

    regrouped = responder.regroup(encrypted, SMALL.offsets, rows, offsets)
    reply = responder.sums(regrouped, offsets, SMALL.bins[rows], SMALL.bin_counts)

    chosen = SMALL._replace(values=SMALL.values[rows], bins=SMALL.bins[rows], offsets=offsets)
    assert_equal_sums(
        owner.decrypt(reply, owner.regroup(ticket, rows, offsets), SMALL.bin_counts), chosen.by_numpy()
    )
    with pytest.raises(ProtocolError, match="digest"):
        owner.decrypt(reply, ticket, SMALL.bin_counts)
    with pytest.raises(ProtocolError, match="digest"):
        owner.decrypt(reply, owner.regroup(ticket, rows[::-1], offsets), SMALL.bin_counts)


def test_masked_sums_tell_the_owner_nothing(engine: str, meet: Callable) -> None:
    owner, responder = meet(SMALL)
    encrypted, ticket = owner.encrypt(SMALL.values, SMALL.offsets, [SMALL.bin_counts])
    opened = []
    for _ in range(2):
        reply, _ = responder.masked_sums(encrypted, SMALL.offsets, SMALL.bins, SMALL.bin_counts)
        (content,) = (
            value
            for name, value in owner.open_masked(reply, ticket, SMALL.bin_counts).items()
            if name != "digest"
        )
        opened.append(content)

    # The same sums twice: what the owner sees has nothing in common.
    repeated = {"plain": 0.05, "lattice": 0.05, "paillier": 0.1}[engine]
    assert (opened[0] == opened[1]).mean() < repeated


@pytest.mark.parametrize("engine", ["lattice", "plain"])
@pytest.mark.parametrize("fill", ["any", "least", "greatest"])
def test_shares_of_several_owners_add_up_to_the_sums_of_all(engine: str, fill: str) -> None:
    ranges, counts = ((-2048, 2048),), np.array([4, 1, 7])
    parts = [make_request([rows], [4, 1, 7], ranges, rows, fill) for rows in (40, 1, 90)]
    shares, masks = [], []
    for part in parts:
        owner = new_owner(engine, 131, ranges)
        responder = new_responder(engine, 131, ranges, owner.public_key())
        encrypted, ticket = owner.encrypt(part.values, part.offsets, [counts])
        reply, mask = responder.masked_sums(encrypted, part.offsets, part.bins, counts)
        shares.append(owner.share(reply, ticket, counts))
        masks.append(responder.mask_of(mask))
    masks_of_all = added(masks, 131, ranges)
    expected = [np.sum(of_column, axis=0) for of_column in zip(*map(Request.by_numpy, parts), strict=True)]
    for total in (added(shares, 131, ranges), added([sum(shares)], 131, ranges)):
        assert_equal_sums(sums_of_shares(total, masks_of_all, 131, ranges, counts), expected)
    with pytest.raises(ProtocolError, match="as many whole numbers"):
        added([shares[0], masks[1][:-1]], 131, ranges)
    with pytest.raises(ProtocolError, match="must be 12 whole numbers"):
        sums_of_shares(total[:-1], masks_of_all, 131, ranges, counts)
    # Without the mask of a single owner there is hardly a chance that all numbers could be sums.
    with pytest.raises(ProtocolError, match="larger than the rows allow"):
        sums_of_shares(total, added(masks[:2], 131, ranges), 131, ranges, np.array([12]))


def test_masks_of_an_engine_whose_moduli_differ_do_not_add_up(engine: str, meet: Callable) -> None:
    assert adds_up(engine) == (engine != "paillier")
    owner, responder = meet(SMALL)
    encrypted, ticket = owner.encrypt(SMALL.values, SMALL.offsets, [SMALL.bin_counts])
    reply, _ = responder.masked_sums(encrypted, SMALL.offsets, SMALL.bins, SMALL.bin_counts)
    if engine == "paillier":
        with pytest.raises(ConfigError, match="choose lattice or plain"):
            owner.share(reply, ticket, SMALL.bin_counts)


# What crosses in a request for sums, in either direction, with a way to hand it on.
def conversation(owner, responder, masked: bool) -> dict[str, tuple[Wire, Callable[[Wire], object]]]:
    counts, offsets, bins = SMALL.bin_counts, SMALL.offsets, SMALL.bins
    encrypted, ticket = owner.encrypt(SMALL.values, offsets, [counts])
    if masked:
        reply, mask = responder.masked_sums(encrypted, offsets, bins, counts)
        return {
            "encrypted": (encrypted, lambda wire: responder.masked_sums(wire, offsets, bins, counts)),
            "reply": (reply, lambda wire: owner.open_masked(wire, ticket, counts)),
            "opened": (owner.open_masked(reply, ticket, counts), lambda wire: responder.unmask(wire, mask)),
        }
    reply = responder.sums(encrypted, offsets, bins, counts)
    return {
        "encrypted": (encrypted, lambda wire: responder.sums(wire, offsets, bins, counts)),
        "reply": (reply, lambda wire: owner.decrypt(wire, ticket, counts)),
    }


def damaged(wire: Wire) -> list[Wire]:
    """Every array with a byte changed, cut short, in another form, absent."""
    found = []
    for name, array in wire.items():
        raw = bytearray(array.tobytes())
        for place in {0, len(raw) // 2, len(raw) - 1} if raw else ():
            changed = bytearray(raw)
            changed[place] ^= 16
            found.append(wire | {name: np.frombuffer(bytes(changed), array.dtype).reshape(array.shape)})
        found.append(wire | {name: array[:-1]})
        found.append(wire | {name: array.reshape(1, *array.shape)})
        found.append(wire | {name: array.astype(np.float32)})
        found.append({other: kept for other, kept in wire.items() if other != name})
    return [*found, wire | {"more": np.zeros(1)}, {}]


@pytest.mark.parametrize("masked", [False, True])
def test_what_was_damaged_on_the_way_is_refused(meet: Callable, masked: bool) -> None:
    for wire, hand_on in conversation(*meet(SMALL), masked).values():
        hand_on(wire)
        for changed in damaged(wire):
            with pytest.raises(ProtocolError):
                hand_on(changed)


@pytest.mark.parametrize("masked", [False, True])
def test_what_belongs_to_an_earlier_request_is_refused(meet: Callable, masked: bool) -> None:
    owner, responder = meet(SMALL)
    first, second = (conversation(owner, responder, masked) for _ in range(2))

    for part in first.keys() - {"encrypted"}:
        with pytest.raises(ProtocolError, match="another request"):
            second[part][1](first[part][0])
    # A request replayed to the responder is answered as that request, which the owner is no longer waiting for.
    reply = second["encrypted"][1](first["encrypted"][0])
    with pytest.raises(ProtocolError, match="another request"):
        second["reply"][1](reply[0] if masked else reply)


@pytest.mark.parametrize("engine", ["lattice", "paillier"])
@pytest.mark.parametrize("masked", [False, True])
def test_what_was_made_under_another_key_is_refused(engine: str, masked: bool) -> None:
    one, other = (owner_for(engine, SMALL, key) for key in range(2))
    mine, theirs = (
        conversation(owner, responder_for(engine, SMALL, owner), masked) for owner in (one, other)
    )

    for part in mine:
        with pytest.raises(ProtocolError, match="another key"):
            mine[part][1](theirs[part][0])


def test_other_groups_and_columns_than_asked_for_are_refused(meet: Callable) -> None:
    owner, responder = meet(SMALL)
    encrypted, ticket = owner.encrypt(SMALL.values, SMALL.offsets, [SMALL.bin_counts])
    reply = responder.sums(encrypted, SMALL.offsets, SMALL.bins, SMALL.bin_counts)

    with pytest.raises(ProtocolError, match="other rows"):
        responder.sums(encrypted, np.array([0, 4, 5, 14]), SMALL.bins, SMALL.bin_counts)
    with pytest.raises(ProtocolError, match="other rows or columns"):
        owner.decrypt(reply, ticket, SMALL.bin_counts[::-1])
    with pytest.raises(ProtocolError, match="masked"):
        owner.open_masked(reply, ticket, SMALL.bin_counts)


def test_a_damaged_secret_is_refused(engine: str) -> None:
    secret = owner_for(engine, SMALL).secret()
    for name in secret:
        with pytest.raises(ProtocolError):
            restore_owner(engine, {other: kept for other, kept in secret.items() if other != name})


def test_bins_that_do_not_fit_are_refused(meet: Callable) -> None:
    owner, responder = meet(SMALL)
    encrypted, _ = owner.encrypt(SMALL.values, SMALL.offsets, [SMALL.bin_counts])

    for bins, counts in [
        (SMALL.bins + np.uint8(2), SMALL.bin_counts),
        (SMALL.bins[1:], SMALL.bin_counts),
        (SMALL.bins.astype(np.int64), SMALL.bin_counts),
        (SMALL.bins, SMALL.bin_counts[1:]),
        (SMALL.bins, np.array([4, -1, 7])),
    ]:
        with pytest.raises(ValueError, match=r"[Bb]in"):
            responder.sums(encrypted, SMALL.offsets, bins, counts)


@pytest.mark.parametrize(
    ("values", "offsets"),
    [
        (np.array([[2049, 0]]), np.array([0, 1])),
        (np.array([[0, -1]]), np.array([0, 1])),
        (np.array([[np.iinfo(np.int64).min, 0]]), np.array([0, 1])),
        (np.zeros((15, 2), np.int64), np.array([0, 15])),
        (np.zeros((2, 3), np.int64), np.array([0, 2])),
        (np.zeros((2, 2), np.float64), np.array([0, 2])),
        (np.zeros((2, 2), np.int64), np.array([0, 1])),
        (np.zeros((2, 2), np.int64), np.array([0, 2, 1, 2])),
    ],
)
def test_numbers_that_break_the_promise_are_not_encrypted(
    meet: Callable, values: np.ndarray, offsets: np.ndarray
) -> None:
    owner, _ = meet(SMALL)
    with pytest.raises(ValueError, match=r"summed|rows"):
        owner.encrypt(values, offsets, [SMALL.bin_counts])


@pytest.mark.parametrize(
    ("engine", "rows", "ranges"),
    [
        ("lattice", 1, ((-(2**50), 2**50),)),
        ("lattice", 2**30, ((0, 2**21),)),
        ("paillier", 2**40, ((-(2**22), 2**22),) * 40),
        *((engine, 2**40, ((0, 2**23),)) for engine in ENGINES),
        *((engine, 3, ((1, 4),)) for engine in ENGINES),
        *((engine, 0, ((0, 4),)) for engine in ENGINES),
        *((engine, 5, ()) for engine in ENGINES),
    ],
)
def test_sums_that_could_overflow_are_refused_before_there_is_a_key(
    engine: str, rows: int, ranges: tuple[tuple[int, int], ...]
) -> None:
    with pytest.raises(ConfigError):
        new_owner(engine, rows, ranges)


def test_both_ends_may_keep_offsets_and_counts_in_other_integers(meet: Callable) -> None:
    owner, responder = meet(SMALL)
    encrypted, ticket = owner.encrypt(SMALL.values, SMALL.offsets.astype(np.int32), [SMALL.bin_counts])
    reply = responder.sums(encrypted, SMALL.offsets, SMALL.bins, SMALL.bin_counts.astype(np.int16))

    assert_equal_sums(owner.decrypt(reply, ticket, SMALL.bin_counts), SMALL.by_numpy())


def test_an_engine_does_not_take_the_key_of_another() -> None:
    keys = {engine: owner_for(engine, SMALL).public_key() for engine in ENGINES}
    for engine, key in keys.items():
        for other in set(ENGINES) - {engine}:
            with pytest.raises(ProtocolError):
                new_responder(other, SMALL.rows, GRADIENTS, key)


def test_an_engine_without_its_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("fl.encrypted_sums.paillier")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "gmpy2", None)
    with pytest.raises(ConfigError, match="needs the package gmpy2"):
        new_owner("paillier", 1, GRADIENTS)


def test_unknown_engines_are_refused() -> None:
    for make in (lambda: new_owner("rot13", 1, GRADIENTS), lambda: new_responder("rot13", 1, GRADIENTS, {})):
        with pytest.raises(ConfigError, match="lattice, paillier, plain"):
            make()
    with pytest.raises(ConfigError, match="lattice, paillier, plain"):
        restore_owner("rot13", {})
    with pytest.raises(ConfigError, match="key length"):
        new_owner("lattice", 1, GRADIENTS, key_bits=2048)
