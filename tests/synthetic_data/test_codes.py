"""Unified Social Credit Codes."""

import numpy as np
import pytest

from synthetic_data.codes import ALPHABET, credit_codes


def is_valid(code: str) -> bool:
    """Whether the code has 18 known characters and the right check character (GB 32100-2015)."""
    if len(code) != 18 or any(character not in ALPHABET for character in code):
        return False
    values = [ALPHABET.index(character) for character in code]
    return sum(value * 3**place for place, value in enumerate(values[:17])) % 31 == -values[17] % 31


def draw(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return credit_codes(count, np.full(count, 330106), np.arange(count) % 2 == 0, rng)


def test_codes_are_valid_and_different() -> None:
    codes = draw(5000)
    assert len(set(codes)) == 5000
    assert all(map(is_valid, codes))


def test_codes_tell_division_and_kind_of_body() -> None:
    codes = draw(2)
    assert [code[:8] for code in codes] == ["92330106", "91330106"]


@pytest.mark.parametrize("code", ["91350100M000100Y43", "91440300708461136T"])
def test_real_codes_are_valid(code: str) -> None:
    assert is_valid(code)


@pytest.mark.parametrize("code", ["91350100M000100Y44", "91350100M000100Y4", "91350100M000100I43", ""])
def test_wrong_codes_are_not(code: str) -> None:
    assert not is_valid(code)


def test_every_single_substitution_is_noticed() -> None:
    code = draw(1)[0]
    for place in range(18):
        other = "1" if code[place] != "1" else "2"
        assert not is_valid(code[:place] + other + code[place + 1 :])


def test_organisation_check_follows_its_own_standard() -> None:
    body = "91350100M000100Y43"[8:17]
    digits = [int(character, 36) for character in body[:8]]
    weights = [3, 7, 9, 10, 5, 8, 4, 2]
    check = (11 - sum(d * w for d, w in zip(digits, weights, strict=True)) % 11) % 11
    assert "0123456789X"[check] == body[8]


def test_the_same_seed_gives_the_same_codes() -> None:
    assert (draw(10, seed=4) == draw(10, seed=4)).all()
    assert (draw(10, seed=4) != draw(10, seed=5)).any()
