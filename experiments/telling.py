"""What every command says beside its results, on standard error: warnings and errors, each a sentence."""

from rich.console import Console
from rich.markup import escape

_errors = Console(stderr=True)


def warn(warning: str) -> None:
    """Print a sentence on what may disappoint."""
    _errors.print(f"[yellow]Warning:[/yellow] {escape(warning)}", highlight=False, soft_wrap=True)


def tell_error(error: str) -> None:
    """Print a sentence on what failed, and what to do."""
    _errors.print(f"[red]Error:[/red] {escape(error)}", highlight=False, soft_wrap=True)
