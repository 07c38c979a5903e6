"""Options that several commands and benchmarks share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Backend(StrEnum):
    """Where the federation runs."""

    simulation = "simulation"
    inline = "inline"
    deployment = "deployment"


class Role(StrEnum):
    """How an attacker behaves."""

    curious = "curious"
    active = "active"


Data = Annotated[Path, typer.Option(help="Folder of the dataset, with one folder per party.")]
Seeds = Annotated[str, typer.Option(help="Training seeds, comma-separated.")]
Parties = Annotated[
    str, typer.Option(help="Folders of the parties that take part, comma-separated. Default: all.")
]
TestIds = Annotated[Path | None, typer.Option(help="File with the ids of a fixed test set, one per line.")]
BackendOption = Annotated[
    Backend,
    typer.Option(
        help="Flower's Simulation Engine, everything in this process, which is faster, or the processes that "
        "`siloscore federation up` has started."
    ),
]
Store = Annotated[Path, typer.Option(help="MLflow's database file.")]
Experiment = Annotated[str, typer.Option(help="Name of the MLflow experiment.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the comparison to this file, too, as JSON.")]
Encryption = Annotated[
    str, typer.Option(help="Engine of the encrypted sums: lattice, paillier or plain. Default: lattice.")
]
AllowTwo = Annotated[
    bool,
    typer.Option(
        "--allow-two", help="Let two banks train together, though each can tell the other's part of a sum."
    ),
]
Setting = Annotated[
    list[str],
    typer.Option("--set", help="A setting of the run, such as network.defence=none. Can be repeated."),
]
