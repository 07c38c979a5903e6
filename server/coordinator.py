"""One run of the federation, from the first hello to the last evaluation.

The order is that of every run that trains: handshake, alignment, split, training, evaluation. The parties align once
per run; under each seed the label holder splits the rows and trains its reserve model, and then each contender is
trained. With several banks, all of that happens for each bank in its sub-study (`fl/studies.py`), and what the banks
train together, in the study of all.
"""

import re
import secrets
import traceback
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import cast

from fl.blend import with_members
from fl.config.blend import BlendConfig
from fl.config.run import TrainingConfig
from fl.errors import ConfigError, ProtocolError
from fl.evaluation import Evaluation
from fl.protocols import VERTICAL, conversation_of, essential
from fl.reserve import RESERVE, TrainRequest
from fl.splits import Assigned, SplitRequest, in_all
from server import joining
from server.alignment import Alignment, align, doubts
from server.costs import Costs
from server.delivery import Messenger
from server.exchange import Exchange, FederationError, UnansweredError
from server.journal import Journal, journal_name
from server.meeting import introduce_banks
from server.progress import Progress, Report, of_bank
from server.roster import form_roster
from server.tracking.registry import register
from server.tracking.study import Study, store_uri
from server.training import OfBanks, Trainer, Training, title

_REFUSALS = (FederationError, ProtocolError, ConfigError)
_END = "trained"
"""File of the journal, below a model's name, that says what came of its training."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One federated model: its evaluation on the test rows, and what it took; seconds is wall time.

    run_id is that of its MLflow run; empty where nothing is logged. In a federation of several banks, bank is the one
    whose model it is; of a model that they have trained together, of_banks has the evaluation on each bank's test rows.
    """

    contender: str
    seed: int
    evaluation: Evaluation
    costs: Costs
    seconds: float
    run_id: str = ""
    bank: str = ""
    of_banks: Mapping[str, Evaluation] = field(default_factory=dict)


@dataclass(frozen=True)
class Federation:
    """A federation that is connected and aligned.

    If it has several banks, of_banks has for each the federation of it and the passive parties, in its sub-study.
    """

    exchange: Exchange
    alignment: Alignment
    of_banks: Mapping[str, "Federation"] = field(default_factory=dict)

    @property
    def vertical(self) -> Mapping[str, "Federation"]:
        """The federations with one label holder each, by its name; one that is vertical itself has no name."""
        return self.of_banks or {"": self}


def coordinate(grid: Messenger, config: TrainingConfig, report: Report) -> list[Trained]:
    """A whole run: connect, align, train every contender under every seed, and log each to MLflow.

    The runs go under `config.parent_run`, or under one of the coordinator's own when that is empty. A contender
    that is refused is reported with the reason, and the others go on; in a run of its own the coordinator raises
    FederationError at the end, with these reasons and what is trained. Any other failure ends the run, as does a
    party that stays away: it is reported, and raised again. With a journal, the same configuration then goes on
    with the run: what is trained is not trained again, and what failed is tried again. A blend comes after its
    members, which are trained, too, if they are not among the contenders.
    """
    config = config if config.study else replace(config, study=new_study_name(config.data))
    config = replace(config, contenders=with_members(config.contenders, config.section(BlendConfig).members))
    try:
        with (
            closing(Journal(config.journal, config.study, config.keep_studies)) as journal,
            _study(config, journal.is_resumed) as study,
        ):
            federation = connect(grid, config, report, journal)
            described = federation.exchange.roster.descriptions.values()
            study.mark_identities(all(about.pinned for about in described))
            trained, failures = [], []
            for seed in config.seeds:
                assigned = {}
                for bank, part in federation.vertical.items():
                    assigned[bank] = assign_roles(part, seed)
                    # Without a passive party nobody can be away, and nobody is unknown to all.
                    if config.contenders and part.exchange.roster.passive:
                        train_reserve(part, assigned[bank], seed, of_bank(report, bank))
                for part, training in _trainings(federation, config, seed, assigned, report):
                    try:
                        trained.append(_train_once(study, part, training, journal))
                    except UnansweredError:
                        raise
                    except _REFUSALS as error:
                        failures.append(f"{training.title}: {error}")
                        training.on_progress(Progress(training.contender, seed, failure=str(error)))
            if failures and not config.parent_run:
                others = [
                    f"{title(each.contender, each.bank, each.seed)}, is trained: run {each.run_id}."
                    for each in trained
                ]
                raise FederationError(" ".join([*failures, *others]))
            if not config.parent_run:
                journal.remove()
    except _REFUSALS as error:
        report(Progress("failed", text=str(error)))
        raise
    except Exception:
        report(Progress("failed", text=traceback.format_exc()))
        raise
    report(Progress("done"))
    return trained


def connect(
    grid: Messenger, config: TrainingConfig, on_progress: Report, journal: Journal | None = None
) -> Federation:
    """Handshake and alignment. Raises FederationError, ProtocolError or ConfigError."""
    unneeded = {"scoring"} if config.joins else {"scoring", "joining"}
    needed = [c for c in essential() if c.name not in unneeded]
    needed += dict.fromkeys(conversation_of(name) for name in config.contenders)
    exchange = Exchange(grid, config.study, config.party_timeout, journal)
    on_progress(Progress("connect"))
    described = exchange.connect(config.require_parties(), config.connect_timeout)
    exchange.roster = form_roster(described, needed)
    if config.joins:
        joining.giver_of(exchange.roster, config.newcomer)
    on_progress(Progress("align"))
    if exchange.roster.layout == VERTICAL:
        return _aligned(exchange, config, on_progress)
    if any(VERTICAL not in conversation_of(name).layouts for name in config.contenders):
        introduce_banks(exchange)
    # Who hands a model over needs no rows for that.
    banks = (config.newcomer,) if config.joins else exchange.roster.holders
    of_banks = {bank: _aligned(exchange.of_bank(bank), config, on_progress) for bank in banks}
    return Federation(exchange, Alignment.together(part.alignment for part in of_banks.values()), of_banks)


