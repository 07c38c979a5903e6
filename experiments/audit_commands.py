"""The commands of `siloscore audit`: what a party has sent, and whether its audit trail is whole."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from clients.audit import Line, Trail
    from fl.seals import PublicKeys

app = typer.Typer(
    help="Show what a party has sent, and check its audit trail.\n\nExample: siloscore audit verify data/mine/bank",
    no_args_is_help=True,
)
Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The party's folder, or the folder of its state.")
]


@app.command()
def show(
    folder: Folder,
    by_study: Annotated[bool, typer.Option("--by-study", help="Sum up each study by itself.")] = False,
) -> None:
    """Sum up what a party has sent: messages, bytes and the highest data grade, by receiver and kind of content.

    Example: siloscore audit show data/demo/bank
    """
    from experiments.display import console

    console.print(_summary(_trail(folder).lines(), by_study))


@app.command()
def verify(
    folder: Folder,
    partners: Annotated[
        list[Path],
        typer.Option(
            "--partner",
            metavar="DIR",
            help="A partner's folder, whose audit trail has heads of this one. Can be repeated.",
        ),
    ] = [],  # noqa: B006  (typer reads the default and never changes it)
) -> None:
    """Check that nothing in a party's audit trail was changed, removed, moved or cut off; exit code 1 if it was.

    The trail is compared with the head that the party has signed, and with those that its partners hold.

    Example: siloscore audit verify data/demo/bank --partner data/demo/tax
    """
    from clients.audit import heads_of
    from experiments.display import console

    trail, (name, keys) = _trail(folder), _party(folder)
    held = {str(partner): heads_of(_trail(partner).lines(), name) for partner in partners}
    damage = trail.damage(keys, held)
    for sentence in damage:
        console.print(sentence, style="red", markup=False, highlight=False, soft_wrap=True)
    for partner, heads in held.items():
        what = "head" if len(heads) == 1 else "heads"
        console.print(f"{partner} holds {len(heads):,} {what} of {name}.", markup=False, soft_wrap=True)
    if damage:
        raise typer.Exit(1)
    console.print(
        f"{name}: all {len(trail.lines()):,} lines are as they were written.", markup=False, soft_wrap=True
    )


def _trail(folder: Path) -> "Trail":
    """The audit trail in a party's folder, or in that of its state. Raises ConfigError if there is none."""
    from clients.audit import Trail
    from fl.errors import ConfigError

    for state in (folder, folder / "state"):
        if (trail := Trail(state)).exists:
            return trail
    raise ConfigError(
        f"{folder} has no audit trail; name the folder of a party that has taken part in a run."
    )


def _party(folder: Path) -> "tuple[str, PublicKeys]":
    """The name and public keys of the party with this folder, or with this folder of its state.

    Raises ConfigError if its keys are not there.
    """
    from clients.data.declaration import FILE_NAME, read_declaration
    from clients.identity import FILE_NAME as IDENTITY
    from clients.identity import read_identity
    from fl.errors import ConfigError

    folders = [one for one in (folder, folder.resolve().parent) if (one / FILE_NAME).exists()][:1]
    name = read_declaration(folders[0]).name if folders else folder.resolve().name
    for one in (*folders, folder, folder / "state"):
        if (one / IDENTITY).exists():
            return name, read_identity(one).public
    raise ConfigError(
        f"{folder} has no {IDENTITY}, by which the party signs its audit trail; name its own folder."
    )


def _summary(lines: "Iterable[Line]", by_study: bool) -> "Table":
    """Messages, bytes and the highest grade by receiver and kind of content, and by study if that is asked for."""
    from rich.table import Column

    from experiments.tables import FittedTable
    from fl.messages import Content

    kinds = [content.value for content in Content]
    groups: defaultdict[tuple[str, str, int], list[Line]] = defaultdict(list)
    for line in lines:
        tells_most = max((kinds.index(content) for content in line.content if content in kinds), default=-1)
        groups[line.study if by_study else "", line.receiver, tells_most].append(line)
    table = FittedTable(
        *([Column("Study", no_wrap=True)] if by_study else []),
        Column("Receiver", no_wrap=True),
        Column("Content", no_wrap=True),
        Column("Messages", justify="right", no_wrap=True),
        Column("Bytes", justify="right", no_wrap=True),
        Column("Grade", justify="right", no_wrap=True),
        title="What the party has sent",
        caption="A message stands under that kind of its content which tells most of single businesses. Grade is the "
        "highest data grade (JR/T 0197-2020) of the columns that it may derive from.",
    )
    for (study, receiver, rank), group in sorted(groups.items()):
        table.add_row(
            *([study or "–"] if by_study else []),
            receiver,
            kinds[rank] if rank >= 0 else "–",
            f"{len(group):,}",
            f"{sum(line.bytes for line in group):,}",
            str(max(line.grade for line in group)),
        )
    return table
