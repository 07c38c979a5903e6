"""All attacks of one party and on it, in every variant of a model, beside the test AUC of the very runs."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from clients.data.declaration import read_declaration
from experiments.attacks.evaluation import smallest_group
from experiments.attacks.recording import Recording
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from fl.protocols import conversation_of
from fl.splits import TEST
from server.progress import Progress, Report

Attack = Callable[[Any, str, np.random.Generator], pd.DataFrame]
"""Plays on a recording, and is named a participant."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is played on a contender.

    recording  the class of its recordings
    variants   gives the settings that are compared, by name, from those of the run, which must be among them
    labels     an attack of a receiver of messages on labels: success (AUC) from its `own` columns, and from what it
               `received`
    receivers  who plays it beside the passive party
    columns    an attack of the bank on the passive party's columns: a row for each
    tables     the figures for a terminal
    """

    recording: type[Recording]
    variants: Callable[[Any], dict[str, Any]]
    labels: Attack
    receivers: tuple[str, ...] = ()
    columns: Attack
    tables: "Callable[[Attacks], list[Table]]"


@dataclass(frozen=True)
class Attacks:
    """The figures of one passive party; means over the seeds.

    labels    by receiver, success (AUC) of each attack on labels: `own` from its own columns, if it has any, then by
              variant
    columns   what the bank can tell of each column of the party, with the settings of the run
    test_auc  of the model, by variant: what a defence costs
    group     the fewest applicants behind any number of an evaluation message
    """

    party: str
    labels: dict[str, pd.DataFrame]
    columns: pd.DataFrame
    test_auc: dict[str, float]
    group: int


def play_all(plan: Plan, config: TrainingConfig, party: str, report: Report) -> Attacks:
    """Train every variant under every seed and play every attack of and on a passive party, by default the first.

    Raises ConfigError when the federation has no such passive party, and what a run raises when it fails.
    """
    party = choose_passive(config, party)
    as_set = config.sections[conversation_of(plan.recording.contender).name]
    variants, receivers = plan.variants(as_set), (party, *plan.receivers)
    played: dict[str, dict[str, list[pd.DataFrame]]] = {receiver: defaultdict(list) for receiver in receivers}
    aucs, columns, groups = defaultdict(list), [], []
    for recording in plan.recording.of_runs(config, report, variants):
        rng = np.random.default_rng(recording.seed)
        for receiver in receivers:
            played[receiver][recording.name].append(plan.labels(recording, receiver, rng))
        aucs[recording.name].append(recording.evaluation.metrics["auc"])
        groups.append(smallest_group(recording.evaluation, int((recording.roles == TEST).sum())))
        if variants[recording.name] == as_set:
            columns.append(plan.columns(recording, party, rng))
    report(Progress("done"))
    return Attacks(
        party,
        {receiver: _side_by_side(tables) for receiver, tables in played.items()},
        _mean_of(columns),
        {name: float(np.mean(values)) for name, values in aucs.items()},
        min(groups),
    )


def choose_passive(config: TrainingConfig, party: str) -> str:
    """The passive party of that name, or the first. Raises ConfigError when there is none."""
    declared = [read_declaration(config.data_folder / name) for name in config.parties]
    passive = [declaration.name for declaration in declared if declaration.label is None]
    wanted = party or next(iter(passive), party)
    if wanted not in passive:
        raise ConfigError(f"There is no passive party {party!r}; there are {', '.join(passive) or 'none'}.")
    return wanted


def _side_by_side(played: dict[str, list[pd.DataFrame]]) -> pd.DataFrame:
    own = _mean_of([table[["own"]] for tables in played.values() for table in tables])
    beside = own.assign(**{name: _mean_of(tables)["received"] for name, tables in played.items()})
    return beside.dropna(axis="columns", how="all")


def _mean_of(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The mean of tables with the same rows."""
    return pd.concat(tables).groupby(level=0, sort=False).mean()