def _aligned(exchange: Exchange, config: TrainingConfig, on_progress: Report) -> Federation:
    """Align one label holder with the passive parties."""
    aligned = align(exchange, config.alignment)
    if doubt := doubts(aligned, exchange.roster):
        on_progress(Progress("align", text=doubt))
    return Federation(exchange, aligned)


def _trainings(
    federation: Federation,
    config: TrainingConfig,
    seed: int,
    assigned: Mapping[str, Assigned],
    report: Report,
) -> Iterator[tuple[Federation, Training]]:
    """What is to be trained under a seed, each with the federation that trains it."""
    for contender in config.contenders:
        if federation.exchange.roster.layout in conversation_of(contender).layouts:
            parts: Mapping[str, Federation] = {"": federation}
        else:
            parts = federation.of_banks
        for bank, part in parts.items():
            yield (
                part,
                Training(
                    contender=contender,
                    seed=seed,
                    assigned=assigned[bank] if bank in assigned else in_all(assigned.values()),
                    config=config,
                    on_progress=of_bank(report, bank),
                    bank=bank,
                    of_banks={} if bank in assigned else assigned,
                ),
            )


def assign_roles(federation: Federation, seed: int) -> Assigned:
    """The label holder's split of the rows under a seed."""
    return federation.exchange.ask_holder(SplitRequest(seed), f"splits/{seed}")


def train_reserve(federation: Federation, assigned: Assigned, seed: int, report: Report) -> None:
    """Let the label holder train its reserve model under a seed; report its curve and what it cost."""
    exchange, costs, began = federation.exchange, federation.exchange.costs, federation.exchange.seconds
    report(Progress(RESERVE, seed))
    curve = exchange.ask_holder(TrainRequest(seed, assigned.split), f"{RESERVE}/{seed}").curve
    spent = exchange.costs.since(costs).to_mapping() | {"seconds": exchange.seconds - began}
    looks = list(zip(*(values.tolist() for values in curve.values()), strict=True))
    for tree, look in enumerate(looks, start=1):
        report(
            Progress(
                RESERVE, seed, tree, len(looks), exchange.roster.holder, dict(zip(curve, look, strict=True))
            )
        )
    report(Progress(RESERVE, seed, costs=spent))


def train(federation: Federation, training: Training) -> Trained:
    """Train one contender and evaluate it."""
    exchange, costs, began = federation.exchange, federation.exchange.costs, federation.exchange.seconds
    trainer = joining if training.config.joins else conversation_of(training.contender).half("server")
    evaluated = cast(Trainer, trainer).train(exchange, training)
    judged = evaluated if isinstance(evaluated, OfBanks) else OfBanks(evaluated, {})
    return Trained(
        contender=training.contender,
        seed=training.seed,
        evaluation=judged.whole,
        bank=training.bank,
        of_banks=judged.of_banks,
        costs=exchange.costs.since(costs),
        seconds=exchange.seconds - began,
    )


def new_study_name(data: str) -> str:
    """A name that no earlier study has: that of the dataset's folder, as far as is short, the time, and chance."""
    label = re.sub(r"[^A-Za-z0-9_]+", "-", Path(data).name)[:60].strip("-") or "study"
    return f"{label}-{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@contextmanager
def _study(config: TrainingConfig, is_resumed: bool) -> Iterator[Study]:
    """The MLflow run above those of the contenders; only one of our own is ours to end."""
    uri = store_uri(config)
    if config.parent_run:
        yield Study.attach(uri, config.parent_run, is_resumed)
    else:
        params = config.to_mapping()
        with Study.start(uri, config.experiment, config.study, params=params, is_resumed=is_resumed) as study:
            yield study


def _train_once(study: Study, federation: Federation, training: Training, journal: Journal) -> Trained:
    """Train a contender, unless an earlier coordinator of this run has done so."""
    place = journal_name(training.bank, training.model)
    end = f"{place}/{_END}"
    trained = journal.next(end, Trained)
    if trained is None:
        trained = _train_tracked(study, federation, training)
        journal.add(end, trained)
        for name in (place, *(journal_name(bank, training.model) for bank in training.of_banks)):
            journal.drop(name)
    costs = trained.costs.to_mapping() | {"seconds": trained.seconds}
    training.on_progress(Progress(training.contender, training.seed, costs=costs))
    return trained


def _train_tracked(study: Study, federation: Federation, training: Training) -> Trained:
    report = training.on_progress
    trained_by = replace(training.config, contenders=(training.contender,), seeds=(training.seed,))
    params = dict(trained_by.to_mapping())
    with study.contender(training.contender, training.seed, params, training.bank) as run:

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
    for bank, evaluation in trained.of_banks.items():
        with study.contender(training.contender, training.seed, params, bank) as run_of_bank:
            run_of_bank.log_evaluation(evaluation)
    return replace(trained, run_id=run.run_id)
