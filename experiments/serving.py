"""The bank's service under the lender's policy."""

import ssl
from pathlib import Path

import numpy as np
import uvicorn
from numpy.typing import NDArray

from clients.aligned import read_applications, read_table
from clients.scores import Scores
from clients.serving.app import create_app
from clients.serving.keys import Keys
from clients.serving.queue import Queue
from clients.serving.scorer import Scorer
from clients.serving.service import Decision, Service
from clients.session import QUEUE
from clients.store import Store
from experiments.display import console
from experiments.lending.decisions import choose_cutoff, decide
from experiments.lending.policy import DEFAULT, CashFlow, Policy, read_policy
from experiments.servers import check_port, free_port
from fl.errors import ConfigError
from fl.splits import VALIDATION, Split
from fl.tables import Table

_CONNECTIONS = 500


def serve_bank(
    folder: Path,
    state: Path,
    run: str,
    policy: Path | None,
    host: str,
    port: int,
    certificate: Path | None,
    key: Path | None,
) -> None:
    """Serve the bank with this folder and state until the process is ended; see `experiments.serving_commands.serve`.

    Raises ConfigError and DataError where model, policy, keys or data are not in order.
    """
    port = port or free_port()
    check_port(port)
    if certificate and key:
        _check_certificate(certificate, key)
    scorer = Scorer(folder, state, run)
    lender = PolicyLender(scorer, *read_policy(policy or DEFAULT))
    service = Service(scorer, Queue(state / QUEUE), lender)
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


def _check_certificate(certificate: Path, key: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:
        raise ConfigError(
            f"{certificate} and {key} are no certificate and its key in PEM ({error})."
        ) from None


class PolicyLender:
    """The lender's policy; the cut-off of each model is chosen on the validation rows of its study, as for a report."""

    def __init__(self, scorer: Scorer, policy: Policy, cash_flow: CashFlow) -> None:
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

    def cash_flow(self, table: Table) -> NDArray[np.float64]:
        """The mean monthly cash flow (n,) of the rows of the bank's table, CNY, NaN where unknown."""
        return self._cash_flow.of(table)

    def decide(
        self, pds: NDArray[np.float64], cash_flow: NDArray[np.float64], is_federated: bool
    ) -> list[Decision]:
        """Decide by PDs (n,), all of the federated or all of the reserve model."""
        made = decide(pds, cash_flow, self._federated if is_federated else self._reserve)
        return [Decision(*of_one) for of_one in zip(*(array.tolist() for array in made), strict=True)]
