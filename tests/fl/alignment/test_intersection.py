import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl.alignment import intersection
from fl.alignment.intersection import hash_to_points, match_points, new_exponent, raise_to
from fl.errors import ProtocolError

# The test vectors of ristretto255 that RFC 9496 took over: SHA-512 of the text, through the one-way map.
HASHED = {
    "Ristretto is traditionally a short shot of espresso coffee": (
        "3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46"
    ),
    "made with the normal amount of ground coffee but extracted with": (
        "f26e5b6f7d362d2d2a94c5d0e7602cb4773c95a2e5c31a64f133189fa76ed61b"
    ),
    "about half the amount of water in the same amount of time": (
        "006ccd2a9e6867e6a2c5cea83d3302cc9de128dd2a9a57dd8ee7b9d7ffe02826"
    ),
    "by using a finer grind.": "f8f0c87cf237953c5890aec3998169005dae3eca1fbb04548c635953c817f92a",
}
# RFC 9496, appendix A.1: the generator and its small multiples.
GENERATOR = "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"
MULTIPLES = {
    2: "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919",
    3: "94741f5d5d52755ece4f23f044ee27d5d1ea1e2bd196b462166b16152a9d0259",
}

ids_of = st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True, max_size=12)


def points(*encoded: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex("".join(encoded)), np.uint8).reshape(-1, 32)


def test_ids_become_points_as_the_standard_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intersection, "DOMAIN", b"")

    np.testing.assert_array_equal(hash_to_points(np.array(list(HASHED))), points(*HASHED.values()))


def test_the_points_of_this_protocol_are_of_no_use_to_another() -> None:
    text, standard = next(iter(HASHED.items()))
    assert (hash_to_points(np.array([text])) != points(standard)).any()


@pytest.mark.parametrize("factor", MULTIPLES)
def test_raising_is_scalar_multiplication_as_the_standard_says(factor: int) -> None:
    raised = raise_to(points(GENERATOR), factor.to_bytes(32, "little"))
    np.testing.assert_array_equal(raised, points(MULTIPLES[factor]))


@given(bank=ids_of, partner=ids_of)
@settings(max_examples=30)
def test_the_conversation_finds_the_intersection_of_the_ids(bank: list[str], partner: list[str]) -> None:
    a, b = new_exponent(), new_exponent()

    own = raise_to(raise_to(hash_to_points(np.array(bank, object)), a), b)
    theirs = raise_to(raise_to(hash_to_points(np.array(partner, object)), b), a)
    rows = match_points(own, theirs)

    assert rows.dtype == np.int32
    assert [partner[row] if row >= 0 else None for row in rows] == [
        name if name in partner else None for name in bank
    ]


def test_one_exponent_alone_tells_nothing_of_equal_ids() -> None:
    ids = np.array(["91310000123456789A", "91310000987654321B"])
    blinded = [raise_to(hash_to_points(ids), new_exponent()) for _ in range(2)]
    assert (match_points(*blinded) == -1).all()


@pytest.mark.parametrize(
    "bad",
    [bytes(32), b"\xff" * 32, b"\x01" + bytes(31)],
    ids=["the identity", "not canonical", "negative"],
)
def test_what_is_no_point_of_the_group_is_refused(bad: bytes) -> None:
    damaged = np.concatenate([points(GENERATOR), np.frombuffer(bad, np.uint8)[None]])
    with pytest.raises(ProtocolError, match="no point of the group"):
        raise_to(damaged, new_exponent())


@pytest.mark.parametrize(
    "bad",
    [np.zeros((2, 31), np.uint8), np.zeros((2, 32), np.int8), np.zeros(32, np.uint8)],
    ids=["short", "of another type", "flat"],
)
def test_what_has_not_the_form_of_points_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ProtocolError, match=r"must be \(None, 32\) of uint8"):
        raise_to(bad, new_exponent())


def test_a_business_that_a_party_holds_twice_is_refused() -> None:
    twice = points(GENERATOR, MULTIPLES[2], GENERATOR)
    with pytest.raises(ProtocolError, match="the same id twice"):
        match_points(points(GENERATOR), twice)


def test_exponents_are_never_the_same() -> None:
    assert len({new_exponent() for _ in range(10)}) == 10
