"""What `unpack` makes of bytes that no `pack` ever wrote: a `ProtocolError`, whatever they are."""

import contextlib
import io
import pickle
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from fl.errors import ProtocolError
from fl.messages import ARRAYS, VALUES, pack, unpack


@dataclass(frozen=True)
class One:
    """A message with one array."""

    array: np.ndarray


@dataclass(frozen=True)
class Many:
    """A message with all that has a list."""

    names: tuple[str, ...]
    counts: tuple[int, ...]
    by_party: Mapping[str, np.ndarray]
    metrics: Mapping[str, float]


def saved(array: np.ndarray, **options: bool) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def with_header(header: str, content: bytes = b"") -> bytes:
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def zipped() -> bytes:
    file = io.BytesIO()
    np.savez(file, x=np.ones(2))
    return file.getvalue()


def arriving(data: bytes) -> RecordDict:
    array = Array("float64", (1,), "numpy.ndarray", data)
    return RecordDict({ARRAYS: ArrayRecord({"array": array}), VALUES: ConfigRecord({})})


class Trap:
    """Unpickling it would raise."""

    def __reduce__(self) -> tuple:
        return (pytest.fail, ("a pickle was opened",))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        pickle.dumps(Trap()),
        saved(np.array([Trap()], dtype=object), allow_pickle=True),
        zipped(),
        saved(np.ones(3))[:-1],
        saved(np.ones(3)) + b"\0",
        saved(np.array(["2020-01"], "datetime64[M]")),
        saved(np.zeros(2, [("a", "i4"), ("b", "f8")])),
        saved(np.ones(2, complex)),
        with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,)}"),
        with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}", bytes(8)),
        with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (2, -1, -1)}", bytes(16)),
        with_header("{'descr': '<f8', 'shape': (1,)}", bytes(8)),
        with_header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", bytes(8)),
        with_header("__import__('os').abort()"),
        with_header("(" * 5_000),
        with_header("{" * 90 + "1"),
        with_header("'unclosed"),
        b"\x93NUMPY\x03\x00" + bytes(40),
        b"\x93NUMPY\xff\xff" + bytes(40),
    ],
)
def test_only_plain_arrays_of_the_stated_length_are_read(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="'array' of One is not a valid array"):
        unpack(One, arriving(data))


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        unpack(One, arriving(data))


@given(st.integers(0, 200), st.binary(min_size=1, max_size=6))
def test_damaged_arrays_are_refused_or_read_as_an_array(place: int, damage: bytes) -> None:
    data = bytearray(saved(np.arange(6.0).reshape(2, 3)))
    data[place : place + len(damage)] = damage
    with contextlib.suppress(ProtocolError):
        assert isinstance(unpack(One, arriving(bytes(data))).array, np.ndarray)


def test_what_is_read_may_be_written_to_and_shares_no_memory() -> None:
    data = saved(np.zeros(3))
    first, second = (unpack(One, arriving(data)).array for _ in range(2))
    first[0] = 1
    assert second[0] == 0


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (2, 3)])
def test_every_shape_comes_through(shape: tuple[int, ...], order: str) -> None:
    array = np.asarray(np.ones(shape), order=order)
    np.testing.assert_array_equal(unpack(One, arriving(saved(array))).array, array)


HONEST = Many(("a", "b"), (1, 2), {"tax": np.ones(2)}, {"auc": 0.7})


@pytest.mark.parametrize(
    "spoiled",
    [
        {"names": "ab"},
        {"names": 5},
        {"names": [1, 2]},
        {"counts": ["1"]},
        {"counts": [1.0]},
        {"counts": [True]},
        {"by_party": "tax"},
        {"by_party": ["tax", "tax"]},
        {"by_party": ["tax", "supply"]},
        {"by_party": []},
        {"by_party": [7]},
        {"metrics": ["auc", "ks"]},
        {"metrics": 3.0},
        {"metrics/values": []},
        {"metrics/values": ["0.7"]},
        {"metrics": ["auc", "auc"], "metrics/values": [0.1, 0.2]},
    ],
)
def test_lists_and_names_have_their_declared_form(spoiled: dict) -> None:
    record = pack(HONEST)
    record[VALUES] = ConfigRecord(dict(record[VALUES]) | spoiled)
    with pytest.raises(ProtocolError):
        unpack(Many, record)


@pytest.mark.parametrize("part", [ARRAYS, VALUES])
def test_a_part_of_the_wrong_kind_is_refused(part: str) -> None:
    record = pack(HONEST)
    del record[part]
    with pytest.raises(ProtocolError, match="without its part"):
        unpack(Many, record)
    record[part] = ConfigRecord({}) if part == ARRAYS else ArrayRecord({})
    with pytest.raises(ProtocolError, match="without its part"):
        unpack(Many, record)
