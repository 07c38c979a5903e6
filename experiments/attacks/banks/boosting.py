"""A recorded run of the boosting of several banks, and whether one of them could put rows of the others together.

After TimberStrike (Di Gennaro et al., 2025, arXiv 2506.07605), by which one client of a federation of trees puts rows
of another together: in the first round all rows have the same PD, so that gradients are counts of goods and bads; then
it looks for rows that fit to the leaves. Here a bank need not search, since it hears the histograms of every node. It
takes the deepest nodes of the first trees, which hold the fewest rows, and gives their bins and labels out at random,
so that every histogram is met. A row's cells are its bins in the columns that the tree may use, and its label; those
that were put together count as right in the best assignment to the true rows of their node.

The yardstick is what the bank would guess by its own rows in the same node. And where one row of the others is alone in
a node, nothing has to be guessed.
"""

from dataclasses import replace
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from experiments.attacks.banks import recording
from experiments.attacks.banks.nodes import Node, nodes_of
from experiments.attacks.report import Attack
from fl.banks.boosting import BoostingProgram
from fl.banks.program import Rows
from fl.boosting.gradients import sampled_rows
from fl.config.banks import BanksConfig
from fl.config.boosting import BoostingConfig
from fl.splits import TRAIN

LARGER, FEWER, EPSILON = 5, 4, 3.0

Cells = NDArray[np.int64]


def variants(config: BoostingConfig) -> dict[str, BoostingConfig | BanksConfig]:
    """What is compared: the settings as they are, larger leaves, fewer trees, and noise on all sums (`EPSILON`)."""
    larger, fewer = LARGER * config.min_leaf_count, max(1, config.trees // FEWER)
    return {
        "as-set": config,
        f"min-leaf-count-{larger}": replace(config, min_leaf_count=larger),
        f"trees-{fewer}": replace(config, trees=fewer),
        f"epsilon-{EPSILON:g}": BanksConfig(allow_two=True, epsilon=EPSILON),
    }


class Recording(recording.Recording):
    """The boosting of several banks, and what each heard and the coordinator was shown."""

    contender = "banks-boosting"
    variants = staticmethod(variants)

    def nodes(self, bank: str, rows: Rows) -> list[Node]:
        """Every node as a bank hears it, with the ways of some rows; under noise there are no sums of nodes."""
        program = self.program
        return list(nodes_of(program, self.heard(bank), rows)) if isinstance(program, BoostingProgram) else []


def put_together(node: Node, pd_of_all: float, unit: int, rng: np.random.Generator) -> Cells:
    """Rows of a node of the first round, (m, columns + 1): each column's bins, and the label, as often as was heard."""
    columns = [
        rng.permutation(np.repeat(np.arange(len(counts)), counts)) for counts in node.sums[node.used, :, 2]
    ]
    # The sum of PD less label, where all rows have one PD.
    gradient = node.sums[np.argmax(node.used), :, 0].sum() / unit
    bads = np.clip(np.rint(node.count * pd_of_all - gradient), 0, node.count)
    return np.column_stack([*columns, rng.permutation(np.arange(node.count) < bads)]).astype(np.int64)


def rightness(guessed: Cells, true: Cells) -> float:
    """The share of the true rows' cells (m, k) that are right in the best assignment of guessed rows (m, k)."""
    same = (guessed[:, None] == true[None]).mean(axis=2)
    return float(same[linear_sum_assignment(same, maximize=True)].mean())


def play(recording: Recording, bank: str, rng: np.random.Generator) -> pd.DataFrame:
    """How well a bank puts the others' rows together, and how many of them are alone in a node at some time."""
    own, others = recording.banks[bank], recording.together(bank)
    config = cast(BoostingConfig, recording.settings_of(recording.config))
    trained = np.concatenate(
        [
            sampled_rows(rows.roles == TRAIN, recording.seed, range(config.trees), config.row_share)
            for rows in recording.others(bank)
        ],
        axis=1,
    )
    pd_of_all = float(recording.joined.labels[recording.roles == TRAIN].mean())
    alone, found = np.zeros(len(others), bool), list[tuple[int, float, float]]()
    for node, of_own in zip(recording.nodes(bank, others), recording.nodes(bank, own), strict=True):
        inside = node.inside & trained[config.trees_of(node.round)[node.tree]]
        if node.count == 1:
            alone |= inside
        if node.round or node.level < config.depth - 1 or not node.count:
            continue
        candidates = of_own.inside & (own.roles == TRAIN)
        chosen = rng.choice(
            np.flatnonzero(candidates if candidates.any() else own.roles == TRAIN), node.count
        )
        true, guess = (
            np.column_stack([at.codes[rows][:, node.used], of.labels[rows]]).astype(np.int64)
            for at, of, rows in ((node, others, inside), (of_own, own, chosen))
        )
        heard = put_together(node, pd_of_all, 1 << config.precision, rng)
        found.append((node.count, rightness(guess, true), rightness(heard, true)))
    counts, guesses, heards = np.array(found).reshape(-1, 3).T
    cells = [float(counts @ right / counts.sum()) if found else np.nan for right in (guesses, heards)]
    results = {
        "cells of rows put together": cells,
        "rows alone in a node": [0.0, alone.sum() / (others.roles == TRAIN).sum()],
    }
    return pd.DataFrame.from_dict(results, orient="index", columns=["own", "received"])


ROWS = Attack(
    recording=Recording,
    play=play,
    on_labels=True,
    title="What {party} could tell of the other banks' rows (share)",
    first="attack",
    caption=(
        "own: guessed by its own rows in the same node; then by the sums of all others' rows. A cell is a row's bin "
        "in a column, or its label."
    ),
)
