"""`party.toml`: what a party says about itself and about every column that it offers to a model.

With its declaration a party decides what it discloses: a column that is not declared is never offered, so a party
withholds a column by deleting its lines. The declaration also holds what credit policy needs to know about a column:
its unit, the sign of its effect on risk, its data grade (JR/T 0197-2020, Financial data security: guidelines for data
security classification) and the reason that a customer is told who loses points for it.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import tomli_w

from clients.data.errors import DataError, listing, suggestion, utf8_problem

COVERAGE = "coverage"
"""The segment that says which parties know a business; every evaluation reports by it."""
FILE_NAME = "party.toml"
DEFAULT_ID = "business_id"

Kind = Literal["numeric", "categorical"]


@dataclass(frozen=True)
class Column:
    """A feature column that a party offers.

    `unit` is free text (`CNY`, `days`, `share`); `sign` says whether a higher value means higher risk (+1),
    lower risk (-1) or either (0, no demand); `grade` is the data grade, from 1 (public) to 5 (most
    sensitive). `reason` is what a customer is told who loses points for this column, in English, and `reason_zh`
    the same in Chinese.

    Raises `DataError` if a value is not allowed.
    """

    name: str
    kind: Kind
    unit: str = ""
    description: str = ""
    sign: int = 0
    grade: int = 3
    reason: str = ""
    reason_zh: str = ""

    def __post_init__(self) -> None:
        """Refuses values that are not allowed."""
        _require_text(self, "name", "unit", "description", "reason", "reason_zh")
        if not self.name.strip():
            raise DataError("a column needs a name.")
        if self.kind not in get_args(Kind):
            raise DataError(f"kind must be 'numeric' or 'categorical', not {self.kind!r}.")
        if not _is_integer(self.sign) or self.sign not in (-1, 0, 1):
            raise DataError(
                "sign must be 1 (a higher value means higher risk), -1 (lower risk) or 0 (no demand), "
                f"not {self.sign!r}."
            )
        if self.kind == "categorical" and self.sign != 0:
            raise DataError(f"a categorical column has no order, so its sign must be 0, not {self.sign}.")
        if not _is_integer(self.grade) or not 1 <= self.grade <= 5:
            raise DataError(
                f"grade must be a whole number from 1 (public) to 5 (most sensitive), not {self.grade!r}."
            )


@dataclass(frozen=True)
class Target:
    """What a model predicts: a column of the label holder's applications, and the kind of its values.

    `binary` is 1 for a default and 0 for a loan that was repaid.
    """

    column: str
    kind: Literal["binary"] = "binary"


@dataclass(frozen=True)
class Declaration:
    """A party's declaration.

    `name` is the party's name in the federation; `id`, `label` and `month` name columns of its data. Only the
    party that holds the label declares `label`, and `month` (the observation month) if its applications have
    one. `segments` are the columns by which metrics are reported. `columns` stand in the order in which the
    party offers them. `file` is the table's file name (party type `table` only). With `publish_bins`, the model card
    of a scorecard shows the ranges of values that the points of this party's columns are given for; without it, only
    the party's own points table shows them. By default the label holder publishes them, since the model is its own.

    Raises `DataError` if the parts contradict each other.
    """

    type: str
    name: str
    id: str = DEFAULT_ID
    label: str | None = None
    month: str | None = None
    segments: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    file: str | None = None
    publish_bins: bool | None = None

    def __post_init__(self) -> None:
        """Refuses parts that contradict each other."""
        _require_text(self, "type", "name", "id")
        for key in ("label", "month", "file"):
            if getattr(self, key) is not None:
                _require_text(self, key)
        for key in ("type", "name", "id", "label", "month", "file"):
            if getattr(self, key) == "":
                raise DataError(f"{key} must not be empty.")
        if self.publish_bins is None:
            object.__setattr__(self, "publish_bins", self.label is not None)
        if not isinstance(self.publish_bins, bool):
            raise DataError(f"publish_bins must be true or false, not {self.publish_bins!r}.")
        if not all(isinstance(segment, str) for segment in self.segments):
            raise DataError("segments must be a list of column names.")
        if self.label is None and (self.month is not None or self.segments):
            raise DataError("month and segments belong to the party that holds the label; remove them.")
        if COVERAGE in self.segments:
            raise DataError(
                f"the name {COVERAGE} is kept for the segment of who knows a business; rename the column."
            )
        self._check_roles()

    def _check_roles(self) -> None:
        """Refuses a column in two roles that exclude each other: a label among the features gives the answer away."""
        roles = {key: name for key in ("id", "label", "month") if (name := getattr(self, key)) is not None}
        if len(set(roles.values())) < len(roles):
            raise DataError("id, label and month must be three different columns.")
        names = [column.name for column in self.columns]
        for names_of, values in (("columns", names), ("segments", list(self.segments))):
            if repeated := sorted({name for name in values if values.count(name) > 1}):
                raise DataError(f"{listing(repeated)} stands more than once among the {names_of}.")
            for key, name in roles.items():
                if name in values:
                    raise DataError(f"'{name}' is the {key} and cannot be one of the {names_of} too.")

    @property
    def target(self) -> Target | None:
        """What a model predicts, if this party holds the label."""
        return Target(self.label) if self.label is not None else None

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the offered columns, in order."""
        return tuple(column.name for column in self.columns)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _require_text(instance: object, *keys: str) -> None:
    for key in keys:
        value = getattr(instance, key)
        if not isinstance(value, str):
            raise DataError(f'{key} must be text in quotation marks, such as {key} = "…", not {value!r}.')


