"""What crosses a border, and its only form on the wire.

A message is a frozen dataclass of arrays and plain values, declared beside the mathematics of its protocol.
`pack` turns it into a Flower `RecordDict` (arrays in NumPy's own format, without pickle) and `unpack` turns
that back, checking every field: a party never acts on a message that does not have exactly the declared form.
"""

import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.proto.recorddict_pb2 import RecordDict as RecordDictProto
from numpy.lib import format as npy

from fl.errors import ProtocolError

Body = TypeVar("Body")

ARRAYS, VALUES, ENVELOPE, REFUSAL = "arrays", "values", "envelope", "refusal"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_PLAIN = "biufU"  # NumPy's kinds of dtype: truth values, whole numbers, floating point and text


@dataclass(frozen=True)
class Envelope:
    """Where a message belongs, besides its body.

    study        the study whose state it touches; empty for questions that touch none
    model        the model within the study, such as `federated-network/1`; empty for the study itself
    step         number of the request within that state, from 1; a reply repeats it
    cpu_seconds  in a reply: what answering cost the party
    """

    study: str = ""
    model: str = ""
    step: int = 0
    cpu_seconds: float = 0.0

    def __post_init__(self) -> None:
        for item in fields(self):
            if type(getattr(self, item.name)) is not item.type:
                raise ProtocolError(f"The envelope's {item.name} has the wrong type.")
        # Both become folders at the party, so they must not lead anywhere else, nor into another study.
        names = ([self.study] if self.study else []) + (self.model.split("/") if self.model else [])
        for name in names:
            if not _NAME.fullmatch(name):
                raise ProtocolError(f"{name[:100]!r} is no valid name of a study or model.")

    @property
    def seed(self) -> int:
        """The seed of a model that is named by contender and seed. ProtocolError for another one."""
        seed = self.model.rpartition("/")[2]
        if not (seed.isascii() and seed.isdecimal()):
            raise ProtocolError(f"{self.model!r} names no seed, such as federated-network/1.")
        return int(seed)


def pack(body: object, envelope: Envelope | None = None) -> RecordDict:
    """The wire form of a message. Raises ProtocolError for a field that may not cross a border."""
    arrays: dict[str, Array] = {}
    values: dict[str, Any] = {}
    for name, kind in _layout(type(body)).items():
        value = getattr(body, name)
        if kind == "array":
            arrays[name] = _to_array(name, value)
        elif kind == "arrays":
            values[name] = list(value)
            arrays |= {f"{name}/{key}": _to_array(name, array) for key, array in value.items()}
        elif kind == "numbers":
            values[name] = list(value)
            values[f"{name}/values"] = [float(number) for number in value.values()]
        elif kind.startswith("list of "):
            values[name] = list(value)
        else:
            values[name] = value
    records: dict[str, Any] = {ARRAYS: ArrayRecord(arrays), VALUES: ConfigRecord(values)}
    if envelope is not None:
        records[ENVELOPE] = ConfigRecord(
            {item.name: getattr(envelope, item.name) for item in fields(envelope)}
        )
    return RecordDict(records)


def unpack(kind: type[Body], record: RecordDict) -> Body:
    """The message of type `kind` in its wire form.

    Raises ProtocolError when a field is absent, superfluous, or of another type than declared.
    """
    try:
        arrays = dict(record.array_records[ARRAYS])
        values: dict[str, Any] = dict(record.config_records[VALUES])
    except KeyError as missing:
        raise ProtocolError(f"A {kind.__name__} message came without its part {missing}.") from None
    found: dict[str, Any] = {}
    for name, layout in _layout(kind).items():
        try:
            if layout == "array":
                found[name] = _from_array(kind, name, arrays.pop(name))
            elif layout == "arrays":
                keys = _listed(kind, name, values.pop(name), "str")
                found[name] = {key: _from_array(kind, name, arrays.pop(f"{name}/{key}")) for key in keys}
            elif layout == "numbers":
                keys = _listed(kind, name, values.pop(name), "str")
                numbers = _listed(kind, name, values.pop(f"{name}/values"), "float")
                if not len(keys) == len(numbers) == len(set(keys)):
                    raise ProtocolError(f"Field {name!r} of {kind.__name__} needs one number for each name.")
                found[name] = dict(zip(keys, numbers, strict=True))
            elif layout.startswith("list of "):
                found[name] = _listed(kind, name, values.pop(name), layout.removeprefix("list of "))
            else:
                found[name] = _checked(kind, name, values.pop(name), layout)
        except KeyError:
            raise ProtocolError(f"A {kind.__name__} message lacks its field {name!r}.") from None
    extra = sorted(arrays.keys() | values.keys())
    if extra:
        raise ProtocolError(f"A {kind.__name__} message has an undeclared field {extra[0]!r}.")
    return kind(**found)


