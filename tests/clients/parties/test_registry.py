"""Party types come from entry points; one that cannot be used says so, and only when it is asked for."""

from importlib.metadata import EntryPoint, EntryPoints, version
from pathlib import Path

import pytest

import clients.parties
from clients.data.declaration import FILE_NAME
from clients.data.errors import DataError
from clients.parties import ENTRY_POINT_GROUP, Origin, open_party, origins, party_type, register
from clients.parties.base import Party
from clients.parties.supply_chain import SupplyChainParty
from clients.parties.table import TableParty


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """The entry points that the registry finds; a test adds to the list."""
    points = [EntryPoint("table", "clients.parties.table:TableParty", ENTRY_POINT_GROUP)]

    def entry_points(group: str) -> EntryPoints:
        return EntryPoints(point for point in points if point.group == group)

    monkeypatch.setattr(clients.parties, "entry_points", entry_points)
    return points


def write(folder: Path, type_name: str) -> None:
    (folder / FILE_NAME).write_text(f'type = "{type_name}"\n')


def test_the_types_of_this_project_are_installed() -> None:
    assert {"bank", "tax", "supply_chain", "table", "utility"} <= {origin.name for origin in origins()}
    assert party_type("table") is TableParty


def test_a_folder_is_opened_as_the_type_that_it_declares(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("business_id,age\n007,3\n")
    (tmp_path / FILE_NAME).write_text('type = "table"\nfile = "x.csv"\n[columns.age]\nkind = "numeric"\n')

    assert isinstance(open_party(tmp_path), TableParty)


def test_an_unknown_type_is_answered_with_the_nearest_and_all_known(
    tmp_path: Path, installed: list[EntryPoint]
) -> None:
    write(tmp_path, "tabel")

    with pytest.raises(DataError) as caught:
        open_party(tmp_path)

    assert str(caught.value).startswith(
        f"{tmp_path / FILE_NAME}: there is no party type 'tabel'. Did you mean 'table'? "
        "Known types are 'table'; a type of another package must be installed for "
    )


def test_a_type_that_cannot_be_imported_fails_only_when_it_is_asked_for(
    tmp_path: Path, installed: list[EntryPoint]
) -> None:
    installed.append(EntryPoint("telecom", "no_such_package.telecom:TelecomParty", ENTRY_POINT_GROUP))

    assert [origin.name for origin in origins()] == ["table", "telecom"]
    assert party_type("table") is TableParty
    write(tmp_path, "telecom")
    with pytest.raises(DataError) as caught:
        open_party(tmp_path)
    assert str(caught.value) == (
        "party type 'telecom' (no_such_package.telecom:TelecomParty) cannot be imported: "
        "ModuleNotFoundError: No module named 'no_such_package'."
    )


def test_a_type_must_be_a_party(installed: list[EntryPoint]) -> None:
    installed.append(EntryPoint("path", "pathlib:Path", ENTRY_POINT_GROUP))

    with pytest.raises(
        DataError, match=r"'path' \(pathlib:Path\) is not a subclass of clients.parties.base.Party"
    ):
        party_type("path")


def test_a_type_must_be_installed_under_its_own_name(installed: list[EntryPoint]) -> None:
    installed.append(EntryPoint("tabel", "clients.parties.table:TableParty", ENTRY_POINT_GROUP))

    with pytest.raises(DataError, match=r"party type 'tabel' .* calls itself 'table'"):
        party_type("tabel")


def test_a_name_that_two_packages_claim_is_refused(installed: list[EntryPoint]) -> None:
    installed.append(EntryPoint("table", "other.table:TableParty", ENTRY_POINT_GROUP))

    with pytest.raises(DataError, match="party type 'table' is offered more than once"):
        party_type("table")


def test_a_package_found_twice_on_the_path_is_one(installed: list[EntryPoint]) -> None:
    installed.append(installed[0])

    assert party_type("table") is TableParty


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> dict:
    """What is registered in this process, for the test alone."""
    monkeypatch.setattr(clients.parties, "registered", {})
    return clients.parties.registered


def test_a_registered_type_is_as_good_as_an_installed_one(
    installed: list[EntryPoint], registered: dict, tmp_path: Path
) -> None:
    @register
    class Notebook(TableParty):
        type = "notebook"

    assert [origin.name for origin in origins()] == ["notebook", "table"]
    assert party_type("notebook") is Notebook
    (tmp_path / "x.csv").write_text("business_id,age\n007,3\n")
    (tmp_path / FILE_NAME).write_text('type = "notebook"\nfile = "x.csv"\n[columns.age]\nkind = "numeric"\n')
    assert isinstance(open_party(tmp_path), Notebook)


def test_registering_a_name_again_replaces_the_class(installed: list[EntryPoint], registered: dict) -> None:
    for _ in range(2):

        @register
        class Notebook(TableParty):
            type = "notebook"

    assert party_type("notebook") is Notebook


def test_what_cannot_be_registered_is_told(installed: list[EntryPoint], registered: dict) -> None:
    class Nameless(Party):
        pass

    with pytest.raises(DataError, match=r"pathlib[a-z._]*:Path cannot be registered: it is not a subclass"):
        register(Path)
    with pytest.raises(DataError, match="it needs a name, such as"):
        register(Nameless)
    with pytest.raises(DataError, match="an installed party type is also called 'table'"):
        register(TableParty)


def test_it_is_known_where_a_type_comes_from(registered: dict) -> None:
    @register
    class Notebook(TableParty):
        type = "notebook"

    found = {origin.name: origin for origin in origins()}

    assert found["supply_chain"] == Origin(
        "supply_chain", "clients.parties.supply_chain:SupplyChainParty", "siloscore", version("siloscore")
    )
    assert party_type("supply_chain") is SupplyChainParty
    assert found["notebook"].target.endswith("Notebook")
    assert found["notebook"].distribution == ""
