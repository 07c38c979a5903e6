"""The commands of `siloscore federation`: separate organisations on this machine, as processes of their own."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.options import Data, Parties

app = typer.Typer(
    help="Run separate organisations on this machine.\n\nEach is a process group of its own; they speak over TLS. "
    "Studies use them with --backend deployment.\n\nExample: siloscore federation up --data data/demo",
    no_args_is_help=True,
)
Party = Annotated[
    str, typer.Argument(metavar="PARTY", help="The party's folder in the dataset, such as tax.")
]


@app.command()
def up(
    data: Data = Path("data/demo"),
    parties: Parties = "",
    plain_supernodes: Annotated[
        bool,
        typer.Option(
            "--plain-supernodes",
            help="Parties answer by the code that the coordinator ships (docs/threat-model.md), and much slower.",
        ),
    ] = False,
) -> None:
    """Start the coordinator and all parties, and return when they are connected.

    Keys that are missing are made, and the parties' keys are written into each other's party.toml where that names no
    partners. Nothing that exists is changed.

    Example: siloscore federation up --data data/demo
    """
    from experiments.dataset import party_names
    from experiments.display import console
    from experiments.federation import lifecycle
    from experiments.settings import words

    def tell(sentence: str) -> None:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    names = party_names(data, words(parties))
    with console.status("Starting"):
        record = lifecycle.up(data, names, plain_supernodes, tell)
    tell(
        f"All are connected: {', '.join(record.parties)}. Studies use them with --backend deployment --data {data}"
    )
    tell(f"To end them: siloscore federation down --data {data}")


@app.command()
def status(data: Data = Path("data/demo")) -> None:
    """Show who is connected, which run goes on, at which step, and since when.

    The exit code is 1 when a party is not connected, or a program of the coordinator's does not run.

    Example: siloscore federation status --data data/demo
    """
    from rich.table import Column

    from clients.supervisor import RUNNING
    from experiments.backends.flower import BackendError
    from experiments.display import console
    from experiments.federation.layout import Layout
    from experiments.federation.lifecycle import running_record
    from experiments.federation.status import CONNECTED, rows_of, runs_of
    from experiments.tables import FittedTable

    record, layout = running_record(data), Layout(data.resolve())
    rows = rows_of(layout, record)
    wide = [Column(head, no_wrap=True) for head in ("Who", "State", "Since")]
    table = FittedTable(*wide, "", title=f"Federation of {data}, since {record.since}")
    for row in rows:
        table.add_row(row.name, row.state, row.since, row.meaning)
    console.print(table)
    try:
        runs = runs_of(layout, record)
    except BackendError as error:
        console.print(str(error), markup=False, soft_wrap=True)
    else:
        for run in runs:
            told = f"Run {run.study} since {run.since}: {run.step} (Flower's run {run.number})."
            console.print(told, markup=False, highlight=False, soft_wrap=True)
        if not runs:
            console.print("No run goes on.")
    if any(row.state not in (CONNECTED, RUNNING) for row in rows):
        raise typer.Exit(1)


@app.command()
def logs(
    party: Party,
    data: Data = Path("data/demo"),
    lines: Annotated[int, typer.Option(min=1, help="How many of the last lines of each log.")] = 20,
) -> None:
    """Show the last lines of a party's logs, or of the coordinator's.

    Example: siloscore federation logs tax --data data/demo
    """
    from clients.session import LOG
    from experiments.backends.flower import tail
    from experiments.display import console
    from experiments.federation.layout import Layout
    from fl.errors import ConfigError

    layout = Layout(data.resolve())
    files = [*sorted((layout.folder / party).glob("*.log")), layout.data / party / LOG]
    texts = {file: tail(file, lines) for file in files}
    if not any(texts.values()):
        raise ConfigError(f"{party} has no logs in {layout.folder}.")
    for file, text in texts.items():
        if text:
            console.print(f"{file}:", style="bold", markup=False, highlight=False, soft_wrap=True)
            console.print(text, markup=False, highlight=False, soft_wrap=True)


@app.command()
def stop(party: Party, data: Data = Path("data/demo")) -> None:
    """End a party's processes; the others go on.

    Example: siloscore federation stop tax --data data/demo
    """
    from experiments.display import console
    from experiments.federation import lifecycle

    lifecycle.stop(data, party)
    console.print(f"{party} has stopped.", markup=False)


@app.command()
def start(party: Party, data: Data = Path("data/demo")) -> None:
    """Start a party's processes again, and return when it is connected.

    After a party was killed, the coordinator refuses its key for up to a minute.

    Example: siloscore federation start tax --data data/demo
    """
    from experiments.display import console
    from experiments.federation import lifecycle

    with console.status("Starting"):
        lifecycle.start(data, party)
    console.print(f"{party} is connected.", markup=False)


@app.command()
def down(data: Data = Path("data/demo")) -> None:
    """End the coordinator and all parties, and whatever an earlier federation of this dataset has left.

    Keys, logs and the parties' states stay.

    Example: siloscore federation down --data data/demo
    """
    from experiments.display import console
    from experiments.federation import lifecycle

    ended = lifecycle.down(data)
    console.print(f"Ended {ended} processes." if ended else f"No federation runs on {data}.", markup=False)


@app.command()
def certificates(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The coordinator's folder.")],
    hosts: Annotated[
        list[str], typer.Option("--host", help="Name or address by which parties reach it. Can be repeated.")
    ],
) -> None:
    """Make a certificate for a coordinator on a host of its own, and at first the authority that signs it.

    An authority that exists signs a new certificate, which takes the place of the former one (docs/deploy.md).

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
    console.print(
        f"{coordinator.certificate} is for {', '.join(hosts)}, and {coordinator.key} is its key.",
        soft_wrap=True,
    )