def envelope_of(record: RecordDict) -> Envelope:
    """The envelope of a wire form; ProtocolError when it is absent or malformed."""
    try:
        values: dict[str, Any] = dict(record.config_records[ENVELOPE])
        return Envelope(**values)
    except (KeyError, TypeError):
        raise ProtocolError("A message came without a valid envelope.") from None


def refusal(text: str) -> RecordDict:
    """The wire form of a party's refusal: one sentence that may be told to everybody."""
    return RecordDict({REFUSAL: ConfigRecord({"text": text})})


def refusal_in(record: RecordDict) -> str | None:
    """The sentence of a refusal, or None when the record is an ordinary message."""
    return str(record[REFUSAL]["text"]) if REFUSAL in record else None


def to_bytes(record: RecordDict) -> bytes:
    """The bytes that travel for a record (protocol buffers, no pickle)."""
    return bytes(recorddict_to_proto(record).SerializeToString())


def from_bytes(content: bytes) -> RecordDict:
    """The record that travelled as these bytes."""
    proto = RecordDictProto()
    proto.ParseFromString(content)
    return recorddict_from_proto(proto)


def size_of(record: RecordDict) -> int:
    """Bytes of payload in a wire form: array data and plain values."""
    total = 0
    for part in record.values():
        if isinstance(part, ArrayRecord):
            total += sum(len(array.data) for array in part.values())
        else:
            total += sum(len(str(value)) for value in part.values())
    return total


_layouts: dict[type[Any], dict[str, str]] = {}


def _layout(kind: type[Any]) -> dict[str, str]:
    """Field name -> how it travels; declared types are few on purpose."""
    if kind not in _layouts:
        hints = get_type_hints(kind)
        _layouts[kind] = {item.name: _layout_of(kind, item.name, hints[item.name]) for item in fields(kind)}
    return _layouts[kind]


def _layout_of(kind: type, name: str, hint: Any) -> str:
    if hint is np.ndarray or get_origin(hint) is np.ndarray:
        return "array"
    if hint in (bool, int, float, str, bytes):
        return str(hint.__name__)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple and arguments[0] in (int, float, str) and arguments[1:] == (...,):
        return f"list of {arguments[0].__name__}"
    if origin is Mapping:
        value = arguments[1]
        if value is float:
            return "numbers"
        if value is np.ndarray or get_origin(value) is np.ndarray:
            return "arrays"
    raise ProtocolError(f"Field {name!r} of {kind.__name__} has type {hint}, which may not cross a border.")


def _to_array(name: str, value: Any) -> Array:
    array = np.ascontiguousarray(value)
    if array.dtype.hasobject:
        raise ProtocolError(f"Field {name!r} holds Python objects, which may not cross a border.")
    return Array(array)


def _from_array(kind: type, name: str, array: Array) -> np.ndarray[Any, Any]:
    try:
        return _decoded(array.data)
    except Exception:  # a made-up header can make NumPy's reader fail in many ways, and none is worth telling
        raise ProtocolError(f"Field {name!r} of {kind.__name__} is not a valid array.") from None


def _decoded(data: bytes) -> np.ndarray[Any, Any]:
    """The array in data of NumPy's format: just one, of plain values, and exactly as long as its header says.

    `numpy.load` would also open archives, and set aside whatever amount of memory a header asks for.
    """
    file = io.BytesIO(data)
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[npy.read_magic(file)]
    shape, fortran_order, dtype = read_header(file)
    content = memoryview(data)[file.tell() :]
    if dtype.kind not in _PLAIN or math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError("not an array of plain values, or of another length than its header says")
    return np.ndarray(shape, dtype, content, order="F" if fortran_order else "C").copy()


def _listed(kind: type, name: str, value: Any, item: str) -> tuple[Any, ...]:
    """A list of one type, as a tuple."""
    if not isinstance(value, list) or any(type(one).__name__ != item for one in value):
        raise ProtocolError(f"Field {name!r} of {kind.__name__} must be a list of {item}.")
    return tuple(value)


def _checked(kind: type, name: str, value: Any, layout: str) -> Any:
    if type(value).__name__ != layout:
        raise ProtocolError(
            f"Field {name!r} of {kind.__name__} must be {layout}, not {type(value).__name__}."
        )
    return value
