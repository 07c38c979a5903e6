"""The command `siloscore federation certificates`."""

from pathlib import Path
from typing import Annotated

import typer


def certificates(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The coordinator's folder.")],
    hosts: Annotated[
        list[str], typer.Option("--host", help="Name or address by which parties reach it. Can be repeated.")
    ],
) -> None:
    """Make a certificate for the coordinator's host, and at first the authority that signs it.

    An authority that exists signs a new certificate in place of the former one. Parties need `ca.crt` alone.

    Example: siloscore federation certificates /srv/siloscore/coordinator --host coordinator.example
    """
    from experiments.display import console
    from experiments.federation.certificates import make_certificates
    from experiments.federation.layout import Coordinator

    coordinator = Coordinator(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if make_certificates(coordinator, hosts):
        console.print(
            f"{coordinator.authority} is for the parties. Keep {coordinator.authority_key} where nobody else gets it: "
            "whoever has it can look like the coordinator.",
            soft_wrap=True,
        )
    console.print(f"{coordinator.certificate} is for {', '.join(hosts)}, and {coordinator.key} is its key.", soft_wrap=True)
