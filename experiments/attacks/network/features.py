"""What the bank could learn of a passive party's columns from the embeddings that it receives.

The attack is a ridge regression from embeddings to one column, fitted on rows whose columns the bank knows (from
businesses that have shown it their papers, say), and judged by R² on the others: 1 is a full reconstruction, 0 none.
The yardstick is the same regression from the bank's own columns. Embeddings of the validation rows come at every look
at the validation AUC, under other weights each time, so that side by side they tell more than the final ones. Columns
are judged as normal scores (the normal quantile of a value's rank), since a few huge amounts would decide otherwise.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, rankdata
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from experiments.attacks.network.recording import Recording
from experiments.attacks.report import Attack

KNOWN = 500
"""Rows whose columns the bank is taken to know."""


def reconstruct(recording: Recording, party: str, rng: np.random.Generator) -> pd.DataFrame:
    """R² per numeric column of a party: `own` from the bank's own columns, `final` from the final embeddings and
    `looks` from all embeddings of the validation rows; at most `KNOWN` rows, and half of all, are known.
    """
    table = recording.joined.tables[party]
    rows, final = recording.embeddings(party)
    validation, looks = recording.validation_embeddings(party)
    inputs = recording.own_inputs(recording.joined.holder)
    results = {}
    for name, column in zip(table.numeric_names, table.numeric.T, strict=True):
        results[name] = {
            "own": r2(inputs[rows], column[rows], rng),
            "final": r2(final, column[rows], rng),
            "looks": r2(looks, column[validation], rng),
        }
    return pd.DataFrame.from_dict(results, orient="index", columns=["own", "final", "looks"])


COLUMNS = Attack(
    recording=Recording,
    play=reconstruct,
    title="What the bank could reconstruct of {party}'s columns (R²) from …",
    first="column",
    caption="own columns: the bank's; all looks: the embeddings of validation rows, as received in training.",
    headings={"own": "own columns", "final": "final embeddings", "looks": "all looks"},
)


def r2(seen: NDArray[np.floating], column: NDArray[np.float64], rng: np.random.Generator) -> float:
    """R² on unknown rows; NaN for a column that is the same in all rows or missing."""
    there = ~np.isnan(column)
    if len(np.unique(column[there])) < 2:
        return float("nan")
    target = norm.ppf((rankdata(column[there]) - 0.5) / there.sum())
    scaled = StandardScaler().fit_transform(seen[there])
    order = rng.permutation(len(target))
    known, unknown = np.split(order, [min(KNOWN, len(order) // 2)])
    model = RidgeCV(alphas=np.logspace(-3, 3, 7)).fit(scaled[known], target[known])
    return float(model.score(scaled[unknown], target[unknown]))
