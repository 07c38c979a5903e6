"""The help of `siloscore`, a line per command, so that it fits a terminal of 80 columns and 24 lines."""

from itertools import groupby
from typing import Any

from typer import Context
from typer.core import TyperGroup

STUDIES, PARTIES, TRUST, DEPLOYMENT = "Studies", "Parties", "Trust", "Deploy"
"""Groups of commands (`rich_help_panel`), in the order of the help."""


class OneScreen(TyperGroup):
    """A group of commands whose help lists them by their `rich_help_panel`, each by its first sentence."""

    def format_help(self, ctx: Context, formatter: Any) -> None:
        """Write the help: each group's name stands beside its first command."""
        self.format_usage(ctx, formatter)
        groups = groupby(sorted(self.commands.values(), key=_place), _panel)
        panels = {panel: list(commands) for panel, commands in groups}
        margin, width = max(map(len, panels)), max(map(len, self.commands))
        for panel, commands in panels.items():
            for number, command in enumerate(commands):
                line = command.get_short_help_str(formatter.width - margin - width - 4)
                heading = "" if number else panel
                formatter.write(f"{heading:{margin}}  {command.name:{width}}  {line}\n")


def _panel(command: object) -> str:
    return getattr(command, "rich_help_panel", None) or "Others"


def _place(command: object) -> int:
    return [STUDIES, PARTIES, TRUST, DEPLOYMENT, "Others"].index(_panel(command))
