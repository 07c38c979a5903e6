"""The bank's service for its loan system as a command, and the coordinator's command that scores what it queues."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import numpy as np
import typer
from numpy.typing import NDArray

from experiments.servers import free_port
from fl.errors import ConfigError

if TYPE_CHECKING:
    from clients.serving.scorer import Scorer
    from clients.serving.service import Decision
    from experiments.lending.policy import CashFlow, Policy
    from fl.tables import Table

_LOCAL = ("127.0.0.1", "::1", "localhost")
_CONNECTIONS = 500


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
    from clients.serving.keys import FILE_NAME
    from clients.serving.keys import new_key as make_key

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
    _serve(folder, state or folder / "state", run, policy, host, port, certificate, key)


def _serve(
    folder: Path,
    state: Path,
    run: str,
    policy: Path | None,
    host: str,
    port: int,
    certificate: Path | None,
    key: Path | None,
) -> None:
    import uvicorn

    from clients.serving.app import create_app
    from clients.serving.keys import Keys
    from clients.serving.queue import Queue
    from clients.serving.scorer import Scorer
    from clients.serving.service import Service
    from clients.session import QUEUE
    from experiments.display import console
    from experiments.lending.policy import DEFAULT, read_policy

    scorer = Scorer(folder, state, run)
    lender = PolicyLender(scorer, *read_policy(policy or DEFAULT))
    service = Service(scorer, Queue(state / QUEUE), lender)
    port = port or free_port()
    config = uvicorn.Config(
        create_app(service, Keys(folder)),
        host=host,
        port=port,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        log_level="warning",
        # It would log the ids of applicants.
        access_log=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
    )
    address = f"http{'s' if certificate else ''}://{host}:{port}"
    console.print(f"{scorer.declaration.name} serves {run} at {address}/docs", soft_wrap=True, markup=False)
    uvicorn.Server(config).run()


class PolicyLender:
    """The lender's policy; the cut-off of each model is chosen on the validation rows of its study, as for a report."""

    def __init__(self, scorer: "Scorer", policy: "Policy", cash_flow: "CashFlow") -> None:
        from clients.aligned import read_applications, read_table
        from clients.scores import Scores
        from clients.store import Store
        from experiments.lending.decisions import choose_cutoff
        from fl.splits import VALIDATION, Split

        self._cash_flow = cash_flow
        seed = scorer.model.rpartition("/")[2]
        roles = Store(scorer.study.folder / "splits" / seed).read(Split).roles
        validates = roles == VALIDATION
        labels = read_applications(scorer.study).labels[validates]
        flows = cash_flow.of(read_table(scorer.study))[validates]
        self._reserve, self._federated = (
            choose_cutoff(labels, model.read(Scores).pd[validates], flows, policy)
            for model in (scorer.reserve, scorer.federated_model)
        )

    def cash_flow(self, table: "Table") -> NDArray[np.float64]:
        """The mean monthly cash flow (n,) of the rows of the bank's table, CNY, NaN where unknown."""
        return self._cash_flow.of(table)

    def decide(
        self, pds: NDArray[np.float64], cash_flow: NDArray[np.float64], is_federated: bool
    ) -> "list[Decision]":
        """Decide by PDs (n,), all of the federated or all of the reserve model."""
        from clients.serving.service import Decision
        from experiments.lending.decisions import decide

        made = decide(pds, cash_flow, self._federated if is_federated else self._reserve)
        return [Decision(*of_one) for of_one in zip(*(array.tolist() for array in made), strict=True)]


def score_queue(
    uri: str,
    run: str,
    every: float,
    data: Path | None,
    parties: tuple[str, ...],
    backend: str,
    tell: Callable[[str], object],
) -> NoReturn:
    """Score the applicants that wait at the bank by the model of a run, every so many seconds, until it is ended.

    What comes of each batch is told in a sentence. A batch that fails ends nothing: its applicants wait for the next.
    Raises ConfigError if there is no such model.
    """
    from experiments.backends import open_backend
    from experiments.failures import EXPECTED, sentence
    from experiments.scoring import parties_there, scoring_config
    from server.progress import Progress
    from server.tracking.registry import find_model

    model = find_model(uri, run)
    folder, names = parties_there(model, data, parties)
    with open_backend(backend, len(names)) as run_federation:
        while True:
            began, events = time.monotonic(), list[Progress]()
            try:
                run_federation(scoring_config(model, uri, folder, names), events.append)
                said = events[-1].text if events else ""
            except EXPECTED as error:
                said = sentence(error)
            if said:
                tell(f"{datetime.now():%Y-%m-%d %H:%M:%S} {said}")
            time.sleep(max(0.0, began + every - time.monotonic()))


def seconds_of(text: str) -> float:
    """An interval such as 60s, 10m or 1h in seconds. Raises ConfigError for another text, and for less than a second.

    >>> [seconds_of(text) for text in ("90s", "10m", "1.5h")]
    [90.0, 600.0, 5400.0]
    """
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    try:
        seconds = float(text[:-1]) * units[text[-1:]]
    except (KeyError, ValueError):
        seconds = 0.0
    if not 1 <= seconds < float("inf"):
        raise ConfigError(f"An interval is a number with s, m or h, such as 60s, and not {text!r}.")
    return seconds
