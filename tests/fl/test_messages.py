from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fl.errors import ProtocolError
from fl.messages import (
    ARRAYS,
    VALUES,
    Envelope,
    envelope_of,
    from_bytes,
    pack,
    refusal,
    refusal_in,
    size_of,
    to_bytes,
    unpack,
)


@dataclass(frozen=True)
class Everything:
    """A message with a field of every kind that may cross a border."""

    flag: bool
    count: int
    share: float
    text: str
    raw: bytes
    array: np.ndarray
    names: tuple[str, ...]
    numbers: tuple[int, ...]
    shares: tuple[float, ...]
    by_party: Mapping[str, np.ndarray]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Small:
    """A message with one array."""

    array: np.ndarray


# Protocol buffers carry no lone surrogates, and NumPy's texts no trailing NUL.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
shapes = arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
any_array = st.one_of(
    [arrays.arrays(kind, shapes) for kind in (np.float64, np.float32, np.int32, np.uint8, np.int8, np.bool_)]
    + [arrays.arrays("U4", shapes, elements=st.text("业ab", max_size=4))]
)
whole = st.integers(-(2**63), 2**63 - 1)
everything = st.builds(
    Everything,
    flag=st.booleans(),
    count=whole,
    share=st.floats(allow_nan=False),
    text=texts,
    raw=st.binary(max_size=8),
    array=any_array,
    names=st.lists(texts, max_size=3).map(tuple),
    numbers=st.lists(whole, max_size=3).map(tuple),
    shares=st.lists(st.floats(allow_nan=False), max_size=3).map(tuple),
    by_party=st.dictionaries(texts, any_array, max_size=3),
    metrics=st.dictionaries(texts, st.floats(allow_nan=False), max_size=3),
)


def same(found: np.ndarray, sent: np.ndarray) -> bool:
    equal = np.array_equal(found, sent, equal_nan=sent.dtype.kind == "f")
    return found.dtype == sent.dtype and found.shape == sent.shape and equal


@given(sent=everything)
def test_a_message_arrives_as_it_was_sent(sent: Everything) -> None:
    found = unpack(Everything, from_bytes(to_bytes(pack(sent))))

    for name in ("flag", "count", "share", "text", "raw", "names", "numbers", "shares", "metrics"):
        assert getattr(found, name) == getattr(sent, name)
        assert type(getattr(found, name)) is type(getattr(sent, name))
    assert same(found.array, sent.array)
    assert list(found.by_party) == list(sent.by_party)
    assert all(same(found.by_party[name], array) for name, array in sent.by_party.items())


def test_an_array_that_is_a_view_arrives_whole() -> None:
    sent = Small(np.arange(12).reshape(3, 4)[:, ::2].T)
    np.testing.assert_array_equal(unpack(Small, from_bytes(to_bytes(pack(sent)))).array, sent.array)


@pytest.mark.parametrize("array", [np.array([{}]), np.array(["a", None], object)])
def test_python_objects_do_not_cross(array: np.ndarray) -> None:
    with pytest.raises(ProtocolError, match="'array' holds Python objects"):
        pack(Small(array))


def test_a_pickle_in_place_of_an_array_is_refused() -> None:
    record = pack(Small(np.zeros(2)))
    hostile = Array(np.zeros(2))
    hostile.data = np.array([{}], object).dumps()
    record[ARRAYS] = ArrayRecord({"array": hostile})
    with pytest.raises(ProtocolError, match="'array' of Small"):
        unpack(Small, record)


def test_a_damaged_array_is_refused() -> None:
    record = pack(Small(np.zeros(20)))
    damaged = record[ARRAYS]["array"]
    damaged.data = damaged.data[:-8]
    with pytest.raises(ProtocolError, match="'array' of Small"):
        unpack(Small, record)


def test_an_undeclared_field_is_refused_by_name() -> None:
    record = pack(Small(np.zeros(2)))
    record[VALUES] = ConfigRecord({"labels": [1, 0]})
    with pytest.raises(ProtocolError, match="undeclared field 'labels'"):
        unpack(Small, record)


def test_an_absent_field_is_named() -> None:
    record = pack(Small(np.zeros(2)))
    record[ARRAYS] = ArrayRecord()
    with pytest.raises(ProtocolError, match="lacks its field 'array'"):
        unpack(Small, record)


def test_an_absent_part_is_named() -> None:
    with pytest.raises(ProtocolError, match="came without its part"):
        unpack(Small, RecordDict())


@dataclass(frozen=True)
class Counted:
    """A message with one number."""

    count: int


@pytest.mark.parametrize("value", [True, 1.0, "1", [1]])
def test_a_value_of_another_type_is_refused(value: object) -> None:
    record = RecordDict({ARRAYS: ArrayRecord(), VALUES: ConfigRecord({"count": value})})
    with pytest.raises(ProtocolError, match="'count' of Counted must be int"):
        unpack(Counted, record)


@dataclass(frozen=True)
class Undeclarable:
    """A message that nobody may declare."""

    anything: object


def test_a_field_whose_type_says_nothing_may_not_cross() -> None:
    with pytest.raises(ProtocolError, match=r"'anything' of Undeclarable .* may not cross"):
        pack(Undeclarable(1))


@given(
    study=st.sampled_from(["", "demo-20230101", "a.b"]),
    model=st.sampled_from(["", "federated-network/1"]),
    step=st.integers(0, 2**31),
    cpu=st.floats(0, 1e6),
)
def test_the_envelope_travels_with_the_message(study: str, model: str, step: int, cpu: float) -> None:
    envelope = Envelope(study, model, step, cpu)
    assert envelope_of(from_bytes(to_bytes(pack(Small(np.zeros(1)), envelope)))) == envelope


@pytest.mark.parametrize("name", ["..", "../other", "/etc", "a//b", "a/../b", ".hidden", "a b", "a\\b", "-x"])
def test_a_name_that_leads_elsewhere_is_no_envelope(name: str) -> None:
    for place in ({"study": name}, {"study": "s", "model": name}):
        with pytest.raises(ProtocolError, match="no valid name"):
            Envelope(**place)


def test_a_message_without_an_envelope_is_refused() -> None:
    with pytest.raises(ProtocolError, match="without a valid envelope"):
        envelope_of(pack(Small(np.zeros(1))))


def test_a_refusal_is_told_from_a_message() -> None:
    assert refusal_in(from_bytes(to_bytes(refusal("no such thing")))) == "no such thing"
    assert refusal_in(pack(Small(np.zeros(1)))) is None


def test_the_size_is_that_of_the_payload() -> None:
    empty, full = (size_of(pack(Small(np.zeros(rows)))) for rows in (0, 1000))
    assert full - empty == 8000
    assert empty < 200


def test_a_model_that_is_named_so_has_a_seed() -> None:
    assert Envelope("s", "federated-network/12").seed == 12
    for model in ("", "answers", "federated-network/one"):
        with pytest.raises(ProtocolError, match="names no seed"):
            _ = Envelope("s", model).seed
