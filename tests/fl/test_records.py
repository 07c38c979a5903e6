"""The codec: what is encoded comes back, and bytes that it never wrote are refused."""

import io
import pickle
import tracemalloc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fl.errors import ProtocolError
from fl.records import Array, decode, encode


@dataclass(frozen=True)
class One:
    """A record with one array."""

    array: Array


@dataclass(frozen=True)
class Everything:
    """A record with a field of every kind."""

    flag: bool
    count: int
    share: float
    text: str
    raw: bytes
    array: Array
    names: tuple[str, ...]
    numbers: list[int]
    parts: tuple[One, ...]
    part: One
    array_or_none: Array | None
    part_or_none: One | None
    by_party: Mapping[str, Array]
    by_party_and_column: Mapping[str, Mapping[str, Array]]
    parts_by_party: Mapping[str, One]
    metrics: Mapping[str, float]


# NumPy's texts of fixed width cannot tell a trailing NUL from their padding.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
shapes = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
dtypes = [
    *(
        np.float64,
        np.float32,
        np.float16,
        np.int64,
        np.int32,
        np.int8,
        np.uint64,
        np.uint16,
        np.uint8,
        np.bool_,
    ),
    *(">f8", ">i4", "datetime64[M]", "datetime64[s]"),
]
any_array = st.one_of(
    *(arrays.arrays(kind, shapes) for kind in dtypes),
    arrays.arrays("U4", shapes, elements=st.text("业ab", max_size=4)),
    arrays.arrays(">U2", shapes, elements=st.text("业ab", max_size=2)),
)
whole = st.integers(-(2**63), 2**64 - 1)
numbers = st.floats(allow_nan=False)
parts = st.builds(One, any_array)
everything = st.builds(
    Everything,
    flag=st.booleans(),
    count=whole,
    share=numbers,
    text=texts,
    raw=st.binary(max_size=8),
    array=any_array,
    names=st.lists(texts, max_size=3).map(tuple),
    numbers=st.lists(whole, max_size=3),
    parts=st.lists(parts, max_size=3).map(tuple),
    part=parts,
    array_or_none=st.none() | any_array,
    part_or_none=st.none() | parts,
    by_party=st.dictionaries(texts, any_array, max_size=3),
    by_party_and_column=st.dictionaries(texts, st.dictionaries(texts, any_array, max_size=2), max_size=3),
    parts_by_party=st.dictionaries(texts, parts, max_size=3),
    metrics=st.dictionaries(texts, numbers, max_size=3),
)


def assert_same(found: Any, sent: Any) -> None:
    """Raises AssertionError unless both are equal to the type, the dtype, the shape and the order of names."""
    assert type(found) is type(sent)
    if isinstance(sent, np.ndarray):
        assert (found.dtype, found.shape) == (sent.dtype, sent.shape)
        np.testing.assert_array_equal(found, sent)
    elif isinstance(sent, One | Everything):
        assert_same(vars(found), vars(sent))
    elif isinstance(sent, dict):
        assert list(found) == list(sent)
        assert_same(list(found.values()), list(sent.values()))
    elif isinstance(sent, tuple | list):
        assert len(found) == len(sent)
        for one, other in zip(found, sent, strict=True):
            assert_same(one, other)
    else:
        assert found == sent


@given(sent=everything)
def test_a_record_comes_back_as_it_was(sent: Everything) -> None:
    assert_same(decode(Everything, encode(sent)), sent)


@given(record=everything)
def test_equal_records_have_equal_bytes(record: Everything) -> None:
    assert encode(decode(Everything, encode(record))) == encode(record)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (3, 0), (2, 3), (1,) * 32])
def test_every_shape_comes_through(shape: tuple[int, ...], order: str) -> None:
    array = np.asarray(np.ones(shape), order=order)
    assert_same(decode(One, encode(One(array))).array, array)


def test_an_array_that_is_a_view_arrives_whole() -> None:
    view = np.arange(12).reshape(3, 4)[:, ::2].T
    np.testing.assert_array_equal(decode(One, encode(One(view))).array, view)


