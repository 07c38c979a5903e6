"""`party.toml`: what a party says about itself and about every column that it offers to a model.

With its declaration a party decides what it discloses: a column that is not declared is never offered, so a party
withholds a column by deleting its lines. The declaration also holds what credit policy needs to know about a column:
its unit, the sign of its effect on risk, its data grade (JR/T 0197-2020, Financial data security: guidelines for data
security classification) and the reason that a customer is told who loses points for it.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import tomli_w

from clients.data import table_file, values
from clients.data.column import KINDS, Column
from clients.data.errors import DataError, check, listing, not_decodable, suggestion
from clients.data.format import USUAL, Format
from clients.policy import Policy
from fl.rules import Rule

COVERAGE = "coverage"
"""The segment that says which parties know a business; every evaluation reports by it."""
FILE_NAME = "party.toml"
DEFAULT_ID = "business_id"

_NAMED = Rule(
    "text in quotation marks that is not empty", lambda value: isinstance(value, str) and value != ""
)
_Name: TypeAlias = Annotated[str, _NAMED]
_OptionalName: TypeAlias = Annotated[
    str | None, Rule(_NAMED.allowed, lambda value: value is None or _NAMED.test(value))
]


@dataclass(frozen=True)
class Target:
    """What a model predicts: a column of the label holder's applications, and the kind of its values.

    `binary` is one of two values, of which one means default and the other that the loan was repaid.
    """

    column: str
    kind: Literal["binary"] = "binary"


@dataclass(frozen=True)
class Cluster:
    """A party's own Ray cluster, whose machines share its work when it is deployed (`fl/processes.py`).

    `workers` is how many processes may work there at once. Raises `DataError` if a value is not allowed.
    """

    address: Annotated[
        str,
        Rule(
            'the address of a Ray cluster, such as "10.0.0.5:6379"',
            lambda value: isinstance(value, str) and value.strip(),
        ),
    ] = ""
    workers: Annotated[
        int, Rule("a whole number from 2", lambda value: type(value) is int and value >= 2)
    ] = 0

    def __post_init__(self) -> None:
        """Refuses values that are not allowed."""
        check(self)


@dataclass(frozen=True)
class Declaration:
    """A party's declaration.

    `name` is the party's name in the federation; `id`, `label` and `month` name columns of its data. Only the party
    that holds the label declares `label`, `month` (the observation month) if its applications have one, and `bad`, the
    value of the label that means default; labels of 0 and 1 or false and true need none. `segments` are the columns by
    which metrics are reported. `sensitive` are columns by which the label holder itself compares how a model treats
    people: no model uses them, and they leave it in no message. `columns` stand in the order in which the party offers
    them. `file` is the table's file name (party type `table` only). With `publish_bins`, the model card of a scorecard
    shows the ranges of values that the points of this party's columns are given for; without it, only the party's own
    points table shows them. By default the label holder publishes them, since the model is its own. `partners` has the
    public keys of the parties that this one works with, by name (`fl/seals.py`); where there are some, nobody else may
    take part. `policy` is what the party allows a run to ask of it (`clients/policy.py`), and `cluster` the machines
    that share its work, if there are any. `format` is how the party's CSV files are written; its fields are keys of
    `party.toml` like the others.

    Raises `DataError` if the parts contradict each other.
    """

    type: _Name
    name: _Name
    id: _Name = DEFAULT_ID
    label: _OptionalName = None
    month: _OptionalName = None
    bad: Annotated[
        str | float | None,
        Rule(
            "one of the label's two values, a text in quotation marks or a number",
            lambda value: value is None or (isinstance(value, (str, int, float)) and str(value).strip()),
        ),
    ] = None
    segments: Annotated[
        tuple[str, ...],
        Rule(
            'a list of column names, such as ["sector", "region"]',
            lambda names: isinstance(names, tuple) and all(isinstance(name, str) for name in names),
        ),
    ] = ()
    sensitive: Annotated[
        tuple[str, ...],
        Rule(
            'a list of column names, such as ["gender"]',
            lambda names: isinstance(names, tuple) and all(isinstance(name, str) for name in names),
        ),
    ] = ()
    columns: tuple[Column, ...] = ()
    file: _OptionalName = None
    publish_bins: Annotated[
        bool | None, Rule("true or false", lambda value: value is None or isinstance(value, bool))
    ] = None
    partners: Annotated[
        Mapping[str, str],
        Rule(
            'a table of public keys by party, such as tax = "…", as `siloscore keys` prints them',
            lambda keys: isinstance(keys, dict) and all(isinstance(key, str) for key in keys.values()),
        ),
    ] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    cluster: Cluster | None = None
    format: Format = USUAL

    def __post_init__(self) -> None:
        """Refuses parts that contradict each other."""
        check(self)
        if self.publish_bins is None:
            object.__setattr__(self, "publish_bins", self.label is not None)
        if self.label is None and (self.month is not None or self.segments or self.sensitive):
            raise DataError(
                "month, segments and sensitive belong to the party that holds the label; remove them."
            )
        if self.label is None and self.bad is not None:
            raise DataError("bad is a value of the label; name the label's column by the key label.")
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
        for names_of, names in (
            ("columns", self.column_names),
            ("segments", self.segments),
            ("sensitive columns", self.sensitive),
        ):
            if repeated := sorted({name for name in names if names.count(name) > 1}):
                raise DataError(f"{listing(repeated)} stands more than once among the {names_of}.")
            for key, name in roles.items():
                if name in names:
                    raise DataError(f"'{name}' is the {key} and cannot be one of the {names_of} too.")
        if used := [name for name in self.sensitive if name in self.column_names]:
            raise DataError(f"no model may use a sensitive column; remove {listing(used)} from the columns.")
        if told := [name for name in self.sensitive if name in self.segments]:
            raise DataError(
                f"metrics by segment leave the party; remove the sensitive {listing(told)} from the segments."
            )

    @property
    def target(self) -> Target | None:
        """What a model predicts, if this party holds the label."""
        return Target(self.label) if self.label is not None else None

    @property
    def roles(self) -> dict[str, table_file.Kind | table_file.Conversion]:
        """The columns of the data that are no features, by name, and what each is read as."""
        roles: dict[str | None, table_file.Kind | table_file.Conversion] = {
            self.id: "id",
            self.label: Target.kind
            if self.bad is None
            else table_file.without_strays(partial(values.labels, bad=self.bad)),
            self.month: "month",
        }
        return {name: kind for name, kind in roles.items() if name is not None}

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the offered columns, in order."""
        return tuple(column.name for column in self.columns)


