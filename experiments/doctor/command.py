"""The command `siloscore doctor`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from experiments.federation.layout import Layout


def doctor(
    data: Annotated[Path, typer.Option(metavar="DIR", help="The party's folder, or the coordinator's.")],
    node: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="The party's SuperNode: its key and ca.crt. Default: that of `siloscore federation`.",
        ),
    ] = None,
    coordinator: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT",
            help="The coordinator's front door. Default: the one of `siloscore federation`.",
        ),
    ] = "",
) -> None:
    """Check that one organisation is ready to take part.

    There is a line for each check: versions, data, keys, partners, policy, disk, certificate, clock, front door. What
    is wrong is told with the remedy, and the exit code is 1 if a check fails. Nothing is changed.

    Example: siloscore doctor --data data/mine/bank --node node --coordinator coordinator.example:9443
    """
    from rich.markup import escape

    from clients.data.declaration import FILE_NAME
    from experiments.display import console
    from experiments.doctor import Verdict, findings
    from experiments.doctor.organisations import coordinator_checks, party_checks
    from experiments.federation.layout import Coordinator, Layout
    from fl.errors import ConfigError

    folder = data.resolve()
    if (data / FILE_NAME).exists():
        layout = Layout(folder.parent)
        node = node or layout.party(folder.name).folder
        checks = party_checks(data, node, coordinator or _front_door(layout))
    elif Coordinator(data).certificate.exists():
        checks = coordinator_checks(data, coordinator or _front_door(Layout(folder.parent.parent)))
    else:
        raise ConfigError(
            f"{data} is the folder of no organisation: a party's has a {FILE_NAME}, the coordinator's a server.crt."
        )
    colours = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILURE: "red"}
    width, found = max(map(len, checks)), findings(checks)
    for name, finding in found.items():
        label = f"[{colours[finding.verdict]}]{finding.verdict.value:7}[/]  {name:{width}}"
        console.print(f"{label}  {escape(finding.text)}", soft_wrap=True, highlight=False)
    if any(finding.verdict is Verdict.FAILURE for finding in found.values()):
        raise typer.Exit(1)


def _front_door(layout: "Layout") -> str:
    """That of a federation that runs on this machine, if one does."""
    from experiments.federation.coordinator import FRONT_DOOR
    from experiments.federation.layout import read_record

    record = read_record(layout)
    return f"localhost:{record.ports[FRONT_DOOR]}" if record else ""
