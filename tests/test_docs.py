"""The documentation's commands exist as written, its links lead somewhere, and its settings are settings."""

import re
import shlex
from pathlib import Path

import pytest
import typer
import typer.core

from experiments.cli import app
from fl.config.run import app_defaults

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
COMMAND = re.compile(r"(?m)(?:^|`)(siloscore [a-z][^`\n]*)")


def commands(page: Path) -> list[str]:
    """What a page tells to type: each `siloscore …` in its text, lines that end in a backslash joined."""
    return COMMAND.findall(page.read_text("utf-8").replace("\\\n", " "))


CALLS = [(page.name, command) for page in PAGES for command in commands(page)]


def test_documentation_tells_commands() -> None:
    assert {"README.md", "results.md", "threat-model.md"} <= {page for page, _ in CALLS}


@pytest.mark.parametrize(("page", "command"), CALLS)
def test_command_can_be_typed(page: str, command: str) -> None:
    name, *words = shlex.split(command.split(" #")[0])[1:]
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    assert name in group.commands, f"{page}: there is no command {name}"
    if not words or any(word in ("…", "N", "DIR") for word in words):
        return  # the command's name, or a pattern
    group.commands[name].make_context(name, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_are_settings(page: Path) -> None:
    known = app_defaults()
    for name in re.findall(r"--set ([a-z.-]+)=", page.read_text("utf-8")):
        assert name in known, f"{page.name}: {name}"
