import secrets

import numpy as np
import pytest

from fl.encrypted_sums import wire
from fl.errors import ProtocolError

ARRAYS = {"a": np.arange(3), "b": np.zeros((2, 2), np.uint8)}
OFFSETS = np.array([0, 3])


def test_what_is_whole_and_expected_passes() -> None:
    message = wire.with_digest("numbers", ARRAYS, OFFSETS)
    wire.check_digest("numbers", message, OFFSETS)
    assert message.keys() == {*ARRAYS, "digest"}


@pytest.mark.parametrize(
    "changed",
    [
        {"a": np.arange(3) + 1},
        {"a": np.arange(4)},
        {"a": np.arange(3).reshape(1, 3)},
        {"a": np.arange(3, dtype=np.uint64)},
        {"c": np.zeros(0)},
        {"digest": np.zeros(32, np.uint8)},
        {"digest": np.zeros(31, np.uint8)},
    ],
)
def test_any_change_breaks_the_digest(changed: dict[str, np.ndarray]) -> None:
    message = wire.with_digest("numbers", ARRAYS, OFFSETS)
    with pytest.raises(ProtocolError, match="digest"):
        wire.check_digest("numbers", message | changed, OFFSETS)


def test_a_digest_serves_one_kind_and_one_context() -> None:
    message = wire.with_digest("numbers", ARRAYS, OFFSETS)
    for kind, context in [("sums", (OFFSETS,)), ("numbers", ()), ("numbers", (OFFSETS, OFFSETS))]:
        with pytest.raises(ProtocolError, match=f"The {kind} do not match"):
            wire.check_digest(kind, message, *context)


def test_digests_know_where_a_part_ends() -> None:
    digests = {wire.digest(*parts) for parts in [(b"ab", b"c"), (b"a", b"bc"), (b"abc",), (b"abc", b"")]}
    assert len(digests) == 4


def test_other_rows_or_groups_are_another_request() -> None:
    ticket, rows = secrets.token_bytes(32), np.array([4, 1, 2])
    names = {
        wire.regrouped(ticket, rows, OFFSETS),
        wire.regrouped(ticket, rows[::-1], OFFSETS),
        wire.regrouped(ticket, rows, np.array([0, 1, 3])),
        wire.regrouped(secrets.token_bytes(32), rows, OFFSETS),
    }
    assert len(names) == 4
    assert wire.regrouped(ticket, rows.astype(np.int32), OFFSETS) in names


@pytest.mark.parametrize(
    ("name", "dtype", "shape"),
    [("c", np.int64, (3,)), ("a", np.int32, (3,)), ("a", np.int64, (2,)), ("b", np.uint8, (None,))],
)
def test_arrays_of_another_form_are_refused(name: str, dtype: type, shape: tuple[int | None, ...]) -> None:
    assert wire.take(ARRAYS, "b", np.uint8, (None, 2)) is ARRAYS["b"]
    with pytest.raises(ProtocolError, match=f"lack '{name}'"):
        wire.take(ARRAYS, name, dtype, shape)
