"""Boosting without a federation: the same trees on the joined table, grown node by node from the rows themselves.

It is the pooled twin: a federated forest must equal it bit for bit, under every engine. To be worth something as a
check it shares with the federated code only what defines the model (bins, gradients, samples, the search for a node's
split); there are no messages, layouts, outcomes or differences of siblings. The bank alone is the twin of one table.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clients.randomness import goss_generator
from experiments.baselines import Fitted
from experiments.joined import Joined
from fl.binning import UNKNOWN, Binning, Codes, Shape
from fl.boosting.gradients import (
    base_score,
    goss_weights,
    gradients,
    reweighing,
    sampled_columns,
    sampled_rows,
)
from fl.boosting.merging import merge, merged, unmerged
from fl.boosting.search import allowed, child_bounds, search, weight
from fl.calibration import Calibration
from fl.config.boosting import BoostingConfig
from fl.evaluation.measures import log_loss
from fl.metrics import auc
from fl.splits import TRAIN, VALIDATION, Roles

Rows = NDArray[np.int_]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """One party's columns in bins (n, c), which of them a tree may use, and whether they are the bank's own."""

    codes: Codes
    shape: Shape
    used: NDArray[np.bool_]
    is_bank: bool

    def sums(self, rows: Rows, numbers: Integers) -> Integers:
        """Sums (c, width, k) of numbers (n, k) by bin, over some rows; below 2^53, where they are exact."""
        columns, weights = self.codes[rows].T, numbers[rows].T
        sums = np.array([[np.bincount(codes, each, 256) for each in weights] for codes in columns], np.int64)
        sums = sums.reshape(len(self.shape), len(weights), 256).transpose(0, 2, 1)
        assert not sums[:, self.shape.width : UNKNOWN].any()
        return sums[:, : self.shape.width]


def train(joined: Joined, roles: Roles, seed: int, config: BoostingConfig) -> Fitted:
    """Train with early stopping on the validation AUC; a step of the curve is a round."""
    labels, training, validation = joined.labels, roles == TRAIN, roles == VALIDATION
    learning = training | validation
    binned: dict[str, tuple[Codes, Shape]] = {}
    for name, table in joined.tables.items():
        binning = Binning.fit(
            table, np.flatnonzero(training), config.bins, config.min_bin_count, joined.signs(name)
        )
        binned[name] = binning.transform(table), binning.shape
    row_weights = reweighing(config.reweigh, joined.applications.segments, labels, training)
    scores = np.full(len(labels), base_score(labels[training]))
    before, best, best_auc, waited = scores, scores, -1.0, 0
    curve: list[dict[str, float]] = []
    for number in range(config.rounds):
        trees = config.trees_of(number)
        samples = sampled_rows(training, seed, trees, config.row_share)
        numbers = learned_gradients(scores, labels, [learning], config, row_weights)
        if config.goss_top and number:
            magnitudes = np.abs(learned_gradients(before, labels, [learning], config, row_weights)[:, 0])
            rng = goss_generator(labels[training], seed, number)
            weights = goss_weights(magnitudes, samples.any(axis=0), config, rng)
            numbers = np.rint(numbers * weights[:, None]).astype(np.int64)
        before = scores
        for tree, sample in zip(trees, samples, strict=True):
            blocks = [
                Block(
                    codes,
                    shape,
                    sampled_columns(len(shape), name, seed, [tree], config.column_share)[0],
                    name == joined.holder,
                )
                for name, (codes, shape) in binned.items()
                if name == joined.holder or number or not config.first_tree_bank_only
            ]
            scores = scores + grow_tree(blocks, numbers, sample, config, config.learning_rate / len(trees))
        curve.append(
            {
                "train.loss": log_loss(scores[training], labels[training]),
                "valid.auc": auc(labels[validation], scores[validation]),
                "valid.loss": log_loss(scores[validation], labels[validation]),
            }
        )
        waited += 1
        if not config.patience or curve[-1]["valid.auc"] > best_auc:
            best, best_auc, waited = scores, curve[-1]["valid.auc"], 0
        if config.patience and waited >= config.patience:
            break
    calibration = Calibration.fit(best[validation], labels[validation]) if config.calibrate else Calibration()
    return Fitted(calibration.log_odds(best), curve)


def learned_gradients(
    scores: Floats,
    labels: NDArray[np.int8],
    banks: Sequence[NDArray[np.bool_]],
    config: BoostingConfig,
    weights: Floats | None = None,
) -> Integers:
    """Gradients and hessians (n, 2) of the rows that each bank learns from, bool (n,), and zeros for all others."""
    numbers = np.zeros((len(labels), 2), np.int64)
    for rows in banks:
        of_rows = None if weights is None else weights[rows]
        numbers[rows] = gradients(scores[rows], labels[rows], config.precision, of_rows)
    return numbers


def grow_tree(
    blocks: Sequence[Block], numbers: Integers, sample: NDArray[np.bool_], config: BoostingConfig, rate: float
) -> Floats:
    """A tree's contribution to the score of all n rows, grown on those of the sample: leaf weights by the rate."""
    values = np.zeros(len(sample))
    ones = np.ones((len(sample), 1), np.int64)

    def homes_of(parents: Sequence[Integers], children: Sequence[Rows]) -> list[Integers]:
        """The merged bins of each block in some children, from those of their parent."""
        below = []
        for block, homes in zip(blocks, parents, strict=True):
            parts = np.stack([block.sums(rows[sample[rows]], ones)[..., 0] for rows in children])[None]
            minimum = 1 if block.is_bank else config.min_merged_count
            below.append(merge(parts, homes[None], block.shape, minimum)[0])
        return below

    def grow(rows: Rows, depth: int, bounds: tuple[float, float], homes: Sequence[Integers]) -> None:
        learned = rows[sample[rows]]
        total = numbers[learned].sum(axis=0)
        values[rows] = rate * weight(total, *bounds, config)
        if depth == config.depth:
            return
        best = None
        for block, home in zip(blocks, homes, strict=True):
            counts, sums = (
                merged(block.sums(learned, what)[None], home[None])[0] for what in (ones, numbers)
            )
            fit = allowed(counts[..., 0], len(learned), home, block.shape, config.min_leaf_count, block.used)
            split = search(sums, total, bounds, fit, home, block.shape, config)
            if split is not None and (best is None or split.gain > best[0].gain):
                best = split, block
        if best is None:
            return
        split, block = best
        left = split.left[block.codes[rows, split.column]]
        of_left, of_right = child_bounds(split, block.shape, bounds, config)
        children = rows[left], rows[~left]
        below = homes_of(homes, children)
        grow(children[0], depth + 1, of_left, below)
        grow(children[1], depth + 1, of_right, below)

    everyone = np.arange(len(sample))
    alone = [unmerged(1, block.shape)[0] for block in blocks]
    grow(everyone, 0, (-np.inf, np.inf), homes_of(alone, [everyone]))
    return values
