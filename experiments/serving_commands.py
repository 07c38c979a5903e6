"""The command of the bank's service for its loan system."""

from pathlib import Path
from typing import Annotated

import typer

_LOCAL = ("127.0.0.1", "::1", "localhost")


def serve(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The bank's folder.")],
    run: Annotated[
        str,
        typer.Option(
            help="The federated model to wait for: STUDY/CONTENDER/SEED, as siloscore compare prints it."
        ),
    ] = "",
    new_key: Annotated[
        str, typer.Option(metavar="CLIENT", help="Make a key for this client, print it, and serve nothing.")
    ] = "",
    policy: Annotated[
        Path | None,
        typer.Option(help="TOML file of the lending policy. Default: the policy in docs/report.md."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; others than this machine need TLS.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 takes a free one.")] = 8100,
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate with its chain, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="Private key of the certificate, PEM.")] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder of the bank's studies. Default: state in its folder.")
    ] = None,
) -> None:
    """Answer a loan system, and queue its applicants.

    The bank's reserve model answers at once, with the policy's decision and reasons. The applicants wait in a queue
    until siloscore score --every scores them by the federated model.

    Example: siloscore serve data/demo/bank --run STUDY/federated-boosting/1
    """
    from clients.data.declaration import read_declaration
    from clients.serving.keys import FILE_NAME
    from clients.serving.keys import new_key as make_key
    from fl.errors import ConfigError

    if read_declaration(folder).label is None:
        raise ConfigError(f"{folder} is not a bank's folder: its party.toml declares no label.")
    if new_key:
        print(make_key(folder, new_key))
        return
    if not run:
        raise ConfigError("Name the model by --run STUDY/CONTENDER/SEED, or a client by --new-key.")
    if not (folder / FILE_NAME).exists():
        raise ConfigError(
            f"{folder} has no {FILE_NAME}; `siloscore serve {folder} --new-key CLIENT` makes a key."
        )
    if (certificate is None) != (key is None):
        raise ConfigError("TLS needs both --certificate and --key.")
    if certificate is None and host not in _LOCAL:
        raise ConfigError(
            f"At {host} keys and applicants would travel unencrypted; give --certificate and --key, or let a proxy on "
            "this machine do that."
        )
    from experiments.serving import serve_bank

    serve_bank(folder, state or folder / "state", run, policy, host, port, certificate, key)
