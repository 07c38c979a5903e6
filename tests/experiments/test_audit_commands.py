"""What `siloscore audit` says of a party's trail, and how it ends."""

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from clients.audit import FILE_NAME, HEAD_NAME, Line, Trail
from clients.data.column import Column
from clients.data.declaration import Declaration, write_declaration
from clients.identity import make_identity, read_identity
from experiments.cli import app
from fl.errors import ConfigError


def siloscore(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, arguments)], env={"COLUMNS": "100"})


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    """A bank that has sent two messages of one study, and one of another; the tax bureau has read the last."""
    bank, tax = tmp_path / "bank", tmp_path / "tax"
    for folder in (bank, tax):
        folder.mkdir()
        make_identity(folder)
        write_declaration(
            folder, Declaration("table", folder.name, columns=(Column("a", "numeric"),), file="a.csv")
        )
    plain = {"conversation": "boosting", "action": "split"}
    head = None
    for study, size in (("old", 100), ("old", 1_000), ("new", 40)):
        lines = [
            Line(study=study, **plain, bytes=7, content=("setting", "count")),
            Line(
                study=study,
                **plain,
                bytes=size,
                content=("aggregate", "per row"),
                receiver="tax",
                letter="task",
                grade=4,
            ),
        ]
        head = Trail(bank / "state").append(lines, read_identity(bank))
    Trail(tax / "state").append([Line(**plain, heads={"bank": head})], read_identity(tax))
    return bank


def rows(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines() if line.strip().endswith(("1", "4"))]


def test_show_sums_up_by_receiver_and_kind_of_content(bank: Path) -> None:
    shown = siloscore("show", bank)
    assert shown.exit_code == 0
    assert rows(shown.output) == [
        ["coordinator", "count", "3", "21", "1"],
        ["tax", "per", "row", "3", "1,140", "4"],
    ]


def test_show_sums_up_each_study(bank: Path) -> None:
    assert rows(siloscore("show", bank / "state", "--by-study").output) == [
        ["new", "coordinator", "count", "1", "7", "1"],
        ["new", "tax", "per", "row", "1", "40", "4"],
        ["old", "coordinator", "count", "2", "14", "1"],
        ["old", "tax", "per", "row", "2", "1,100", "4"],
    ]


@pytest.mark.parametrize("named", ["", "state"])
def test_a_whole_trail_is_told_so(bank: Path, named: str) -> None:
    verified = siloscore("verify", bank / named, "--partner", bank.parent / "tax")
    assert verified.exit_code == 0, verified.output
    assert "tax holds 1 head of bank." in verified.output
    assert "bank: all 6 lines are as they were written." in verified.output


def test_damage_ends_with_1(bank: Path) -> None:
    log = bank / "state" / FILE_NAME
    log.write_bytes(log.read_bytes().replace(b'"bytes":1000', b'"bytes":10'))
    verified = siloscore("verify", bank)
    assert verified.exit_code == 1
    assert verified.output == "Line 5 follows another line 4: one of these two was changed.\n"


def test_a_partner_finds_a_trail_that_was_made_whole_again(bank: Path) -> None:
    for name in (FILE_NAME, HEAD_NAME):
        (bank / "state" / name).unlink()
    line = Line(conversation="boosting", action="split")
    Trail(bank / "state").append([line], read_identity(bank))
    assert siloscore("verify", bank).exit_code == 0
    verified = siloscore("verify", bank, "--partner", bank.parent / "tax")
    assert verified.exit_code == 1
    assert "tax holds the head of line 6; the log ends at line 1." in verified.output


@pytest.mark.parametrize("command", ["show", "verify"])
def test_a_folder_without_a_trail_is_told_so(tmp_path: Path, command: str) -> None:
    ended = siloscore(command, tmp_path)
    assert isinstance(ended.exception, ConfigError)
    assert "has no audit trail; name the folder of a party that has taken part in a run" in str(
        ended.exception
    )