@pytest.mark.parametrize("array", [np.array(["", ""]), np.array(""), np.empty(0, "U0")])
def test_texts_that_are_all_empty_come_through(array: Array) -> None:
    again = decode(One, encode(One(array))).array
    assert again.shape == array.shape
    np.testing.assert_array_equal(again, array)


def test_numbers_of_numpy_become_plain_ones() -> None:
    @dataclass(frozen=True)
    class Plain:
        flag: bool
        count: int
        share: float
        text: str

    again = decode(Plain, encode(Plain(np.bool_(True), np.int64(3), np.float32(0.5), np.str_("业"))))
    assert_same(vars(again), {"flag": True, "count": 3, "share": 0.5, "text": "业"})


def test_what_is_read_may_be_written_to_and_shares_no_memory() -> None:
    content = encode(One(np.zeros(3)))
    first, second = (decode(One, content).array for _ in range(2))
    first[0] = 1
    assert second[0] == 0


# What may not be encoded.


@pytest.mark.parametrize(
    "array",
    [
        np.array([{}]),
        np.array(["a", None], object),
        np.zeros(2, [("a", "i4"), ("b", "f8")]),
        np.ones(2, complex),
        np.array([b"x"]),
        np.array([1], "timedelta64[s]"),
    ],
    ids=lambda array: str(array.dtype),
)
def test_an_array_of_anything_but_plain_values_is_not_encoded(array: Array) -> None:
    with pytest.raises(TypeError, match="may not be part of a record"):
        encode(One(array))


@dataclass(frozen=True)
class Mixed:
    """A record of whose fields a test replaces one."""

    flag: bool = False
    count: int = 1
    share: float = 0.5
    text: str = "a"
    raw: bytes = b"a"
    names: tuple[str, ...] = ("a",)
    metrics: Mapping[str, float] | None = None
    part: One | None = None


@pytest.mark.parametrize(
    "wrong",
    [
        {"flag": 1},
        {"count": True},
        {"count": 1.0},
        {"count": "1"},
        {"share": "0.5"},
        {"share": True},
        {"text": b"a"},
        {"text": None},
        {"raw": 5},
        {"raw": "a"},
        {"names": "ab"},
        {"names": (1,)},
        {"metrics": [("auc", 0.7)]},
        {"metrics": {1: 0.7}},
        {"part": Mixed()},
    ],
    ids=str,
)
def test_a_field_of_another_type_than_declared_is_not_encoded(wrong: dict) -> None:
    decode(Mixed, encode(Mixed()))
    with pytest.raises(TypeError):
        encode(Mixed(**wrong))


@pytest.mark.parametrize(
    "hint", [object, Any, int | str, tuple[int, str], Mapping[int, str], set[int]], ids=str
)
def test_a_type_that_says_too_little_may_not_be_declared(hint: Any) -> None:
    @dataclass(frozen=True)
    class Undeclarable:
        anything: hint

    with pytest.raises(TypeError, match="may not be part of a record"):
        encode(Undeclarable(1))


# What is not decoded.


def array_bytes(dtype: Any, shape: Any, content: Any, *more: Any) -> bytes:
    return msgspec.msgpack.encode({"array": [dtype, shape, content, *more]})


class Trap:
    """Unpickling it would fail the test."""

    def __reduce__(self) -> tuple:
        return (pytest.fail, ("a pickle was opened",))


