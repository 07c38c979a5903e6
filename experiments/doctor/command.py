"""The command `siloscore doctor`."""

from pathlib import Path
from typing import Annotated

import typer


def doctor(
    data: Annotated[Path, typer.Option(metavar="DIR", help="The party's folder, or the coordinator's.")],
    node: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="The party's SuperNode: its key and ca.crt. Default: ../federation/PARTY."
        ),
    ] = None,
    coordinator: Annotated[str, typer.Option(metavar="HOST:PORT", help="The coordinator's front door.")] = "",
) -> None:
    """Check that one organisation can take part: versions, clock, keys, certificate, data, disk, front door.

    There is a line for each check, with the remedy. The exit code is 1 if a check fails.

    Example: siloscore doctor --data data/mine/bank --node node --coordinator coordinator.example:9443
    """
    from rich.markup import escape

    from clients.data.declaration import FILE_NAME
    from experiments.display import console
    from experiments.doctor import Verdict, findings
    from experiments.doctor.organisations import coordinator_checks, party_checks
    from fl.errors import ConfigError

    if (data / FILE_NAME).exists():
        node = node or data.resolve().parent / "federation" / data.resolve().name
        checks = party_checks(data, node, coordinator)
    elif (data / "parties.toml").exists() or (data / "server.crt").exists():
        checks = coordinator_checks(data, coordinator)
    else:
        raise ConfigError(
            f"{data} is the folder of no organisation: a party's has a {FILE_NAME}, the coordinator's a parties.toml."
        )
    colours = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILURE: "red"}
    width, found = max(map(len, checks)), findings(checks)
    for name, finding in found.items():
        label = f"[{colours[finding.verdict]}]{finding.verdict.value:7}[/]  {name:{width}}"
        console.print(f"{label}  {escape(finding.text)}", soft_wrap=True, highlight=False)
    if any(finding.verdict is Verdict.FAILURE for finding in found.values()):
        raise typer.Exit(1)
