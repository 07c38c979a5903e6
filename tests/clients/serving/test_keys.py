"""Keys of clients."""

import stat
from pathlib import Path

import pytest

from clients.data.errors import DataError
from clients.serving.keys import FILE_NAME, Keys, new_key


def test_a_key_is_its_clients_until_there_is_a_new_one(tmp_path: Path) -> None:
    keys, first, other = Keys(tmp_path), new_key(tmp_path, "loans"), new_key(tmp_path, "web-shop")
    assert keys.client_of(first) == "loans"
    assert keys.client_of(other) == "web-shop"
    second = new_key(tmp_path, "loans")
    assert keys.client_of(first) is None
    assert keys.client_of(second) == "loans"
    assert keys.client_of(other) == "web-shop"


def test_the_file_has_no_key_and_is_for_its_user_alone(tmp_path: Path) -> None:
    key = new_key(tmp_path, "loans")
    text = (tmp_path / FILE_NAME).read_text("utf-8")
    assert key.partition(".")[2] not in text
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    # The same secret would have another hash: it is salted.
    assert len({new_key(tmp_path, "loans") for _ in range(3)}) == 3


@pytest.mark.parametrize("key", ["", ".", "loans", "loans.", "loans.x", "other.x", "\N{SNOWMAN}.x"])
def test_what_is_no_key_is_nobodys(tmp_path: Path, key: str) -> None:
    assert Keys(tmp_path).client_of(key) is None
    new_key(tmp_path, "loans")
    assert Keys(tmp_path).client_of(key) is None


@pytest.mark.parametrize("client", ["", "a b", "a.b", "x" * 51, "ü"])
def test_a_client_has_a_simple_name(tmp_path: Path, client: str) -> None:
    with pytest.raises(DataError, match="A client's name has up to 50 letters"):
        new_key(tmp_path, client)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("[loans]\nsalt = 3\n")
    with pytest.raises(DataError, match=r"clients\.toml: the lines of loans are not as siloscore serve"):
        Keys(tmp_path).client_of("loans.x")