def saved_with_pickle() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Trap()], dtype=object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        pickle.dumps(Trap()),
        saved_with_pickle(),
        array_bytes("|O", (1,), pickle.dumps(Trap())),
        array_bytes("|O", (1,), bytes(8)),
        array_bytes("O", (1,), bytes(8)),
        array_bytes("|V12", (1,), bytes(12)),
        array_bytes("i4,f8", (1,), bytes(12)),
        array_bytes("(2,)f8", (1,), bytes(16)),
        array_bytes("[('a', '<i4'), ('b', '<f8')]", (1,), bytes(12)),
        array_bytes("<c16", (1,), bytes(16)),
        array_bytes("<m8[s]", (1,), bytes(8)),
        array_bytes("|S3", (1,), bytes(3)),
        array_bytes("<U0", (1,), b""),
        array_bytes("<U0", (10**8,), b""),
        array_bytes("|V0", (5,), b""),
        array_bytes("<f3", (1,), bytes(3)),
        array_bytes("<M8[zz]", (1,), bytes(8)),
        array_bytes("", (1,), bytes(8)),
        array_bytes("__import__('os').abort()", (1,), bytes(8)),
        array_bytes("(" * 5_000, (1,), bytes(8)),
        array_bytes("<f8", (10**15,), b""),
        array_bytes("<f8", (2,), bytes(8)),
        array_bytes("<f8", (2,), bytes(17)),
        array_bytes("<f8", (2**62, 2**62, 0), b""),
        array_bytes("<f8", (10**12, 0), b""),
        array_bytes("<f8", (0, 10**12), b""),
        array_bytes("<f8", (-1,), bytes(8)),
        array_bytes("<f8", (2, -1, -1), bytes(16)),
        array_bytes("<f8", (0, -1), b""),
        array_bytes("<f8", (1,) * 65, bytes(8)),
        array_bytes("<f8", (1.0,), bytes(8)),
        array_bytes("<f8", (True,), bytes(8)),
        array_bytes("<f8", 1, bytes(8)),
        array_bytes("<f8", (1,), "texttext"),
        array_bytes("<f8", (1,), bytes(8), 1),
        array_bytes(8, (1,), bytes(8)),
        array_bytes("<U1", (1,), b"\xff" * 4),
        array_bytes(">U1", (1,), b"\0\x11\0\0"),
        array_bytes("|b1", (2,), b"\1\2"),
        msgspec.msgpack.encode({"array": ["<f8", (1,)]}),
        msgspec.msgpack.encode({"array": None}),
        msgspec.msgpack.encode({"array": bytes(8)}),
        msgspec.msgpack.encode({}),
        msgspec.msgpack.encode([["<f8", (1,), bytes(8)]]),
        msgspec.msgpack.encode({"array": ["<f8", (1,), bytes(8)], "labels": 1}),
        encode(One(np.ones(3)))[:-1],
        encode(One(np.ones(3))) + b"\0",
    ],
)
def test_only_plain_arrays_of_the_stated_length_are_read(content: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(One, content)


def test_an_empty_array_may_have_as_many_rows_as_its_message_has_bytes() -> None:
    @dataclass(frozen=True)
    class Table:
        numeric: Array
        known: Array

    sent = Table(np.empty((100_000, 0)), np.ones(100_000, bool))
    assert_same(vars(decode(Table, encode(sent))), vars(sent))


@dataclass(frozen=True)
class Counted:
    """A record whose fields have lengths."""

    names: tuple[str, ...] = ()
    shares: Mapping[str, float] | None = None
    parts: tuple[One, ...] = ()
    deep: Mapping[str, Mapping[str, Array]] | None = None
    array: Array | None = None


def counted(**raw: bytes) -> bytes:
    """A `Counted` of which some fields are these bytes."""
    fields = {"names": b"\x90", "shares": b"\xc0", "parts": b"\x90", "deep": b"\xc0", "array": b"\xc0"}
    told = [msgspec.msgpack.encode(name) + content for name, content in (fields | raw).items()]
    return bytes([0x80 + len(told)]) + b"".join(told)


def length(kind: int, count: int) -> bytes:
    """The head of a MessagePack array (0xDD), mapping (0xDF), text (0xDB) or binary (0xC6) of that length."""
    return bytes([kind]) + count.to_bytes(4, "big")


MANY = 2_000_000
EMPTY_ONE = b"\x81\xa5array\x93\xa3<f8\x91\x00\xc4\x00"


@pytest.mark.parametrize(
    "hostile",
    [
        {"names": length(0xDD, 2**32 - 1)},
        {"names": length(0xDD, MANY) + b"\xa1a" * MANY},
        {"names": b"\x91" + length(0xDB, 2**32 - 1) + b"a"},
        {"shares": length(0xDF, 2**32 - 1) + b"\xa1a\x01"},
        {
            "shares": length(0xDF, MANY)
            + b"".join(b"\xa4%c%c%c%c\x01" % (*n.to_bytes(3), 1) for n in range(100))
        },
        {"parts": length(0xDD, 100_000) + EMPTY_ONE * 100_000},
        {"deep": b"\x91" * MANY},
        {"deep": b"\x81\xa1a" * MANY},
        {"array": b"\x93\xa3<f8" + length(0xDD, MANY) + b"\x01" * MANY + b"\xc4\x08" + bytes(8)},
        {"array": b"\x93\xa3<f8\x91\xce\xff\xff\xff\xff" + length(0xC6, 2**32 - 1)},
        {"array": b"\x93\xa3<U0\x91\xce\x05\xf5\xe1\x00\xc4\x00"},
    ],
    ids=lambda hostile: str(hostile)[:40],
)
def test_finding_9_a_message_takes_no_memory_that_its_bytes_do_not_hold(hostile: dict[str, bytes]) -> None:
    content = counted(**hostile)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            decode(Counted, content)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(content) + 1_000_000
    finally:
        tracemalloc.stop()


def test_finding_9_an_empty_array_would_have_as_many_rows_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    content = array_bytes("<f8", (10**12, 0), b"")
    with pytest.raises(ProtocolError, match="more rows or columns than its message has bytes"):
        decode(One, content)
    monkeypatch.setattr("fl.records._ENTRIES", 10**13)
    assert len(decode(One, content).array) == 10**12


@pytest.mark.parametrize("many", [{"names": ("a",) * MANY}, {"parts": (One(np.ones(1)),) * 70_000}])
def test_what_could_not_be_read_is_not_encoded(many: dict) -> None:
    with pytest.raises(TypeError, match="at most"):
        encode(Counted(**many))


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(One, content)


@given(place=st.integers(0, 80), damage=st.binary(min_size=1, max_size=6))
def test_damaged_bytes_are_refused_or_read_as_a_record(place: int, damage: bytes) -> None:
    content = bytearray(encode(One(np.arange(6.0).reshape(2, 3))))
    content[place : place + len(damage)] = damage
    try:
        record = decode(One, bytes(content))
    except ProtocolError:
        return
    assert isinstance(record.array, np.ndarray)


HONEST = {
    "flag": True,
    "count": 1,
    "share": 0.5,
    "text": "a",
    "raw": b"a",
    "names": ["a"],
    "metrics": {"auc": 0.7},
    "part": None,
}


def test_the_honest_form_is_read() -> None:
    read = decode(Mixed, msgspec.msgpack.encode(HONEST))
    assert read == Mixed(flag=True, metrics={"auc": 0.7})


@pytest.mark.parametrize(
    "spoiled",
    [
        {"flag": 1},
        {"count": True},
        {"count": 1.5},
        {"count": "1"},
        {"count": [1]},
        {"share": "0.5"},
        {"share": True},
        {"text": 5},
        {"text": b"a"},
        {"raw": "a"},
        {"names": "ab"},
        {"names": 5},
        {"names": [1]},
        {"names": {"a": 1}},
        {"metrics": 3.0},
        {"metrics": ["auc"]},
        {"metrics": {"auc": "0.7"}},
        {"metrics": {1: 0.7}},
        {"part": {}},
        {"part": {"array": None}},
        {"labels": [1, 0]},
    ],
    ids=str,
)
def test_a_field_of_another_form_than_declared_is_refused(spoiled: dict) -> None:
    with pytest.raises(ProtocolError, match="a Mixed is not of its declared form"):
        decode(Mixed, msgspec.msgpack.encode(HONEST | spoiled))


@pytest.mark.parametrize("name", HONEST)
def test_an_absent_field_is_named(name: str) -> None:
    absent = {key: value for key, value in HONEST.items() if key != name}
    with pytest.raises(ProtocolError, match=f"a Mixed is not of its declared form: .*{name}"):
        decode(Mixed, msgspec.msgpack.encode(absent))


def test_an_undeclared_field_is_refused_by_name() -> None:
    with pytest.raises(ProtocolError, match="unknown field `labels`"):
        decode(Mixed, msgspec.msgpack.encode(HONEST | {"labels": 1}))