_COLUMN_KEYS = tuple(field.name for field in fields(Column) if field.name != "name")
_PARTY_KEYS = tuple(field.name for field in fields(Declaration))


def read_declaration(folder: Path) -> Declaration:
    """Reads and validates `folder/party.toml`.

    The party's name defaults to the folder's name. Raises `DataError` that names the file, the line (invalid
    TOML) or the column, and what is allowed there.
    """
    path = Path(folder) / FILE_NAME
    content = _parse(path)
    _refuse_unknown_keys(content, _PARTY_KEYS, path)
    if "type" not in content:
        raise DataError.at(path, 'there is no type; add a line such as type = "table".')
    columns = _read_columns(content.pop("columns", {}), path)
    segments = content.pop("segments", [])
    if not isinstance(segments, list):
        raise DataError.at(path, f'segments must be a list such as ["sector", "region"], not {segments!r}.')
    content.setdefault("name", Path(folder).resolve().name)
    try:
        return Declaration(**content, segments=tuple(segments), columns=columns)
    except DataError as error:
        raise DataError.at(path, str(error)) from None


def _parse(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; a party's folder needs one.") from None
    except OSError as error:
        raise DataError.at(path, f"the file cannot be read ({error.strerror}).") from error
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line, problem = utf8_problem(content, error)
        raise DataError.at(path, problem, row=line) from None
    except tomllib.TOMLDecodeError as error:
        line, problem = _toml_problem(content, str(error))
        raise DataError.at(path, problem, row=line) from None


def _toml_problem(content: bytes, message: str) -> tuple[str, str]:
    """The line and the reason of a TOML error, from the parser's message `reason (at line 3, column 5)`."""
    match = re.fullmatch(r"(?P<reason>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)", message)
    if match is None:
        return "line 1", f"this is not valid TOML: {message}."
    line = match["line"] or str(len(content.splitlines()))
    return f"line {line}", f"this is not valid TOML: {match['reason']}."


def _refuse_unknown_keys(
    table: Mapping[str, Any], allowed: tuple[str, ...], path: Path, column: str | None = None
) -> None:
    for key in table:
        if key not in allowed:
            hint = suggestion(key, allowed) or f" Known are {listing(allowed)}."
            raise DataError.at(path, f"unknown key '{key}'.{hint}", column=column)


def _read_columns(tables: Any, path: Path) -> tuple[Column, ...]:
    if not isinstance(tables, dict):
        raise DataError.at(path, "columns must be tables such as [columns.inflow], one for each column.")
    return tuple(_read_column(name, table, path) for name, table in tables.items())


def _read_column(name: str, table: Any, path: Path) -> Column:
    if not isinstance(table, dict):
        raise DataError.at(
            path, 'a column is declared by a table with at least kind = "numeric".', column=name
        )
    _refuse_unknown_keys(table, _COLUMN_KEYS, path, column=name)
    if "kind" not in table:
        raise DataError.at(path, "kind is missing; it must be 'numeric' or 'categorical'.", column=name)
    try:
        return Column(name, **table)
    except DataError as error:
        raise DataError.at(path, str(error), column=name) from None


def write_declaration(folder: Path, declaration: Declaration) -> None:
    """Writes `folder/party.toml` and replaces one that exists; `read_declaration` returns an equal declaration."""
    folder = Path(folder)
    content: dict[str, Any] = {"type": declaration.type}
    if declaration.name != folder.resolve().name:
        content["name"] = declaration.name
    content["id"] = declaration.id
    for key in ("file", "label", "month"):
        if (value := getattr(declaration, key)) is not None:
            content[key] = value
    content["publish_bins"] = declaration.publish_bins
    if declaration.segments:
        content["segments"] = list(declaration.segments)
    content["columns"] = {column.name: _written(column) for column in declaration.columns}
    # Whole or not at all: the file may be read by a party that is running.
    draft = folder / f".{FILE_NAME}.new"
    draft.write_text(tomli_w.dumps(content), encoding="utf-8")
    draft.replace(folder / FILE_NAME)


def _written(column: Column) -> dict[str, Any]:
    """The keys of a column: kind, sign and grade always, since they are decisions; a text only if it is not empty."""
    values = asdict(column)
    return {key: values[key] for key in _COLUMN_KEYS if values[key] != ""}


def with_reasons(declaration: Declaration, columns_of_type: Iterable[Column]) -> dict[str, Column]:
    """The declared columns by name, each with a `reason` and a `reason_zh` to tell a customer.

    A reason is the one in `party.toml`, else the one of the party type's own column (`Party.columns`), else the
    column's description, else its name. In Chinese, an English reason of `party.toml` comes before the description.
    """
    usual = {column.name: column for column in columns_of_type}
    columns = {}
    for column in declaration.columns:
        fallback = column.description or column.name
        of_type = usual.get(column.name, column)
        columns[column.name] = replace(
            column,
            reason=column.reason or of_type.reason or fallback,
            reason_zh=column.reason_zh or of_type.reason_zh or column.reason or fallback,
        )
    return columns


def schema_hash(declaration: Declaration) -> str:
    """SHA-256 (hex) of the parts of a declaration that a trained model relies on.

    These are the type, the names of the id, label and month columns, the segments, and the name, kind, unit and sign
    of each column, in order. The names of the party and its file, descriptions, reasons and grades may change without
    a new model.
    """
    canonical = {
        "type": declaration.type,
        "id": declaration.id,
        "label": declaration.label,
        "month": declaration.month,
        "segments": declaration.segments,
        "columns": [(column.name, column.kind, column.unit, column.sign) for column in declaration.columns],
    }
    return hashlib.sha256(json.dumps(canonical, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
