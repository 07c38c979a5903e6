"""The bank's half of growing: it knows gradients and which rows are where, and asks for the rest.

`Grower.begin` makes the first demand. A demand splits the nodes of a level, and asks for the sums of what comes next:
of the next level's nodes, or of the root of the next tree. `resolve` takes where the passive parties' splits have sent
rows, which may finish a tree; `advance` takes the sums and makes the next demand. All that a grower knows between two
demands is in its `Growth`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fl.binning import UNKNOWN
from fl.boosting.forest import LEAF, Flags, Floats, Splits
from fl.boosting.gradients import (
    base_score,
    goss_weights,
    gradients,
    sampled_columns,
    sampled_rows,
)
from fl.boosting.growth import Answer, Best, Data, Demand, Growth, Integers, Resolved
from fl.boosting.layouts import LEFT, NOWHERE, RIGHT, Layout, children, level_layout, tree_layout
from fl.boosting.merging import merged, unmerged
from fl.boosting.search import BestSplit, allowed, child_bounds, search, weight
from fl.config.boosting import BoostingConfig
from fl.evaluation import Fit
from fl.evaluation.measures import fit_of
from fl.sums import counts_by_bin, sums_by_bin

UNBOUNDED = (-np.inf, np.inf)


class Grower:
    """Grows trees from demand to demand: `resolve` and `advance` in turn; see the module."""

    def __init__(self, data: Data, config: BoostingConfig, growth: Growth) -> None:
        self.data = data
        self.config = config
        self.growth = growth
        self._shapes = [data.shape, *(party.shape for party in data.passive)]
        self._resolved: Resolved | None = None

    @classmethod
    def begin(cls, data: Data, config: BoostingConfig) -> tuple[Self, Demand]:
        """A new forest, and the first demand: the root of the first tree in which passive parties take part."""
        scores = np.full(len(data.labels), base_score(data.labels[data.training]))
        growth = Growth.start(scores, gradients(scores, data.labels, config.precision))
        grower = cls(data, config, growth)
        demand = grower._plant()
        if data.passive and not grower._asks_parties():
            grower.resolve({})
            demand = grower.advance()
        return grower, demand

    @property
    def base(self) -> float:
        """Where scores start."""
        return base_score(self.data.labels[self.data.training])

    def resolve(self, members: Mapping[str, Flags]) -> Resolved:
        """Take where each passive party's splits of the last demand send the rows of their nodes, (n,) by name.

        Raises RuntimeError when that demand has been resolved before.
        """
        if self._resolved is not None:
            raise RuntimeError("a demand is resolved once")
        growth = self.growth
        for number, party in enumerate(self.data.passive, start=1):
            rows = np.append((growth.owners == number) & ~growth.decided, False)[growth.nodes]
            if rows.any():
                growth.left[rows] = members[party.name][rows]
        counted, layout = self._counted()
        fit = self._finish_tree() if growth.ahead and len(growth.owners) else None
        self._resolved = Resolved(
            counted=counted,
            layout=layout if growth.wanted else None,
            totals=[self._totals(layout, party.known) for party in self.data.passive],
            fit=fit,
            ended=fit is not None and self._has_ended(),
        )
        return self._resolved

    def advance(self, answers: Sequence[Answer] = ()) -> Demand:
        """The next demand, by each passive party's answer if sums were wanted of them.

        A tree of the bank's own is grown whole, and only its last splits are still to be resolved. Raises RuntimeError
        when the last demand has not been resolved.
        """
        if self._resolved is None:
            raise RuntimeError("a demand is resolved before the next one is made")
        resolved, self._resolved = self._resolved, None
        if resolved.layout is None:
            return self._plant() if self.growth.ahead else self._decide()
        if self._asks_parties():
            return self._split_nodes(resolved.layout, answers)
        demand = self._split_nodes(resolved.layout, ())
        while not demand.ahead:
            demand = self._split_nodes(self._counted()[1], ())
        return demand

    def _asks_parties(self) -> bool:
        """Whether passive parties take part in the tree."""
        return bool(self.data.passive) and not (self.growth.tree == 0 and self.config.first_tree_bank_only)

    def _counted(self) -> tuple[Flags, Layout]:
        """Which entries of what is wanted count, and these alone."""
        layout = self._layout()
        counted = layout.counted(self.growth.left)
        return counted, layout.only(counted)

    def _totals(self, layout: Layout, known: Flags) -> Integers:
        """The sums (groups, 2) over the entries of known rows (n,)."""
        codes = np.where(known[layout.rows], 0, UNKNOWN).astype(np.uint8)[:, None]
        values = self.growth.gradients[layout.rows]
        return sums_by_bin(codes, values, layout.groups(), len(layout.offsets) - 1, 1)[:, 0, 0]

    def _finish_tree(self) -> Fit:
        """Take the last level's leaves, and look at the forest that has got another tree."""
        growth, best = self.growth, self.growth.best
        rows = np.flatnonzero(growth.nodes != NOWHERE)
        growth.values[rows] = growth.child_values[growth.nodes[rows], LEFT - growth.left[rows]]
        tree, scores = growth.tree + 1, growth.scores + growth.values
        fit = fit_of(scores, self.data.labels, self.data.training)
        if not self.config.patience or fit.validation_auc > best.auc:
            best = Best(auc=fit.validation_auc, trees=tree, scores=scores)
        self.growth = replace(
            growth,
            scores=scores,
            values=np.zeros(len(scores)),
            gradients=self._gradients(tree, growth.scores, scores),
            nodes=np.full(len(scores), NOWHERE, np.int16),
            owners=np.empty(0, np.int16),
            tree=tree,
            best=best,
        )
        return fit

    def _has_ended(self) -> bool:
        waited = self.growth.tree - self.growth.best.trees
        return self.growth.tree >= self.config.trees or 0 < self.config.patience <= waited

    def _plant(self) -> Demand:
        """The demand for a tree's root, when no splits are pending."""
        self.growth = replace(self.growth, totals=np.empty((0, 2), np.int64))
        return self._split({})

    def _decide(self) -> Demand:
        """After a demand that wanted no sums: the same one as if all splits were the bank's, with sums."""
        owners = self.growth.owners
        self.growth = replace(self.growth, decided=np.ones(len(owners), bool), wanted=True)
        none = {party.name: Splits.none() for party in self.data.passive}
        return self._demand(np.where(owners == LEAF, LEAF, 0).astype(np.int16), none)

    def _split_nodes(self, layout: Layout, answers: Sequence[Answer]) -> Demand:
        """Split the nodes whose sums have come; layout has the entries that these are of."""
        if self.growth.ahead:
            self._take_root(answers)
        else:
            self._descend(layout, answers)
        # Nobody need be spared the bank's own bins.
        unmerged_bins = unmerged(len(self.growth.totals), self.data.shape)
        return self._split(self._search(answers, [unmerged_bins, *(answer.homes for answer in answers)]))

    def _take_root(self, answers: Sequence[Answer]) -> None:
        """Begin a tree with its root."""
        growth, data = self.growth, self.data
        sample = self._sample(growth.tree)
        root = np.where(sample, 0, NOWHERE)
        of_bank = sums_by_bin(data.codes, growth.gradients, root, 1, data.shape.width)
        totals = growth.gradients[sample].sum(axis=0)[None]
        value = weight(totals[0], *UNBOUNDED, self.config) * self.config.learning_rate
        self.growth = replace(
            growth,
            sums=[of_bank, *(answer.sums for answer in answers)],
            totals=totals,
            bounds=np.array([UNBOUNDED]),
            nodes=np.zeros(len(data.labels), np.int16),
            level=0,
            places=np.array([len(growth.forest.owners)], np.int32),
            forest=growth.forest.with_root(float(value)),
        )

    def _descend(self, lighter: Layout, answers: Sequence[Answer]) -> None:
        """From the nodes that were split to their children; `lighter` has the sampled rows of the lighter ones."""
        growth, data = self.growth, self.data
        split = growth.owners != LEAF
        codes, values = data.codes[lighter.rows], growth.gradients[lighter.rows]
        of_bank = sums_by_bin(codes, values, lighter.groups(), int(split.sum()), data.shape.width)
        of_lighter = [of_bank, *(answer.sums for answer in answers)]
        of_parents = [parents[split] for parents in growth.sums]
        for party, answer in enumerate(answers, start=1):
            of_parents[party] = merged(of_parents[party], answer.homes[::2])
        self.growth = replace(
            growth,
            sums=[
                _siblings(parents, light, growth.lighter_left[split])
                for parents, light in zip(of_parents, of_lighter, strict=True)
            ],
            totals=growth.child_totals[split].reshape(-1, 2),
            bounds=growth.child_bounds[split].reshape(-1, 2),
            places=growth.forest.children[growth.places[split]].reshape(-1),
            nodes=children(growth.nodes, split, growth.left),
            level=growth.level + 1,
        )

    def _search(
        self, answers: Sequence[Answer], homes: Sequence[Integers]
    ) -> dict[int, tuple[int, BestSplit]]:
        """By node the owner and the best of all parties' splits, where one gains; the first of equals."""
        growth = self.growth
        candidates = [self._candidates(), *(answer.candidates for answer in answers)]
        best: dict[int, tuple[int, BestSplit]] = {}
        for node, total in enumerate(growth.totals):
            bounds = float(growth.bounds[node, 0]), float(growth.bounds[node, 1])
            for owner, (sums, flags) in enumerate(zip(growth.sums, candidates, strict=True)):
                of_node, shape = homes[owner][node], self._shapes[owner]
                split = search(sums[node], total, bounds, flags[node], of_node, shape, self.config)
                if split is not None and (node not in best or split.gain > best[node][1].gain):
                    best[node] = owner, split
        return best

    def _candidates(self) -> Flags:
        """The splits by the bank's own columns that each node allows: bool (k, c, width, 2, 2)."""
        data, growth, config = self.data, self.growth, self.config
        sample, nodes = self._sample(growth.tree), len(growth.totals)
        sampled = np.where(sample, growth.nodes, NOWHERE)
        counts = counts_by_bin(data.codes, sampled, nodes, data.shape.width)
        rows = np.bincount(sampled[sampled != NOWHERE], minlength=nodes)
        used = sampled_columns(len(data.shape), data.name, data.seed, growth.tree, config.column_share)
        alone = unmerged(1, data.shape)[0]
        return np.array(
            [
                allowed(of_node, int(total), alone, data.shape, config.min_leaf_count, used)
                for of_node, total in zip(counts, rows, strict=True)
            ]
        )

    def _split(self, best: Mapping[int, tuple[int, BestSplit]]) -> Demand:
        """Record the splits, let rows go as far as the bank knows their way, and say what is wanted next."""
        growth, config, nodes = self.growth, self.config, len(self.growth.totals)
        owners, lighter_left = np.full(nodes, LEAF, np.int16), np.zeros(nodes, bool)
        totals, bounds = np.zeros((nodes, 2, 2), np.int64), np.zeros((nodes, 2, 2))
        values, forest = np.zeros((nodes, 2)), growth.forest
        for node, (owner, split) in sorted(best.items()):
            of_node = float(growth.bounds[node, 0]), float(growth.bounds[node, 1])
            owners[node] = owner
            lighter_left[node] = split.sums[0, 1] <= split.sums[1, 1]
            totals[node] = split.sums
            bounds[node] = child_bounds(split, self._shapes[owner], of_node, config)
            values[node] = np.array(split.weights) * config.learning_rate
            place = int(growth.places[node])
            forest = forest.with_split(place, owner, split.column, split.gain, values[node])
        ahead = growth.level + 1 >= config.depth or not best
        early = config.ahead == "tree" or (config.ahead == "level" and not ahead)
        self.growth = replace(
            growth,
            owners=owners,
            lighter_left=lighter_left,
            child_totals=totals,
            child_bounds=bounds,
            child_values=values,
            forest=forest,
            splits=growth.splits.plus(_splits(best, 0)),
            ahead=ahead,
            decided=owners <= 0,
            wanted=growth.tree + (ahead and nodes > 0) < config.trees
            and (early or bool((owners <= 0).all())),
        )
        self._move_rows()
        passive = enumerate(self.data.passive, start=1)
        return self._demand(owners, {party.name: _splits(best, number) for number, party in passive})

    def _move_rows(self) -> None:
        """Send rows where the bank's splits say; those that reach a leaf take its value and leave.

        Leaves are the unsplit nodes, and the children of the bank's own last splits.
        """
        growth, left = self.growth, np.zeros(len(self.data.labels), bool)
        for node, owner in enumerate(growth.owners):
            place, rows = growth.places[node], np.flatnonzero(growth.nodes == node)
            if owner == 0:
                left[rows] = growth.splits.outcome(growth.forest.numbers[place], self.data.codes[rows])
            if owner == LEAF or (owner == 0 and growth.ahead):
                values = np.where(left[rows], *growth.child_values[node])
                growth.values[rows] = growth.forest.values[place] if owner == LEAF else values
                growth.nodes[rows] = NOWHERE
        self.growth = replace(growth, left=left)

    def _demand(self, owners: NDArray[np.int16], splits: Mapping[str, Splits]) -> Demand:
        """What is wanted next, where the nodes have these owners and passive parties make these splits."""
        growth = self.growth
        layout = self._layout() if growth.wanted else None
        return Demand(
            owners=owners,
            lighter_left=growth.lighter_left,
            splits=splits,
            nodes=growth.nodes,
            left=growth.left & (growth.nodes != NOWHERE),
            tree=self._tree,
            ahead=growth.ahead,
            layout=layout,
            values=np.empty((0, 2), np.int64) if layout is None else self._values(layout),
        )

    @property
    def _tree(self) -> int:
        """The tree of which sums are wanted next."""
        return self.growth.tree + (self.growth.ahead and len(self.growth.owners) > 0)

    def _layout(self) -> Layout:
        """The layout of what is wanted."""
        growth, sample = self.growth, self._sample(self._tree)
        if growth.ahead:
            return tree_layout(growth.nodes, growth.owners > 0, sample)
        split = growth.owners != LEAF
        return level_layout(growth.nodes, split, growth.decided, growth.lighter_left, growth.left, sample)

    def _values(self, layout: Layout) -> Integers:
        """Gradients and hessians (e, 2) of a layout's entries."""
        growth = self.growth
        if not growth.ahead or not len(growth.owners):
            return growth.gradients[layout.rows]
        waits = np.flatnonzero(growth.nodes != NOWHERE)
        by_side = {}
        for side in (LEFT, RIGHT):
            values = growth.values.copy()
            values[waits] = growth.child_values[growth.nodes[waits], LEFT - side]
            by_side[side] = self._gradients(self._tree, growth.scores, growth.scores + values)[layout.rows]
        return np.where((layout.sides == RIGHT)[:, None], by_side[RIGHT], by_side[LEFT])

    def _gradients(self, tree: int, before: Floats, scores: Floats) -> Integers:
        """Those of a tree that starts at `scores`; `before` are those at which the tree before it started."""
        data, config = self.data, self.config
        exact = gradients(scores, data.labels, config.precision)
        if not config.goss_top or tree == 0:
            return exact
        magnitudes = np.abs(gradients(before, data.labels, config.precision)[:, 0])
        weights = goss_weights(magnitudes, self._sample(tree), config, data.secret_generator(tree))
        return np.rint(exact * weights[:, None]).astype(np.int64)

    def _sample(self, tree: int) -> Flags:
        return sampled_rows(self.data.training, self.data.seed, tree, self.config.row_share)


def _siblings(parents: Integers, lighter: Integers, lighter_left: Flags) -> Integers:
    """Sums of the children (2s, …), left and right in turn, from those of parents and lighter children (s, …)."""
    side = lighter_left.reshape(-1, *[1] * (parents.ndim - 1))
    heavier = parents - lighter
    pairs = np.stack([np.where(side, lighter, heavier), np.where(side, heavier, lighter)], 1)
    return pairs.reshape(-1, *parents.shape[1:])


def _splits(best: Mapping[int, tuple[int, BestSplit]], owner: int) -> Splits:
    """An owner's splits in the order of the nodes."""
    splits = [split for _, (who, split) in sorted(best.items()) if who == owner]
    return Splits(
        np.array([split.column for split in splits], np.int64),
        np.packbits(np.array([split.left for split in splits], bool).reshape(-1, 256), axis=1),
    )
