"""One run of the federation, from the first hello to the last evaluation.

The order is that of every protocol: handshake, alignment, split, training, evaluation. The parties align once
per run, then each contender is trained under each seed.
"""

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from flwr.serverapp import Grid

from fl import alignment, handshake, splits
from fl.config import RunConfig
from fl.errors import ConfigError
from fl.evaluation import Evaluation
from fl.handshake import Roster, form_roster
from fl.splits import Roles, Split, SplitRequest
from server import boosting, network, scorecard
from server.alignment import Alignment, align, doubts
from server.exchange import Costs, Exchange
from server.progress import Progress, Report
from server.tracking.registry import register
from server.tracking.study import Study, store_uri
from server.training import Training


class TrainingProtocol(Protocol):
    """What a module `server/<protocol>.py` offers."""

    PROTOCOL: str

    def train(self, exchange: Exchange, roster: Roster, training: Training) -> Evaluation:
        """Train one model and evaluate it."""
        ...


CONTENDERS: dict[str, TrainingProtocol] = {
    "federated-boosting": boosting,
    "federated-network": network,
    "federated-scorecard": scorecard,
}


@dataclass(frozen=True)
class Trained:
    """One federated model: its evaluation on the test rows, and what it took; seconds is wall time."""

    contender: str
    seed: int
    evaluation: Evaluation
    costs: Costs
    seconds: float


@dataclass(frozen=True)
class Federation:
    """A federation that is connected and aligned."""

    exchange: Exchange
    roster: Roster
    alignment: Alignment


def coordinate(grid: Grid, config: RunConfig, report: Report) -> list[Trained]:
    """A whole run: connect, align, train every contender under every seed, and log each to MLflow.

    The runs go under `config.parent_run`, or under one of the coordinator's own when that is empty. A failure is
    reported with its reason, and raised again.
    """
    config = config if config.study else replace(config, study=new_study_name(config.data))
    try:
        with _study(config) as study:
            federation = connect(grid, config, report)
            trained = []
            for seed in config.seed_numbers:
                roles = assign_roles(federation, seed)
                for contender in config.contender_names:
                    training = Training(contender, seed, roles, config, report)
                    trained.append(_train_tracked(study, federation, training))
    except Exception as error:
        report(Progress("failed", text=str(error)))
        raise
    report(Progress("done"))
    return trained


def connect(grid: Grid, config: RunConfig, on_progress: Report) -> Federation:
    """Handshake and alignment. Raises FederationError, ProtocolError or ConfigError."""
    protocols = {alignment.VERSION, handshake.VERSION, splits.VERSION}
    protocols |= {protocol_of(name).PROTOCOL for name in config.contender_names}
    exchange = Exchange(grid, config.study, config.timeout)
    on_progress(Progress("connect"))
    roster = form_roster(
        exchange.connect(len(config.party_names), config.connect_timeout), tuple(sorted(protocols))
    )
    on_progress(Progress("align"))
    aligned = align(exchange, roster, config.alignment)
    if doubt := doubts(aligned, roster):
        on_progress(Progress("align", text=doubt))
    return Federation(exchange, roster, aligned)


def assign_roles(federation: Federation, seed: int) -> Roles:
    """The active party's split of the rows under a seed: int8 (n,)."""
    active = federation.roster.active
    request = {active: SplitRequest(seed)}
    return federation.exchange.ask("train.splits_assign", request, Split, f"splits/{seed}")[active].roles


def train(federation: Federation, training: Training) -> Trained:
    """Train one contender and evaluate it."""
    exchange = federation.exchange
    costs, began = exchange.costs, time.perf_counter()
    evaluation = protocol_of(training.contender).train(exchange, federation.roster, training)
    spent = exchange.costs.since(costs)
    return Trained(training.contender, training.seed, evaluation, spent, time.perf_counter() - began)


def new_study_name(data: str) -> str:
    """A name that no earlier study has: that of the dataset's folder, as far as is short, the time, and chance."""
    label = re.sub(r"[^A-Za-z0-9_]+", "-", Path(data).name)[:60].strip("-") or "study"
    return f"{label}-{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@contextmanager
def _study(config: RunConfig) -> Iterator[Study]:
    """The MLflow run above those of the contenders; only one of our own is ours to end."""
    uri = store_uri(config)
    if config.parent_run:
        yield Study.attach(uri, config.parent_run)
    else:
        with Study.start(uri, config.experiment, config.study, params=config.to_mapping()) as study:
            yield study


def _train_tracked(study: Study, federation: Federation, training: Training) -> Trained:
    report = training.on_progress
    with study.contender(training.contender, training.seed, dict(training.config.to_mapping())) as run:

        def log_and_report(event: Progress) -> None:
            if any(name.startswith("valid.") for name in event.metrics):
                run.log_round(event.step, event.metrics)
            report(event)

        trained = train(federation, replace(training, on_progress=log_and_report))
        run.log_evaluation(trained.evaluation)
        costs = trained.costs.to_mapping() | {"seconds": trained.seconds}
        run.log_costs(costs)
        if training.config.register:
            register(run, training.config)
        report(Progress(training.contender, training.seed, costs=costs))
        return trained


def protocol_of(contender: str) -> TrainingProtocol:
    """The protocol that trains a contender. Raises ConfigError if there is none of that name."""
    if contender not in CONTENDERS:
        raise ConfigError(
            f"There is no federated contender {contender!r}; there are {', '.join(CONTENDERS)}."
        )
    return CONTENDERS[contender]
