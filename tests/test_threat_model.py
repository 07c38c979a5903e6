"""`docs/threat-model.md` names every message that crosses a border, and every field of it.

Who adds a field or a protocol adds a line on what it tells its receiver, or this fails.
"""

import ast
import re
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest

from fl.config.network import NetworkConfig
from fl.messages import Envelope

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
# The lines of its tables, each with the names that it quotes as code.
QUOTED = [set(re.findall(r"`([\w-]+)`", line)) for line in DOCUMENT.splitlines() if line.startswith("|")]


@dataclass(frozen=True)
class Action:
    """A function that a party answers by."""

    protocol: str
    name: str

    def messages(self) -> tuple[type, type]:
        """The types of its request and of its reply."""
        hints = get_type_hints(getattr(import_module(f"clients.{self.protocol}"), self.name))
        return hints["request"], hints["return"]


def served() -> list[Action]:
    """The actions of the calls `serve("protocol", kind=("name", …))` in `clients/app.py`."""
    tree = ast.parse((ROOT / "clients" / "app.py").read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [
        Action(ast.literal_eval(call.args[0]), name)
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "serve"
        for keyword in call.keywords
        for name in ast.literal_eval(keyword.value)
    ]


MESSAGES = sorted({kind for action in served() for kind in action.messages()}, key=lambda kind: kind.__name__)


def test_the_actions_are_found() -> None:
    assert Action("network", "backward") in served()
    assert len(MESSAGES) > 15


@pytest.mark.parametrize("kind", [*MESSAGES, Envelope], ids=lambda kind: kind.__name__)
def test_every_message_stands_in_the_document_with_all_its_fields(kind: type) -> None:
    of_the_message = [names for names in QUOTED if kind.__name__ in names]
    assert of_the_message, f"docs/threat-model.md has no line on {kind.__name__}"
    told = set().union(*of_the_message)
    missing = [item.name for item in fields(kind) if item.name not in told]
    assert missing == [], f"docs/threat-model.md does not say what {kind.__name__} tells by {missing}"


def test_the_document_names_no_message_that_is_gone() -> None:
    ends = ("Request", "Ids", "Orders")
    named = {name for names in QUOTED for name in names if name.endswith(ends)}
    assert named <= {kind.__name__ for kind in MESSAGES}


def test_the_defence_that_the_document_describes_is_the_default() -> None:
    config = NetworkConfig()
    assert f"`{config.defence}`, on by default" in DOCUMENT
    assert f"`network.noise` = {config.noise:g}," in DOCUMENT
