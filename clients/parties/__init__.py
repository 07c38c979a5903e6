"""Party types, and how a folder becomes a party.

A type is a subclass of `clients.parties.base.Party`, named by an entry point of group `siloscore.parties`.
This project's own types are declared that way too (pyproject.toml), so another package's type is no less.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from clients.declaration import FILE_NAME, read_declaration, write_declaration
from clients.errors import DataError, listing, suggestion
from clients.parties.base import Party

__all__ = ["ENTRY_POINT_GROUP", "Party", "open_party", "party_type", "party_types", "write_default"]

ENTRY_POINT_GROUP = "siloscore.parties"


def open_party(folder: Path, labelled: bool = True) -> Party:
    """The party whose data lie in `folder`, its declaration and its data read and validated; labels only if wanted.

    Raises `DataError` that says what is wrong with the folder and where.
    """
    folder = Path(folder)
    declaration = read_declaration(folder)
    return party_type(declaration.type, folder)(folder, declaration, labelled)


def write_default(folder: Path, type_name: str) -> None:
    """Write the declaration that a party type makes by default, in place of any `party.toml` in `folder`.

    A type that computes features declares all of them; `table` declares the columns of the one CSV or Parquet
    file in the folder. Raises `DataError` if the type is unknown or the file is missing.
    """
    folder = Path(folder)
    write_declaration(folder, party_type(type_name, folder).default_declaration(folder))


def party_types() -> Mapping[str, type[Party]]:
    """All installed party types by name; a type is imported, and can fail, only when it is looked up."""
    return _InstalledTypes()


def party_type(name: str, folder: Path | None = None) -> type[Party]:
    """The party type called `name`; `folder` is named in the error if there is none.

    Raises `DataError` if the type is not installed or cannot be imported.
    """
    types = _InstalledTypes()
    if name in types:
        return types[name]
    where = f"{folder / FILE_NAME}: " if folder is not None else ""
    hint = suggestion(name, types)
    raise DataError(
        f"{where}there is no party type '{name}'.{hint} Known types are {listing(types)}; "
        f"a type of another package must be installed for {sys.executable}."
    )


class _InstalledTypes(Mapping[str, type[Party]]):
    """The entry points as a mapping that imports a type only when it is asked for."""

    def __init__(self) -> None:
        # A package may be found twice on the path; the same name and target is the same type.
        found = {(point.name, point.value): point for point in entry_points(group=ENTRY_POINT_GROUP)}
        self._points: dict[str, list[EntryPoint]] = {}
        for (name, _), point in sorted(found.items()):
            self._points.setdefault(name, []).append(point)

    def __getitem__(self, name: str) -> type[Party]:
        points = self._points[name]
        if len(points) > 1:
            targets = listing(point.value for point in points)
            raise DataError(
                f"party type '{name}' is offered more than once ({targets}); uninstall all but one."
            )
        return _load(points[0])

    def __contains__(self, name: object) -> bool:
        return name in self._points

    def __iter__(self) -> Iterator[str]:
        return iter(self._points)

    def __len__(self) -> int:
        return len(self._points)


def _load(point: EntryPoint) -> type[Party]:
    try:
        loaded = point.load()
    except Exception as error:  # whatever another package's module does on import
        cause = f"{type(error).__name__}: {error}"
        raise DataError(f"party type '{point.name}' ({point.value}) cannot be imported: {cause}.") from error
    if not (isinstance(loaded, type) and issubclass(loaded, Party)):
        raise DataError(
            f"party type '{point.name}' ({point.value}) is not a subclass of clients.parties.base.Party."
        )
    if loaded.type != point.name:
        raise DataError(
            f"party type '{point.name}' ({point.value}) calls itself '{loaded.type}'; give it one name."
        )
    return loaded
