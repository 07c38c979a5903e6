"""Party types, and how a folder becomes a party.

A type is a subclass of `clients.parties.base.Party`, named by an entry point of the group `siloscore.parties`. This
project names its own types the same way (pyproject.toml), so the types of other packages are their equals. In a
notebook, the decorator `register` makes a type known to the running process.
"""

import sys
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import TypeVar

from clients.data.declaration import FILE_NAME, read_declaration, write_declaration
from clients.data.errors import DataError, listing, suggestion
from clients.parties.base import Party

__all__ = [
    "ENTRY_POINT_GROUP",
    "Origin",
    "Party",
    "load",
    "open_party",
    "origins",
    "party_type",
    "register",
    "write_default",
]

ENTRY_POINT_GROUP = "siloscore.parties"
Kind = TypeVar("Kind", bound=type[Party])
registered: dict[str, type[Party]] = {}
"""The types that `register` has made known in this process, by name."""


@dataclass(frozen=True)
class Origin:
    """Where a party type comes from: the class as `module:Class`, and the distribution that installed it.

    Distribution and version are empty for a type that was registered in this process.
    """

    name: str
    target: str
    distribution: str = ""
    version: str = ""


def open_party(folder: Path, labelled: bool = True) -> Party:
    """The party whose data lie in `folder`, with its declaration and data read and checked; labels only if `labelled`.

    Raises `DataError` that says what is wrong with the folder and where.
    """
    declaration = read_declaration(folder)
    return party_type(declaration.type, folder)(folder, declaration, labelled)


def write_default(folder: Path, type_name: str) -> None:
    """Write the default declaration of a party type to `folder`, replacing any `party.toml` there.

    A type that computes features declares all of them; `table` declares the columns of the one CSV or Parquet
    file in the folder. Raises `DataError` if the type is unknown or the file is missing.
    """
    write_declaration(folder, party_type(type_name, folder).default_declaration(folder))


def register(kind: Kind) -> Kind:
    """Class decorator that makes a party type known within this process, for use in a notebook.

    Flower's engines start processes of their own, which know only installed types. A registered type therefore trains
    with `--backend inline` or `experiments.study.run_study(…, "inline", …)` only. Registering a name again replaces
    the class. Raises `DataError` if the class is no party type, or an installed type has its name.
    """
    target = f"{kind.__module__}:{kind.__qualname__}"
    if not (isinstance(kind, type) and issubclass(kind, Party)):
        raise DataError(f"{target} cannot be registered: it is not a subclass of clients.parties.base.Party.")
    if not isinstance(getattr(kind, "type", None), str):
        raise DataError(f'{target} cannot be registered: it needs a name, such as type = "telecom".')
    if any(origin.name == kind.type and origin.distribution for origin in origins()):
        raise DataError(
            f"{target} cannot be registered: an installed party type is also called '{kind.type}'."
        )
    registered[kind.type] = kind
    return kind


def origins() -> list[Origin]:
    """Where each known party type comes from, by name; nothing is imported."""
    installed = [
        Origin(point.name, point.value, point.dist.name, point.dist.version)
        if point.dist is not None
        else Origin(point.name, point.value, "unknown")
        for point in _points()
    ]
    here = [Origin(name, f"{kind.__module__}:{kind.__qualname__}") for name, kind in registered.items()]
    return sorted([*installed, *here], key=lambda origin: (origin.name, origin.target))


def party_type(name: str, folder: Path | None = None) -> type[Party]:
    """The party type called `name`, imported only now; `folder` is named in the error if there is none.

    Raises `DataError` if the type is not installed, is installed twice or cannot be imported.
    """
    if name in registered:
        return registered[name]
    points = [point for point in _points() if point.name == name]
    if not points:
        where = f"{folder / FILE_NAME}: " if folder is not None else ""
        names = sorted({origin.name for origin in origins()})
        raise DataError(
            f"{where}there is no party type '{name}'.{suggestion(name, names)} Known types are {listing(names)}; "
            f"a type of another package must be installed for {sys.executable}."
        )
    if len(points) > 1:
        raise DataError(
            f"party type '{name}' is offered more than once ({listing(point.value for point in points)}); "
            "uninstall all but one."
        )
    described = f"party type '{name}' ({points[0].value})"
    kind = load(points[0], described)
    if kind.type != name:
        raise DataError(f"{described} calls itself '{kind.type}'; give it one name.")
    return kind


def load(point: EntryPoint, described: str) -> type[Party]:
    """The party type at an entry point. Raises `DataError`, which calls it what `described` says, if there is none."""
    try:
        kind = point.load()
    except Exception as error:  # the module of another package can raise anything on import
        raise DataError(f"{described} cannot be imported: {type(error).__name__}: {error}.") from error
    if not (isinstance(kind, type) and issubclass(kind, Party)):
        raise DataError(f"{described} is not a subclass of clients.parties.base.Party.")
    return kind


@cache
def entry_points(group: str) -> EntryPoints:
    """Looked for once in a process, among all its packages, since every party of every run asks for its type."""
    return metadata.entry_points(group=group)


def _points() -> list[EntryPoint]:
    """The entry points by name and target. A package may be twice on the path, so equal ones count once."""
    unique = {(point.name, point.value): point for point in entry_points(group=ENTRY_POINT_GROUP)}
    return [unique[key] for key in sorted(unique)]
