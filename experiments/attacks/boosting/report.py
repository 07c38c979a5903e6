"""All attacks on boosting: of one passive party, of the bank on that party, and of the coordinator."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from experiments.attacks.boosting import labels
from experiments.attacks.boosting.bins import reconstruct
from experiments.attacks.boosting.recording import record
from experiments.attacks.evaluation import smallest_group
from experiments.attacks.report import choose_passive, mean_of
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.splits import TEST
from server.progress import Progress, Report

AS_SET, BANK_FIRST, LEAVES = "as-set", "bank-first", "leaves"

LARGER = 5
"""How many times larger leaves are under the option `LEAVES`."""


@dataclass(frozen=True)
class Attacks:
    """The figures of one passive party; means over the seeds.

    labels       success (AUC) of each attack of the party on labels: `own` from its own columns, then by option
    coordinator  the same of a coordinator that opens the letters it carries, which has no columns
    bins         share of rows whose bin the bank names rightly, by column, under the options as set
    test_auc     of the model, by option
    group        the fewest applicants behind any number of an evaluation message
    """

    party: str
    labels: pd.DataFrame
    coordinator: pd.DataFrame
    bins: pd.DataFrame
    test_auc: dict[str, float]
    group: int


def options(config: BoostingConfig) -> dict[str, BoostingConfig]:
    """What is compared: the settings as they are, and with each option that should hide labels (`boosting.…`).

    `bank-first` is first-tree-bank-only, and `leaves-200` is min-leaf-count=200.
    """
    larger = replace(config, min_leaf_count=LARGER * config.min_leaf_count)
    return {
        AS_SET: config,
        BANK_FIRST: replace(config, first_tree_bank_only=True),
        f"{LEAVES}-{larger.min_leaf_count}": larger,
    }


def play_all(config: TrainingConfig, party: str, report: Report) -> Attacks:
    """Grow a forest under every option and seed and play every attack of and on a passive party, by default the first.

    Raises ConfigError when the federation has no such passive party, and what a run raises when it fails.
    """
    party = choose_passive(config, party)
    inputs = config.section(NetworkConfig).bins
    compared = options(config.section(BoostingConfig))
    of_party: dict[str, list[pd.DataFrame]] = {name: [] for name in compared}
    of_coordinator: dict[str, list[pd.DataFrame]] = {name: [] for name in compared}
    aucs: dict[str, list[float]] = {name: [] for name in compared}
    bins, groups = [], []
    for recording in record(config, report, compared):
        rng = np.random.default_rng(recording.seed)
        of_party[recording.name].append(labels.play(recording, party, inputs, rng))
        of_coordinator[recording.name].append(labels.play_coordinator(recording, rng))
        aucs[recording.name].append(recording.evaluation.metrics["auc"])
        groups.append(smallest_group(recording.evaluation, int((recording.roles == TEST).sum())))
        if recording.name == AS_SET:
            bins.append(reconstruct(recording, party, inputs, rng))
    report(Progress("done"))
    own = mean_of([table[["own"]] for tables in of_party.values() for table in tables])
    return Attacks(
        party,
        own.assign(**_by_option(of_party)),
        pd.DataFrame(_by_option(of_coordinator)),
        mean_of(bins),
        {name: float(np.mean(values)) for name, values in aucs.items()},
        min(groups),
    )


def _by_option(played: dict[str, list[pd.DataFrame]]) -> dict[str, pd.Series]:
    return {name: mean_of(tables)["nodes"] for name, tables in played.items()}