_COLUMN_KEYS = tuple(item.name for item in fields(Column) if item.name != "name")
_ALWAYS = ("kind", "sign", "grade")
"""What is written of every column, since these are decisions; of the rest what is not as by default."""
_PARTY_KEYS = (
    "type",
    "name",
    "id",
    "file",
    "label",
    "bad",
    "month",
    "publish_bins",
    "segments",
    "sensitive",
    "partners",
)
_FORMAT_KEYS = tuple(item.name for item in fields(Format))
_RULES = tuple(item.name for item in fields(Policy))
_CLUSTER_KEYS = tuple(item.name for item in fields(Cluster))


def read_declaration(folder: Path) -> Declaration:
    """Reads and validates `folder/party.toml`.

    The party's name defaults to the folder's name. Raises `DataError` that names the file, the line (invalid
    TOML) or the column, and what is allowed there.
    """
    path = Path(folder) / FILE_NAME
    content = read_toml(path)
    tables = content.pop("columns", {})
    if not isinstance(tables, dict):
        raise DataError.at(path, "columns must be tables such as [columns.inflow], one for each column.")
    columns = tuple(_read_column(name, table, path) for name, table in tables.items())
    given = _with_tuples(content)
    _refuse_unknown_keys(given, (*_PARTY_KEYS, *_FORMAT_KEYS, "policy", "cluster"), path)
    rules, cluster = given.pop("policy", {}), given.pop("cluster", None)
    if not isinstance(rules, dict):
        raise DataError.at(path, "policy must be a table such as [policy], with a line for each rule.")
    _refuse_unknown_keys(rules, _RULES, path)
    if not isinstance(cluster, dict | None):
        raise DataError.at(path, "cluster must be a table [cluster] with the lines address and workers.")
    _refuse_unknown_keys(cluster or {}, _CLUSTER_KEYS, path)
    if "type" not in given:
        raise DataError.at(path, 'there is no type; add a line such as type = "table".')
    try:
        format = Format(**{key: given.pop(key) for key in _FORMAT_KEYS if key in given})
        given["policy"] = Policy(**_with_tuples(rules))
        given["cluster"] = None if cluster is None else Cluster(**cluster)
        return Declaration(**{"name": path.resolve().parent.name} | given, columns=columns, format=format)
    except DataError as error:
        raise DataError.at(path, str(error)) from None


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file. Raises `DataError` with the line that is not valid TOML in UTF-8."""
    try:
        content = path.read_bytes()
        return tomllib.loads(content.decode("utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; a party's folder needs one.") from None
    except OSError as error:
        raise DataError.at(path, f"the file cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError:
        raise not_decodable(path) from None
    except tomllib.TOMLDecodeError as error:
        # The parser says `reason (at line 3, column 5)` or `reason (at end of document)`.
        reason, _, place = str(error).partition(" (at ")
        line = place.partition(",")[0] if place.startswith("line") else f"line {len(content.splitlines())}"
        raise DataError.at(path, f"this is not valid TOML: {reason}.", row=line) from None


def _read_column(name: str, table: Any, path: Path) -> Column:
    if not isinstance(table, dict):
        raise DataError.at(
            path, 'a column is declared by a table with at least kind = "numeric".', column=name
        )
    _refuse_unknown_keys(table, _COLUMN_KEYS, path, column=name)
    if "kind" not in table:
        raise DataError.at(path, f"kind is missing; it must be {KINDS}.", column=name)
    try:
        return Column(name, **_with_tuples(table))
    except DataError as error:
        raise DataError.at(path, str(error), column=name) from None


def _with_tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    """The same, with tuples for lists."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def _refuse_unknown_keys(
    table: Mapping[str, Any], allowed: tuple[str, ...], path: Path, column: str | None = None
) -> None:
    for key in table:
        if key not in allowed:
            hint = suggestion(key, allowed) or f" Known are {listing(allowed)}."
            raise DataError.at(path, f"unknown key '{key}'.{hint}", column=column)


