"""Boosting of several banks and passive parties without a federation: the pooled twin that knows the banks' blocks.

The trees are grown on the joined table, node by node, from the rows themselves. They are not quite those of one bank
that has all the rows (`experiments/baselines/boosting.py`): a passive party merges bins that hold few rows of a node
for each bank apart, so a bin goes the way of another one at some banks and not at others. `fl/hybrid` has the
definition.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.baselines import Fitted
from experiments.baselines.banks_bins import banks_bins
from experiments.baselines.boosting import Block, Integers, learned_gradients
from experiments.baselines.boosting import Rows as RowNumbers
from fl.banks.boosting import BANKS, LOSS_UNIT
from fl.banks.grid import Schema
from fl.banks.program import Rows
from fl.binning import UNKNOWN, Binning
from fl.boosting.gradients import base_score, sampled_columns, sampled_rows
from fl.boosting.merging import merge, merged, unmerged
from fl.boosting.search import BestSplit, allowed, child_bounds, search, weight
from fl.calibration import Calibration
from fl.config.boosting import BoostingConfig
from fl.splits import TRAIN, VALIDATION
from fl.tables import Table

Floats = NDArray[np.float64]


def train(
    banks: Sequence[Rows],
    partners: Sequence[Mapping[str, Table]],
    signs: Mapping[str, Mapping[str, int]],
    schema: Schema,
    seed: int,
    config: BoostingConfig,
) -> Fitted:
    """Train with early stopping on the validation loss; log odds (n,) are of the rows of one bank after the other.

    partners has for each bank the passive parties' tables of its rows, by name in the order of the federation, and
    signs by party and column what effect on risk is demanded.
    """
    labels = np.concatenate([rows.labels for rows in banks])
    roles = np.concatenate([rows.roles for rows in banks])
    of_banks = np.repeat(np.arange(len(banks)), [len(rows) for rows in banks])
    members = [np.flatnonzero(of_banks == bank) for bank in range(len(banks))]
    training, validation = roles == TRAIN, roles == VALIDATION
    learning = [(of_banks == bank) & (training | validation) for bank in range(len(banks))]
    binning, table = banks_bins(banks, schema, config.bins, config.min_bin_count)
    binned = {BANKS: (binning.transform(table), binning.shape)}
    for name in partners[0]:
        table = Table.stacked([of_bank[name] for of_bank in partners])
        binning = Binning.fit(table, np.arange(len(table)), config.bins, config.min_bin_count, signs[name])
        binned[name] = binning.transform(table), binning.shape
    scores = np.full(len(labels), base_score(labels[training]))
    best, best_loss, waited, curve = scores, np.inf, 0, list[dict[str, float]]()
    for number in range(config.rounds):
        trees = config.trees_of(number)
        samples = np.zeros((len(trees), len(labels)), bool)
        for rows in members:
            samples[:, rows] = sampled_rows(training[rows], seed, trees, config.row_share)
        numbers = learned_gradients(scores, labels, learning, config)
        for tree, sample in zip(trees, samples, strict=True):
            blocks = []
            for name, (codes, shape) in binned.items():
                used = sampled_columns(len(shape), name, seed, [tree], config.column_share)[0]
                blocks.append(Block(codes, shape, used, name == BANKS))
            grown = _Tree(blocks, numbers, sample, of_banks, config)
            scores = scores + grown.grow(config.learning_rate / len(trees))
        losses = np.rint((np.logaddexp(0, scores) - labels * scores) * LOSS_UNIT)
        of_training, of_validation = (
            float(losses[rows].sum() / LOSS_UNIT / rows.sum()) for rows in (training, validation)
        )
        curve.append({"train.loss": of_training, "valid.loss": of_validation})
        waited += 1
        if not config.patience or of_validation < best_loss:
            best, best_loss, waited = scores, of_validation, 0
        if config.patience and waited >= config.patience:
            break
    log_odds = best.copy()
    for rows in members:
        judged = rows[validation[rows]]
        if config.calibrate:
            log_odds[rows] = Calibration.fit(best[judged], labels[judged]).log_odds(best[rows])
    return Fitted(log_odds, curve)


@dataclass(frozen=True)
class _Tree:
    """What a tree is grown from: numbers (n, 2) of the rows in its sample, (n,) bool, and the bank (n,) of each row."""

    blocks: Sequence[Block]
    numbers: Integers
    sample: NDArray[np.bool_]
    banks: NDArray[np.int_]
    config: BoostingConfig

    def grow(self, rate: float) -> Floats:
        """The tree's contribution to the score of all rows: leaf weights by the rate."""
        values, everyone = np.zeros(len(self.sample)), np.arange(len(self.sample))
        count = int(self.banks.max()) + 1
        alone = [np.repeat(unmerged(1, block.shape), count, axis=0) for block in self.blocks]

        def grow(
            rows: RowNumbers, depth: int, bounds: tuple[float, float], homes: Sequence[Integers]
        ) -> None:
            total = self.numbers[rows[self.sample[rows]]].sum(axis=0)
            values[rows] = rate * weight(total, *bounds, self.config)
            if depth == self.config.depth:
                return
            found = self._best(rows, total, bounds, homes)
            if found is None:
                return
            split, number = found
            block = self.blocks[number]
            codes = block.codes[rows, split.column]
            known = codes != UNKNOWN
            codes[known] = homes[number][self.banks[rows[known]], split.column, codes[known]]
            left = split.left[codes]
            children = rows[left], rows[~left]
            below = self._merged(homes, children)
            for child, of_child in zip(
                children, child_bounds(split, block.shape, bounds, self.config), strict=True
            ):
                grow(child, depth + 1, of_child, below)

        grow(everyone, 0, (-np.inf, np.inf), self._merged(alone, [everyone]))
        return values

    def _best(
        self, rows: RowNumbers, total: Integers, bounds: tuple[float, float], homes: Sequence[Integers]
    ) -> tuple[BestSplit, int] | None:
        """The best split of a node, and the number of its block; the first of equals."""
        best: tuple[BestSplit, int] | None = None
        learned, config = rows[self.sample[rows]], self.config
        values = np.column_stack([self.numbers, np.ones(len(self.numbers), np.int64)])
        for number, block in enumerate(self.blocks):
            alone, sums = (
                unmerged(1, block.shape)[0],
                np.zeros((len(block.shape), block.shape.width, 3), np.int64),
            )
            candidates = np.zeros((len(block.shape), block.shape.width, 2, 2), bool)
            for bank, home in enumerate(homes[number]):
                of_bank = learned[self.banks[learned] == bank]
                at_home = merged(block.sums(of_bank, values)[None], home[None])[0]
                sums += at_home
                candidates |= allowed(
                    at_home[..., 2], len(of_bank), home, block.shape, config.min_leaf_count, block.used
                )
            if block.is_bank:
                candidates = allowed(
                    sums[..., 2], len(learned), alone, block.shape, config.min_leaf_count, block.used
                )
            split = search(sums[..., :2], total, bounds, candidates, alone, block.shape, config)
            if split is not None and (best is None or split.gain > best[0].gain):
                best = split, number
        return best

    def _merged(self, parents: Sequence[Integers], children: Sequence[RowNumbers]) -> list[Integers]:
        """The merged bins (banks, c, width) of each block in some children, from those of their parent."""
        ones = np.ones((len(self.sample), 1), np.int64)
        below = []
        for block, homes in zip(self.blocks, parents, strict=True):
            if block.is_bank:
                below.append(homes)
                continue
            parts = [
                [
                    block.sums(rows[self.sample[rows] & (self.banks[rows] == bank)], ones)[..., 0]
                    for rows in children
                ]
                for bank in range(len(homes))
            ]
            below.append(merge(np.array(parts), homes, block.shape, self.config.min_merged_count))
        return below
