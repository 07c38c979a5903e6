"""What each passive party adds: a federated contender trained without it, and with it and the bank alone.

Leave-one-out asks what would be lost if a party went, add-one what it would bring if it came first. A party that knows
the same as another adds much to the bank and little to all; only both figures together show that. Every federation is
aligned and trained anew, on the same rows, in a state of its own that is removed afterwards.
"""

import tempfile
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.backends import open_backend
from experiments.comparison.gains import ADD_ONE, LEAVE_ONE_OUT, describe, draw_gains, headline
from experiments.comparison.publishing import label_new_children, publish
from experiments.dataset import Dataset
from experiments.joined import read_joined, read_roles, read_scores
from experiments.study import start_study
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from fl.metrics import auc, delong_test
from fl.protocols import conversation_of
from fl.splits import TEST
from server.exchange import FederationError
from server.progress import Progress, Report

Parties = frozenset[str]


class Judged(NamedTuple):
    """The PDs (t,) of the test rows by one federation under one seed, and their outcomes."""

    pd: NDArray[np.float64]
    labels: NDArray[np.int8]


class FinishedAblation(NamedTuple):
    """The gains, as `gains` has them, and where MLflow has the study."""

    gains: pd.DataFrame
    experiment_id: str
    run_id: str


def run_ablation(
    dataset: Dataset, config: TrainingConfig, contender: str, backend: str, report: Report
) -> FinishedAblation:
    """Train every federation that the question needs, under every seed, and log the gains to one parent run.

    Raises ConfigError for a contender that is not federated, a dataset without a passive party or with several banks,
    or an alignment by which the federations would have other rows, and FederationError when the contender is refused.
    """
    conversation_of(contender)
    if config.alignment != "left":
        raise ConfigError(
            f"Federations can be compared on the same rows only with alignment=left, not {config.alignment}."
        )
    holder, passive = dataset.holder, dataset.passive
    if not passive:
        raise ConfigError(f"{dataset.folder} has no party beside {holder}: there is nothing to leave out.")

    def hear(event: Progress) -> None:
        if event.failure:
            raise FederationError(event.failure)
        report(event)

    judged: dict[tuple[Parties, int], Judged] = {}
    with (
        open_backend(backend, len(dataset.parties)) as run_federation,
        start_study(config, dataset) as study,
        tempfile.TemporaryDirectory(prefix="siloscore-") as state,
    ):
        for number, members in enumerate(federations(passive)):
            parties = (holder, *(name for name in passive if name in members))
            run = replace(
                config,
                parties=parties,
                contenders=(contender,),
                parent_run=study.run_id,
                study=f"{config.study}-{number}",
                # Deployed parties let no run say where they keep theirs.
                state="" if backend == "deployment" else state,
                register=False,
            )
            run_federation(run, hear)
            label_new_children(study, "parties", ", ".join(parties))
            labels = read_joined(run, holder).labels
            for seed in config.seeds:
                test = read_roles(run, holder, seed) == TEST
                scores = read_scores(run, holder, contender, seed)
                judged[members, seed] = Judged(scores.pd[test], labels[test])
        table = gains(passive, judged)
        publish(
            study,
            headline(table),
            describe(config.study, contender, table),
            {"gains": draw_gains(table)},
            {"gains": table},
        )
    report(Progress("done"))
    return FinishedAblation(table, study.experiment_id, study.run_id)


def federations(passive: tuple[str, ...]) -> list[Parties]:
    """All passive parties, all but one, one alone, and none; each set once."""
    everyone = frozenset(passive)
    wanted = [everyone, *(everyone - {name} for name in passive), *(frozenset({name}) for name in passive)]
    return list(dict.fromkeys([*wanted, frozenset()]))


def gains(passive: tuple[str, ...], judged: dict[tuple[Parties, int], Judged]) -> pd.DataFrame:
    """A row per question and party: the AUC with and without it, and the gain (DeLong, paired, 95 %).

    Columns question, party, auc_with, auc_without, gain, gain_low, gain_high, p_value; means over the seeds, of the
    p-value the median. Seeds share their test rows, mostly, so the interval is that of one seed and not narrower.
    """
    everyone, rows = frozenset(passive), []
    for question in (LEAVE_ONE_OUT, ADD_ONE):
        for party in passive:
            without = everyone - {party} if question == LEAVE_ONE_OUT else frozenset()
            for seed in sorted({seed for _, seed in judged}):
                a, b = judged[without | {party}, seed], judged[without, seed]
                test = delong_test(a.labels, a.pd, b.pd)
                rows.append(
                    {
                        "question": question,
                        "party": party,
                        "auc_with": auc(a.labels, a.pd),
                        "auc_without": auc(b.labels, b.pd),
                        "gain": test.difference,
                        "gain_low": test.low,
                        "gain_high": test.high,
                        "p_value": test.p_value,
                    }
                )
    grouped = pd.DataFrame(rows).groupby(["question", "party"], sort=False)
    return grouped.mean().assign(p_value=grouped["p_value"].median()).reset_index()