def write_declaration(folder: Path, declaration: Declaration) -> None:
    """Writes `folder/party.toml` and replaces one that exists; `read_declaration` returns an equal declaration."""
    folder, format = Path(folder), declaration.format
    content: dict[str, Any] = {
        key: value for key in _PARTY_KEYS if (value := getattr(declaration, key)) not in (None, (), {})
    }
    if rules := declaration.policy.written:
        content["policy"] = rules
    if declaration.cluster is not None:
        content["cluster"] = asdict(declaration.cluster)
    content |= {key: value for key in _FORMAT_KEYS if (value := getattr(format, key)) != getattr(USUAL, key)}
    if declaration.name == folder.resolve().name:
        del content["name"]
    content["columns"] = {
        column.name: {
            key: value
            for key in _COLUMN_KEYS
            if (value := getattr(column, key)) != getattr(Column, key, None) or key in _ALWAYS
        }
        for column in declaration.columns
    }
    # Whole or not at all: the file may be read by a party that is running.
    draft = folder / f".{FILE_NAME}.new"
    draft.write_text(tomli_w.dumps(content), encoding="utf-8")
    draft.replace(folder / FILE_NAME)


def with_reasons(declaration: Declaration, columns_of_type: Iterable[Column]) -> dict[str, Column]:
    """The declared columns by name, each with a `reason` and a `reason_zh` to tell a customer.

    A reason is the one in `party.toml`, else the one of the party type's own column (`Party.columns`), else the
    column's description, else its name. In Chinese, an English reason of `party.toml` comes before the description.

    >>> own = Declaration("tax", "tax", columns=(Column("arrears", "numeric", description="Months in arrears"),))
    >>> with_reasons(own, [Column("arrears", "numeric", reason="Taxes were paid late")])["arrears"].reason
    'Taxes were paid late'
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

    These are the type, the names of the id, label and month columns, the label's bad value, the segments, and the name,
    kind, unit, sign, special values and levels of each column, in order. The names of the party and its file, how the
    file is read, sensitive columns, the reference month of dates, descriptions, reasons and grades may change without a
    new model.

    >>> turnover = Column("turnover", "numeric", sign=-1)
    >>> declarations = [Declaration("tax", "tax", columns=(one,)) for one in (turnover, replace(turnover, grade=4))]
    >>> schema_hash(declarations[0]) == schema_hash(declarations[1])
    True
    """
    levels = {column.name: column.levels for column in declaration.columns if column.levels}
    canonical = {
        "type": declaration.type,
        "id": declaration.id,
        "label": declaration.label,
        "bad": None if declaration.bad is None else values.canonical(declaration.bad),
        "month": declaration.month,
        "segments": declaration.segments,
        "columns": [
            (column.name, column.kind, column.unit, column.sign, sorted(map(float, column.special)))
            for column in declaration.columns
        ],
        **({"levels": levels} if levels else {}),
    }
    return hashlib.sha256(json.dumps(canonical, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
