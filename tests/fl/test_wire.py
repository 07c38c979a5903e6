"""Messages in Flower's form: they arrive as they were sent, and what no `pack` ever made is refused."""

from dataclasses import dataclass

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from fl.errors import ProtocolError
from fl.wire import (
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

ENVELOPE = Envelope("s", "federated-network/1", 2)


@dataclass(frozen=True)
class Small:
    """A message with one array."""

    array: np.ndarray


@dataclass(frozen=True)
class Other:
    """Another message of the same form."""

    array: np.ndarray


def test_a_message_arrives_as_it_was_sent_and_as_what_it_is() -> None:
    arriving = from_bytes(to_bytes(pack(Small(np.arange(3)), ENVELOPE)))
    for kinds in ((Small,), (Small, Other), (Other, Small)):
        read = unpack(arriving, *kinds)
        assert type(read) is Small
        np.testing.assert_array_equal(read.array, np.arange(3))


def test_a_message_of_another_kind_is_refused_though_its_form_fits() -> None:
    with pytest.raises(ProtocolError, match="a message must be a Other, not a Small"):
        unpack(pack(Small(np.zeros(1)), ENVELOPE), Other)


def test_a_message_is_one_object_whatever_it_holds() -> None:
    @dataclass(frozen=True)
    class Many:
        arrays: tuple[np.ndarray, ...]

    assert len(pack(Many(tuple(np.ones((20, 3)))), ENVELOPE)) == 1


# Pieces.


def large() -> RecordDict:
    return pack(Small(np.arange(1_500_000.0)), ENVELOPE)


def test_a_large_message_travels_in_pieces_that_flower_can_send() -> None:
    record = large()
    assert len(record) == 3
    assert max(size_of(RecordDict({name: part})) for name, part in record.items()) <= 5_000_000
    np.testing.assert_array_equal(unpack(from_bytes(to_bytes(record)), Small).array, np.arange(1_500_000.0))


def pieces_of(record: RecordDict) -> list[str]:
    """The names of the records of its pieces that travel beside the envelope: all but the first."""
    return list(record)[1:]


@pytest.mark.parametrize("number", [0, 1])
def test_a_message_without_one_of_its_pieces_is_refused(number: int) -> None:
    record = large()
    del record[pieces_of(record)[number]]
    with pytest.raises(ProtocolError, match="pieces"):
        unpack(record, Small)


def test_pieces_in_another_order_are_refused() -> None:
    record = large()
    head, first, _ = record
    bodies = record[head]["body"], record[first]["body"]
    record[first], record[head] = (
        ConfigRecord({"body": bodies[0]}),
        ConfigRecord({**record[head], "body": bodies[1]}),
    )
    with pytest.raises(ProtocolError):
        unpack(record, Small)


def test_a_piece_too_many_is_refused() -> None:
    record = large()
    record["body/3"] = record["body/1"]
    with pytest.raises(ProtocolError, match="pieces"):
        unpack(record, Small)


@pytest.mark.parametrize(
    "part",
    [
        ConfigRecord({}),
        ConfigRecord({"body": "text"}),
        ConfigRecord({"body": 1}),
        ConfigRecord({"body": [b"a"]}),
        ConfigRecord({"other": b"a"}),
        ArrayRecord({"body": Array(np.zeros(2))}),
    ],
)
def test_a_piece_of_another_kind_is_refused(part: object) -> None:
    record = large()
    record[pieces_of(record)[1]] = part
    with pytest.raises(ProtocolError, match="pieces"):
        unpack(record, Small)


@given(content=st.binary(max_size=60))
def test_a_body_of_random_bytes_is_refused(content: bytes) -> None:
    record = pack(Small(np.zeros(1)), ENVELOPE)
    head = next(iter(record))
    record[head] = ConfigRecord({**record[head], "body": content})
    with pytest.raises(ProtocolError):
        unpack(record, Small)


# Envelopes.


@given(
    study=st.sampled_from(["", "demo-20230101", "a-b"]),
    model=st.sampled_from(["", "federated-network/1"]),
    step=st.integers(0, 2**31),
    cpu=st.floats(0, 1e6),
)
def test_the_envelope_travels_with_the_message(study: str, model: str, step: int, cpu: float) -> None:
    envelope = Envelope(study, model, step, cpu)
    assert envelope_of(from_bytes(to_bytes(pack(Small(np.zeros(1)), envelope)))) == envelope


@pytest.mark.parametrize(
    "name", ["..", "../other", "/etc", "a//b", "a/../b", ".hidden", "a b", "a\\b", "-x", "party.log"]
)
def test_a_name_that_leads_elsewhere_is_no_envelope(name: str) -> None:
    for place in ({"study": name}, {"study": "s", "model": name}):
        with pytest.raises(ProtocolError, match="no valid name"):
            Envelope(**place)


@pytest.mark.parametrize(
    "record",
    [
        RecordDict(),
        RecordDict({"x": ConfigRecord({"y": 1})}),
        RecordDict({"envelope": ConfigRecord({})}),
        RecordDict({"envelope": ArrayRecord({"study": Array(np.zeros(1))})}),
    ],
)
def test_a_message_without_an_envelope_is_refused(record: RecordDict) -> None:
    for read in (envelope_of, lambda bare: unpack(bare, Small)):
        with pytest.raises(ProtocolError, match="without a valid envelope"):
            read(record)


@pytest.mark.parametrize("name", ["kind", "pieces", "study", "model", "step", "cpu_seconds", "body"])
def test_an_envelope_lacks_nothing(name: str) -> None:
    record = pack(Small(np.zeros(1)), ENVELOPE)
    head = next(iter(record))
    record[head] = ConfigRecord({key: value for key, value in record[head].items() if key != name})
    with pytest.raises(ProtocolError, match="without a valid envelope"):
        envelope_of(record)


@pytest.mark.parametrize(
    "odd",
    [{"step": 1.0}, {"step": "1"}, {"step": True}, {"study": 7}, {"cpu_seconds": 1}, {"more": 1}],
    ids=str,
)
def test_an_envelope_has_its_declared_form(odd: dict) -> None:
    record = pack(Small(np.zeros(1)), ENVELOPE)
    head = next(iter(record))
    record[head] = ConfigRecord(dict(record[head]) | odd)
    with pytest.raises(ProtocolError, match="envelope"):
        envelope_of(record)


def test_a_model_that_is_named_so_has_a_seed() -> None:
    assert Envelope("s", "federated-network/12").seed == 12
    for model in ("", "answers", "federated-network/one"):
        with pytest.raises(ProtocolError, match="names no seed"):
            _ = Envelope("s", model).seed


# Refusals and sizes.


def test_a_refusal_is_told_from_a_message() -> None:
    assert refusal_in(from_bytes(to_bytes(refusal("no such thing")))) == "no such thing"
    assert refusal_in(pack(Small(np.zeros(1)), ENVELOPE)) is None


def test_the_size_is_that_of_the_payload() -> None:
    empty, full = (size_of(pack(Small(np.zeros(rows)), ENVELOPE)) for rows in (0, 1000))
    assert 8000 <= full - empty <= 8004  # a longer array needs a few more bytes for its length
    assert empty < 200
