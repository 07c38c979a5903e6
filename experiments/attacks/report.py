"""All attacks of one party and on it, under every defence, beside the test AUC of the very run they were played on."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from clients.data.declaration import read_declaration
from experiments.attacks import features, labels
from experiments.attacks.evaluation import smallest_group
from experiments.attacks.recording import record
from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from fl.splits import TEST
from server.progress import Progress, Report

DEFENCES = ("none", "max-norm", "gaussian")


@dataclass(frozen=True)
class Attacks:
    """The figures of one passive party; means over the seeds.

    labels    success (AUC) of each attack of the party on labels: `own` from its own columns, then by defence
    columns   R² of the bank's reconstruction of each numeric column under the defence of the configuration
    test_auc  of the model, by defence: what the defence costs
    group     the fewest applicants behind any number of an evaluation message
    """

    party: str
    labels: pd.DataFrame
    columns: pd.DataFrame
    test_auc: dict[str, float]
    group: int


def play_all(config: TrainingConfig, party: str, report: Report) -> Attacks:
    """Train under every defence and seed and play every attack of and on a passive party, by default the first.

    Raises ConfigError when the federation has no such passive party, and what a run raises when it fails.
    """
    party = choose_passive(config, party)
    as_set = config.section(NetworkConfig)
    networks = {name: replace(as_set, defence=name) for name in DEFENCES}
    played: dict[str, list[pd.DataFrame]] = {name: [] for name in DEFENCES}
    aucs: dict[str, list[float]] = {name: [] for name in DEFENCES}
    columns, groups = [], []
    for recording in record(config, report, networks):
        rng = np.random.default_rng(recording.seed)
        played[recording.name].append(labels.play(recording, party, as_set.bins, rng))
        aucs[recording.name].append(recording.evaluation.metrics["auc"])
        groups.append(smallest_group(recording.evaluation, int((recording.roles == TEST).sum())))
        if recording.name == as_set.defence:
            columns.append(features.reconstruct(recording, party, as_set.bins, rng))
    report(Progress("done"))
    means = {name: float(np.mean(values)) for name, values in aucs.items()}
    return Attacks(party, _side_by_side(played), mean_of(columns), means, min(groups))


def choose_passive(config: TrainingConfig, party: str) -> str:
    """The passive party of that name, or the first. Raises ConfigError when there is none."""
    declared = [read_declaration(config.data_folder / name) for name in config.parties]
    passive = [declaration.name for declaration in declared if declaration.label is None]
    wanted = party or next(iter(passive), party)
    if wanted not in passive:
        raise ConfigError(f"There is no passive party {party!r}; there are {', '.join(passive) or 'none'}.")
    return wanted


def _side_by_side(played: dict[str, list[pd.DataFrame]]) -> pd.DataFrame:
    own = mean_of([table[["own"]] for tables in played.values() for table in tables])
    return own.assign(**{name: mean_of(tables)["gradients"] for name, tables in played.items()})


def mean_of(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The mean of tables with the same rows."""
    return pd.concat(tables).groupby(level=0, sort=False).mean()
