"""What a bank could tell of single rows of the others from the trees that they grow together.

After TimberStrike (Di Gennaro et al., 2025, arXiv 2506.07605), by which one client of a federation of trees puts rows
of another together: in the first round all rows have the same PD, so that gradients are counts of goods and bads; then
it looks for rows that fit to all nodes. Here a bank need not search in leaves, since it hears the histograms of every
node. It takes the deepest nodes of the first trees, which hold the fewest rows, and gives out their bins at random, so
that every histogram is met. A row is put together as well as its cells (bins of the columns that the tree uses, and the
label) are right, in the best assignment of what was put together to the true rows of a node.

The yardstick is what the bank would guess by its own rows in the same node. And where one row of the others is alone in
a node, nothing has to be guessed.
"""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from experiments.attacks.banks.nodes import Node, nodes_of
from experiments.attacks.banks.recording import BoostingRecording
from experiments.attacks.report import Attack
from fl.banks.program import Rows
from fl.boosting.gradients import sampled_rows
from fl.splits import TRAIN

Cells = NDArray[np.int64]


def put_together(node: Node, pd_: float, unit: int, rng: np.random.Generator) -> Cells:
    """Rows of a node of the first round (m, columns + 1), of which each column's bins and the label are as heard."""
    columns = [
        rng.permutation(np.repeat(np.arange(len(counts)), counts)) for counts in node.sums[node.used, :, 2]
    ]
    gradient = node.sums[np.argmax(node.used), :, 0].sum() / unit
    bads = int(np.clip(np.rint(node.count * pd_ - gradient), 0, node.count))
    return np.column_stack([*columns, rng.permutation(np.arange(node.count) < bads)]).astype(np.int64)


def rightness(guessed: Cells, true: Cells) -> float:
    """The share of the true rows' cells (m, k) that are right in the best assignment of guessed ones (m, k)."""
    same = (guessed[:, None] == true[None]).mean(axis=2)
    return float(same[linear_sum_assignment(same, maximize=True)].mean())


def play(recording: BoostingRecording, bank: str, rng: np.random.Generator) -> pd.DataFrame:
    """How well a bank puts the others' rows together, and how many of them are alone in a node at some time."""
    others, own = recording.others(bank), recording.banks[bank]
    program, heard, config = recording.program, recording.heard(bank), recording.settings
    samples = _samples(others, recording.seed, list(config.trees_of(0)), config.row_share)
    true, mine = (
        list(nodes_of(program, heard, rows)) for rows in (_joined(others), own)
    )
    labels, own_training = np.concatenate([rows.labels for rows in others]), own.roles == TRAIN
    known, sizes, guesses = [], [], []
    base_pd = recording.bad_rate
    deepest = {
        tree: max(node.level for node in nodes)
        for tree, nodes in groupby(
            sorted((node for node in true if node.round == 0), key=lambda node: node.tree),
            key=lambda node: node.tree,
        )
    }
    alone = np.zeros(len(labels), bool)
    for node, of_own in zip(true, mine, strict=True):
        if node.count == 1:
            alone |= node.inside & recording.trained(others, node)
        if node.round or node.level < deepest[node.tree] or not node.count:
            continue
        inside = node.inside & samples[node.tree]
        cells = np.column_stack([node.codes[inside][:, node.used], labels[inside]]).astype(np.int64)
        candidates = np.flatnonzero(of_own.inside & own_training)
        if not len(candidates):
            candidates = np.flatnonzero(own_training)
        drawn = rng.choice(candidates, node.count)
        guess = np.column_stack([of_own.codes[drawn][:, node.used], own.labels[drawn]]).astype(np.int64)
        sizes.append(node.count)
        known.append(rightness(put_together(node, base_pd, 1 << config.precision, rng), cells))
        guesses.append(rightness(guess, cells))
    training = sum(int((rows.roles == TRAIN).sum()) for rows in others)
    results = {
        "cells of rows put together": (np.average(guesses, weights=sizes), np.average(known, weights=sizes)),
        "rows alone in a node": (0.0, alone.sum() / training),
    }
    return pd.DataFrame.from_dict(results, orient="index", columns=["own", "received"])
