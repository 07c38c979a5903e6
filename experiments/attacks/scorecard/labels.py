"""What a passive party could learn of labels from the sums of the residual over its groups.

The first residual is PD less label, with the PDs of the bank's own columns. Were these all alike, the bads of a group
would be its size times the bad rate, less the sum; so a party that knows the bad rate estimates them. From the goods
and bads of its groups it guesses the label of each row, as from any weights of evidence. Its weights in the end are
such a guess, too: they were fitted to these very labels.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from experiments.attacks.labels import REGRESSION, TOGETHER, learned, principal_component
from experiments.attacks.report import Attack
from experiments.attacks.scorecard.recording import Recording
from experiments.attacks.tables import KNOWLEDGE
from fl.binning import Codes
from fl.scorecard.design import by_column

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def estimated_bads(recording: Recording, party: str) -> tuple[Floats, Integers]:
    """The bads among the training rows in each of a party's groups, (all groups,): estimated, and true."""
    grouped, rows = recording.grouped(party), recording.training(party)
    labels, groups, counts = recording.joined.labels[rows], grouped.groups[rows], grouped.grouping.counts
    sizes, bads = (_totals(groups, counts, weights) for weights in (np.ones(len(rows)), labels))
    estimated = sizes * labels.mean() - recording.sums(party)[0]
    return np.clip(estimated, 0, sizes), bads.astype(np.int64)


def play(recording: Recording, party: str, rng: np.random.Generator) -> pd.DataFrame:
    """The success (AUC) of every attack of a passive party, on the training rows that it knows.

    `received` is from the sums that were opened for it, and `own` from its own columns alone.
    """
    grouped, rows = recording.grouped(party), recording.training(party)
    labels, inputs, groups = (
        recording.joined.labels[rows],
        recording.own_inputs(party)[rows],
        grouped.groups[rows],
    )
    counts = grouped.grouping.counts
    sizes, (bads, _) = _totals(groups, counts, np.ones(len(rows))), estimated_bads(recording, party)
    evidence = np.log((bads + 0.5) / (sizes - bads + 0.5))
    by_counts = evidence[groups + np.cumsum(counts) - counts].sum(axis=1)
    by_weights = recording.partial_scores(party)[np.isin(recording.positions(party), rows), -1]
    together = np.column_stack([inputs, StandardScaler().fit_transform(np.c_[by_counts, by_weights])])
    unaided, regression = principal_component(inputs, labels), learned(inputs, labels, rng, known=1_000)
    results = {
        "bads of its groups, knows the bad rate": (unaided, float(roc_auc_score(labels, by_counts))),
        "its own weights, knows nothing": (unaided, float(roc_auc_score(labels, by_weights))),
        TOGETHER.replace("the same", REGRESSION): (regression, learned(together, labels, rng, known=1_000)),
    }
    return pd.DataFrame.from_dict(results, orient="index", columns=["own", "received"])


LABELS = Attack(
    recording=Recording,
    play=play,
    on_labels=True,
    title="What {party} could tell of labels (AUC)",
    first="attack",
    caption=(
        "own: from its own columns alone, by their principal component where it knows no label; then from the sums "
        f"that are opened for it. {KNOWLEDGE}"
    ),
)


def count(recording: Recording, party: str, rng: np.random.Generator) -> pd.DataFrame:
    """How well a passive party knows the bad rates of its groups, per column: their mean absolute error.

    `groups` are how many there are; `average`, if it takes the overall bad rate for all; `first sum`, by that.
    """
    grouped, rows = recording.grouped(party), recording.training(party)
    counts = grouped.grouping.counts
    sizes = _totals(grouped.groups[rows], counts, np.ones(len(rows)))
    estimated, true = estimated_bads(recording, party)
    overall, names, results = recording.joined.labels[rows].mean(), recording.joined.tables[party].names, {}
    errors = [np.abs(rates - true / sizes) for rates in (overall, estimated / sizes)]
    for column, average, first in zip(
        grouped.grouping.columns, *(by_column(error, counts) for error in errors), strict=True
    ):
        results[names[column]] = {"groups": len(first), "average": average.mean(), "first sum": first.mean()}
    return pd.DataFrame.from_dict(results, orient="index")


COUNTS = Attack(
    recording=Recording,
    play=count,
    title="By how much {party} is wrong about the bad rates of its groups, from …",
    first="column (groups)",
    caption="Mean absolute error. average: the overall bad rate for all; first sum: by the first sum of the residual.",
    counts="groups",
)


def _totals(groups: Codes, counts: Integers, weights: NDArray[np.floating] | NDArray[np.int8]) -> Floats:
    """The sum of weights (n,) over the rows in each group, (all groups,), of rows in groups (n, k)."""
    columns = zip(groups.T, counts, strict=True)
    return np.concatenate([np.bincount(of_rows, weights, int(count)) for of_rows, count in columns])
