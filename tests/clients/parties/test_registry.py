"""Party types come from entry points; one that cannot be used says so, and only when it is asked for."""

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

import clients.parties
from clients.declaration import FILE_NAME
from clients.errors import DataError
from clients.parties import ENTRY_POINT_GROUP, open_party, party_type, party_types
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
    assert {"bank", "tax", "supply_chain", "table"} <= set(party_types())
    assert party_types()["table"] is TableParty


def test_every_type_of_this_project_can_be_imported() -> None:
    for name in ("bank", "tax", "supply_chain", "table"):
        assert party_types()[name].type == name


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

    assert set(party_types()) == {"table", "telecom"}
    assert "telecom" in party_types()
    assert party_types()["table"] is TableParty
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
