"""Membership: could a bank that knows a business tell whether another bank's rows have it among those that trained?

The bank has all columns and the label of rows of the others: of those that trained, and of those of the test set, which
did not. It does not know which is which. Success is the AUC of telling them apart; 0.5 is a guess. It looks

- at the log loss of the shared model, which is smaller on rows that it has learned from (Yeom et al., "Privacy Risk in
  Machine Learning", CSF 2018). The yardstick is the loss under a model of the bank's rows alone, which has seen none of
  them: training rows are older than test rows, and may differ by that;
- at the others' counts on the common grid: a row that trained is in none of the cells that are empty;
- in boosting, at the others' histograms of every node that the row goes through, likewise.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from experiments.attacks.banks import boosting, network, recording, scorecard
from experiments.attacks.banks.nodes import Node
from experiments.attacks.banks.recording import Heard
from experiments.attacks.report import Attack
from fl.banks.program import Rows
from fl.splits import TRAIN, VALIDATION
from fl.tables import Table

Floats = NDArray[np.float64]


def losses(recording: recording.Recording, heard: list[Heard], bank: str, rows: Rows) -> Floats:
    """The log loss of each of some rows (n,) under the model that comes of these totals."""
    program, own = recording.program, recording.banks[bank]
    state = program.begin(own)
    for one in heard:
        state = program.advance(own, state, one.total)
    scores = program.log_odds(rows, state)
    return np.asarray(np.logaddexp(0, scores) - rows.labels * scores, np.float64)


def heard_alone(recording: recording.Recording, bank: str) -> list[Heard]:
    """The totals of a training on the bank's rows alone."""
    program, own, heard = recording.program, recording.banks[bank], list[Heard]()
    state = program.begin(own)
    while (total := program.addend(own, state)) is not None:
        heard.append(Heard(total=total, others=np.zeros_like(total)))
        state = program.advance(own, state, total)
    return heard


def full_cells(recording: recording.Recording, first: Heard, table: Table) -> NDArray[np.int64]:
    """In how many columns a row (n,) of a table is where others have training rows, by the counts on the grid."""
    grid, common = recording.program.grid, recording.schema.table(table)
    counts = first.others[-len(grid.addend(common)) :]
    return np.count_nonzero(counts[grid.cells(common)] > 0, axis=1)


def full_bins(nodes: Sequence[Node], rows: int) -> NDArray[np.int64]:
    """In how many trees each row (rows,) is on its whole way in bins that hold training rows of the others."""
    empty: dict[tuple[int, int], NDArray[np.bool_]] = {}
    for node in nodes:
        columns = np.flatnonzero(node.used)
        there = node.sums[columns, node.codes[:, columns], 2].min(axis=1) > 0
        met = empty.setdefault((node.round, node.tree), np.zeros(rows, bool))
        met |= node.inside & ~there
    return np.sum([~met for met in empty.values()], axis=0)


def play(recording: recording.Recording, bank: str, rng: np.random.Generator) -> pd.DataFrame:
    """The success (AUC) of a bank in telling the others' training rows from their test rows."""
    rows, heard = recording.together(bank), recording.heard(bank)
    judged = rows.roles != VALIDATION
    members = rows.roles[judged] == TRAIN

    def success(scores: NDArray[np.floating] | NDArray[np.int64]) -> float:
        return float(roc_auc_score(members, scores[judged]))

    results = {
        "log loss of the model": (
            success(-losses(recording, heard_alone(recording, bank), bank, rows)),
            success(-losses(recording, heard, bank, rows)),
        ),
        "cells of the grid": (0.5, success(full_cells(recording, heard[0], rows.table))),
    }
    if isinstance(recording, boosting.Recording):
        nodes = recording.nodes(bank, rows)
        results["bins of the nodes"] = (0.5, success(full_bins(nodes, len(rows))) if nodes else np.nan)
    return pd.DataFrame.from_dict(results, orient="index", columns=["own", "received"])


def attack_on(kind: type[recording.Recording]) -> Attack:
    """The attack on the models of one contender."""
    return Attack(
        recording=kind,
        play=play,
        on_labels=True,
        title="How well {party} could tell which of the other banks' rows have trained (AUC)",
        first="attack",
        caption=(
            "own: by a model of its own rows; then by the model and the sums of all banks. It knows the columns and "
            "the label of every row that it asks about; 0.5 is a guess."
        ),
    )


BOOSTING = attack_on(boosting.Recording)
NETWORK = attack_on(network.Recording)
SCORECARD = attack_on(scorecard.Recording)
