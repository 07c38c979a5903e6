"""Records as bytes and back: the one form in which anything crosses a border or is kept in a store.

A record is a dataclass of arrays, plain values (truth values, whole and floating-point numbers, texts, bytes), other
records, and tuples or mappings by name of these. `encode` writes it as MessagePack and `decode` checks every field
against the declared types while it reads: what has another form than declared never becomes a record.

An array travels as its dtype, its shape and its bytes. Nothing is unpickled, and what is allocated is bounded by the
bytes: lengths are checked before anything is read by them.

    >>> from fl.splits import Split
    >>> decode(Split, encode(Split(np.array([0, 1, 2], np.int8))))
    Split(roles=array([0, 1, 2], dtype=int8))
"""

import math
import operator
import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
import numpy as np

from fl.errors import ProtocolError

Array: TypeAlias = np.ndarray[Any, Any]
Record = TypeVar("Record")

# Truth values, whole and floating-point numbers, texts and dates, as NumPy writes their dtypes.
_DTYPE = re.compile(r"[<>|][biufUM][1-9][0-9]{0,5}(\[[0-9]{0,5}[A-Za-z]{1,2}\])?")
_LAST_CHARACTER = 0x10FFFF
_AXES = 64
# An entry of a mapping, or a record, takes up to a hundred times its bytes in memory, a plain value up to forty times.
_PLAIN_VALUES, _ENTRIES = 1 << 20, 1 << 16


def encode(record: object) -> bytes:
    """The bytes of a record. Raises TypeError for a field that is not of its declared type, or may not be encoded."""
    return msgspec.msgpack.encode(_form_of(type(record)).pack(record))


def decode(kind: type[Record], content: bytes | memoryview) -> Record:
    """The record of type `kind` in these bytes; its arrays are copies, which can be written to.

    Raises ProtocolError when a field is absent, superfluous, or of another type than declared.
    """
    form = _form_of(kind)
    try:
        record: Record = form.unpack(msgspec.msgpack.decode(content, type=form.schema))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProtocolError(f"a {kind.__name__} is not of its declared form: {error}") from None
    return record


class _Form(NamedTuple):
    """How values of one type travel: the type that the bytes are checked against, and the way there and back."""

    schema: Any
    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]


class _ArrayForm(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    dtype: str
    shape: Annotated[tuple[int, ...], msgspec.Meta(max_length=_AXES)]
    content: memoryview


def _form_of(kind: Any) -> _Form:
    return _form(kind)


@lru_cache(maxsize=1024)
def _form(hint: Hashable) -> _Form:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _form(arguments[0])
    if hint in _PLAIN:
        return _Form(hint, _PLAIN[hint], lambda read: read)
    if np.ndarray in (hint, origin):
        return _Form(_ArrayForm, _pack_array, _unpack_array)
    if is_dataclass(origin or hint):
        return _record_form(origin or hint)
    if origin in (Union, UnionType) and len(arguments) == 2 and arguments[1] is NoneType:
        return _optional(_form(arguments[0]))
    if origin in (tuple, list) and arguments[1:] in ((), (...,)):
        most = _PLAIN_VALUES if arguments[0] in _PLAIN else _ENTRIES
        return _sequence(_form(arguments[0]), origin, most)
    if origin in (Mapping, dict) and arguments[0] is str:
        return _mapping(_form(arguments[1]))
    raise TypeError(f"{hint} may not be part of a record")


def _record_form(kind: Any) -> _Form:
    hints = get_type_hints(kind, include_extras=True)
    forms = {item.name: _form(hints[item.name]) for item in fields(kind)}
    schema = msgspec.defstruct(
        kind.__name__, [(name, form.schema) for name, form in forms.items()], forbid_unknown_fields=True
    )

    def pack(record: Any) -> dict[str, Any]:
        _checked(kind, record)
        return {name: form.pack(getattr(record, name)) for name, form in forms.items()}

    return _Form(
        schema,
        pack,
        lambda read: kind(**{name: form.unpack(getattr(read, name)) for name, form in forms.items()}),
    )


def _optional(form: _Form) -> _Form:
    return _Form(
        form.schema | None,
        lambda value: None if value is None else form.pack(value),
        lambda read: None if read is None else form.unpack(read),
    )


def _sequence(form: _Form, kind: type, most: int) -> _Form:
    return _Form(
        Annotated[list[form.schema], msgspec.Meta(max_length=most)],  # type: ignore[name-defined]
        lambda value: [form.pack(one) for one in _at_most(most, _checked(tuple | list, value))],
        lambda read: kind(map(form.unpack, read)),
    )


def _mapping(form: _Form) -> _Form:
    return _Form(
        Annotated[dict[str, form.schema], msgspec.Meta(max_length=_ENTRIES)],  # type: ignore[name-defined]
        lambda value: {
            _checked(str, name): form.pack(one)
            for name, one in _at_most(_ENTRIES, _checked(Mapping, value)).items()
        },
        lambda read: {name: form.unpack(one) for name, one in read.items()},
    )


def _checked(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{getattr(kind, '__name__', kind)} is needed, not {type(value).__name__}")
    return value


def _at_most(most: int, value: Any) -> Any:
    if len(value) > most:
        raise TypeError(f"at most {most:,} entries may be part of a record, not {len(value):,}")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        raise TypeError("a number is needed, not a truth value")
    return value


_PLAIN: dict[Any, Callable[[Any], Any]] = {
    bool: lambda value: bool(_checked(bool | np.bool_, value)),
    int: lambda value: operator.index(_number(value)),
    float: lambda value: float(_checked(float | int | np.floating | np.integer, _number(value))),
    str: lambda value: str(_checked(str, value)),
    bytes: lambda value: _checked(bytes, value),
}


def _pack_array(value: Any) -> _ArrayForm:
    array = np.asarray(value)
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype.kind == "U" and not flat.dtype.itemsize:  # texts that are all empty
        flat = flat.astype("<U1")
    if not _DTYPE.fullmatch(flat.dtype.str):
        raise TypeError(f"an array of {array.dtype} may not be part of a record")
    return _ArrayForm(flat.dtype.str, array.shape, flat.view(np.uint8).data)


def _unpack_array(read: _ArrayForm) -> Array:
    if not _DTYPE.fullmatch(read.dtype):
        raise ProtocolError("an array holds something else than plain values")
    try:
        dtype = np.dtype(read.dtype)
    except TypeError:
        raise ProtocolError("an array has a dtype that does not exist") from None
    count = math.prod(read.shape)
    if min(read.shape, default=0) < 0 or count * dtype.itemsize != len(read.content):
        raise ProtocolError("an array is not as long as its shape says")
    # No byte stands for a row without columns, yet whoever reads the array allocates something for each.
    if max(read.shape, default=0) > max(memoryview(read.content.obj).nbytes, _ENTRIES):
        raise ProtocolError("an empty array has more rows or columns than its message has bytes")
    flat = np.frombuffer(read.content, dtype, count)
    # NumPy reads such bytes without complaint, and fails or errs later.
    if dtype.kind == "U" and flat.view(dtype.byteorder + "u4").max(initial=0) > _LAST_CHARACTER:
        raise ProtocolError("a text has a character that does not exist")
    if dtype.kind == "b" and flat.view(np.uint8).max(initial=0) > 1:
        raise ProtocolError("a truth value is neither true nor false")
    try:
        return flat.reshape(read.shape).copy()
    except ValueError:
        raise ProtocolError("an array has an impossible shape") from None
