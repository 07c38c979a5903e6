"""All attacks of a curious party and on it, in every variant of a model, beside the test AUC of the very runs."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from experiments.attacks.evaluation import smallest_group
from experiments.attacks.recording import Recording
from fl.config.run import TrainingConfig
from fl.splits import TEST
from server.progress import Progress, Report


@dataclass(frozen=True, kw_only=True, eq=False)
class Attack:
    """What somebody could infer who follows the protocol and keeps what it receives: a table of figures.

    recording   the class of the runs that it is played on; it names the contender
    play        the figures by a recording, the name of the passive party and a generator, a row for each line
    on_labels   whether it is played in every variant of the settings; then `play` gives success (AUC) by the passive
                party's `own` columns, and by what it `received`, and the table has the variants side by side
    title       of the table, with `{party}` for the passive party
    first       the heading of what its rows are
    caption     what its columns are
    headings    of columns that are not called as in the figures
    counts      a column of whole numbers that stands beside the names of the rows
    """

    recording: type[Recording]
    play: Callable[[Any, str, np.random.Generator], pd.DataFrame]
    on_labels: bool = False
    title: str
    first: str
    caption: str
    headings: Mapping[str, str] = field(default_factory=dict)
    counts: str = ""


@dataclass(frozen=True)
class Attacks:
    """The figures of one passive party; means over the seeds.

    figures   of each attack; of one on labels `own` from the party's own columns, if it uses any, then by variant
    test_auc  of the model, by variant: what a defence costs
    group     the fewest applicants behind any number of an evaluation message
    """

    party: str
    figures: Mapping[Attack, pd.DataFrame]
    test_auc: Mapping[str, float]
    group: int


def play_all(attacks: Sequence[Attack], config: TrainingConfig, party: str, report: Report) -> Attacks:
    """Train every variant under every seed and play attacks of one contender, by a party (default: the first that can).

    Raises ConfigError when the federation has no such party, and what a run raises when it fails.
    """
    recorded = attacks[0].recording
    party, as_set = recorded.attacker(config, party), recorded.settings_of(config)
    variants = recorded.variants(as_set)
    played: dict[Attack, dict[str, list[pd.DataFrame]]] = {attack: defaultdict(list) for attack in attacks}
    aucs, groups = defaultdict(list), []
    for recording in recorded.of_runs(config, report, variants):
        for attack in attacks:
            if attack.on_labels or variants[recording.name] == as_set:
                # Each draws for itself, so that its figures do not depend on which others there are.
                rng = np.random.default_rng(recording.seed)
                played[attack][recording.name].append(attack.play(recording, party, rng))
        aucs[recording.name].append(recording.evaluation.metrics["auc"])
        groups.append(smallest_group(recording.evaluation, int((recording.roles == TEST).sum())))
    report(Progress("done"))
    return Attacks(
        party,
        {
            attack: _side_by_side(tables) if attack.on_labels else _mean_of(next(iter(tables.values())))
            for attack, tables in played.items()
        },
        {name: float(np.mean(values)) for name, values in aucs.items()},
        min(groups),
    )


def _side_by_side(played: dict[str, list[pd.DataFrame]]) -> pd.DataFrame:
    own = _mean_of([table[["own"]] for tables in played.values() for table in tables])
    beside = own.assign(**{name: _mean_of(tables)["received"] for name, tables in played.items()})
    return beside.dropna(axis="columns", how="all")


def _mean_of(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The mean of tables with the same rows."""
    return pd.concat(tables).groupby(level=0, sort=False).mean()
