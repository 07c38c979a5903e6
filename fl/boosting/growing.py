"""The bank's half of growing: it knows gradients and which rows are where, and asks for the rest.

`Grower.begin` makes the first demand. A demand splits the nodes of a level, those of all trees of a round, and asks for
the sums of what comes next: of the next level's nodes, or of the roots of the next round. `resolve` takes where the
passive parties' splits have sent rows, which may finish a round; `advance` takes the sums and makes the next demand.
All that a grower knows between two demands is in its `Growth`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fl.binning import UNKNOWN
from fl.boosting.forest import LEAF, Flags, Floats, Splits
from fl.boosting.gradients import (
    goss_weights,
    gradients,
    roots_ahead,
    sampled_columns,
    sampled_rows,
)
from fl.boosting.growth import Answer, Best, Data, Demand, Growth, Integers, Resolved
from fl.boosting.layouts import LEFT, NOWHERE, RIGHT, Layout, children, level_layout, root_layout, roots
from fl.boosting.merging import merged, siblings, unmerged
from fl.boosting.search import BestSplit, allowed, child_bounds, search, splits_of, weight
from fl.config.boosting import BoostingConfig
from fl.evaluation import Fit
from fl.evaluation.measures import fit_of
from fl.sums import counts_by_node, sums_by_bin

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
        """A new forest, and the first demand: the roots of the first round in which passive parties take part."""
        scores = np.full(len(data.labels), data.base)
        growth = Growth.start(scores, gradients(scores, data.labels, config.precision, data.weights))
        grower = cls(data, config, growth)
        demand = grower._plant()
        if data.passive and not grower._asks_parties():
            grower.resolve({})
            demand = grower.advance()
        return grower, demand

    def resolve(self, members: Mapping[str, Flags]) -> Resolved:
        """Take where each passive party's splits of the last demand send the rows of their nodes, (p, n) by name.

        Raises RuntimeError when that demand has been resolved before.
        """
        if self._resolved is not None:
            raise RuntimeError("a demand is resolved once")
        growth = self.growth
        for number, party in enumerate(self.data.passive, start=1):
            rows = np.append((growth.owners == number) & ~growth.decided, False)[growth.nodes]
            if rows.any():
                growth.left[rows] = members[party.name][rows]
        self.growth = growth = self._with_child_covers(np.flatnonzero(~growth.decided))
        counted, layout = self._counted() if growth.wanted else (np.empty(0, bool), None)
        fit = self._finish_round() if growth.ahead and len(growth.owners) else None
        # These are of the gradients of the round that follows.
        totals = [] if layout is None else [self._totals(layout, party.known) for party in self.data.passive]
        self._resolved = Resolved(
            counted=counted,
            layout=layout,
            totals=totals,
            fit=fit,
            ended=fit is not None and self._has_ended(),
        )
        return self._resolved

    def advance(self, answers: Sequence[Answer] = ()) -> Demand:
        """The next demand, by each passive party's answer if sums were wanted of them.

        A round of the bank's own is grown whole, and only its last splits are still to be resolved. Raises RuntimeError
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

    def _with_child_covers(self, split: Integers) -> Growth:
        """The growth with the covers of the children of nodes whose rows are known to go left or not."""
        growth, training = self.growth, self.data.training
        nodes, left = growth.nodes[:, training], growth.left[:, training]
        keys = 2 * nodes.astype(np.int64) + ~left
        counts = np.bincount(keys[nodes != NOWHERE], minlength=2 * len(growth.owners)).reshape(-1, 2)
        children = growth.forest.children[growth.places[split]]
        return replace(growth, forest=growth.forest.with_covers(children, counts[split]))

    def _asks_parties(self) -> bool:
        """Whether passive parties take part in the round."""
        return bool(self.data.passive) and not (self.growth.round == 0 and self.config.first_tree_bank_only)

    def _counted(self) -> tuple[Flags, Layout]:
        """Which entries of what is wanted count, and these alone."""
        layout = self._layout()
        counted = layout.counted(self.growth.left)
        return counted, layout.only(counted)

    def _totals(self, layout: Layout, known: Flags) -> Integers:
        """The sums (sums, 2) over the entries of known rows (n,)."""
        codes = np.where(known[layout.rows], 0, UNKNOWN).astype(np.uint8)[:, None]
        values = self.growth.gradients[layout.rows]
        sums = [sums_by_bin(codes, values, of_sample, len(layout.trees), 1) for of_sample in layout.sums()]
        return np.asarray(np.sum(sums, axis=0)[:, 0, 0])

    def _finish_round(self) -> Fit | None:
        """Take the last level's leaves, and look at the forest that has got another round."""
        growth = self.growth
        there = np.nonzero(growth.nodes != NOWHERE)
        growth.values[there] = growth.child_values[growth.nodes[there], LEFT - growth.left[there]]
        number, scores = growth.round + 1, self._scores(growth.values)
        self.growth = replace(
            growth,
            scores=scores,
            gradients=self._gradients(number, growth.scores, scores),
            owners=np.empty(0, np.int16),
            round=number,
        )
        return self._judge()

    def _judge(self) -> Fit | None:
        """How the forest fits that has got another round."""
        fit = fit_of(self.growth.scores, self.data.labels, self.data.training)
        self._compare(fit)
        return fit

    def _compare(self, fit: Fit) -> None:
        """Note the forest as the best so far, if it is that."""
        growth = self.growth
        if not self.config.patience or fit.validation_auc > growth.best.merit:
            best = Best(merit=fit.validation_auc, rounds=growth.round, scores=growth.scores)
            self.growth = replace(growth, best=best)

    def _has_ended(self) -> bool:
        waited = self.growth.round - self.growth.best.rounds
        return self.growth.round >= self.config.rounds or 0 < self.config.patience <= waited

    def _plant(self) -> Demand:
        """The demand for a round's roots, when no splits are pending."""
        shape = len(self.config.trees_of(self.growth.round)), len(self.data.labels)
        self.growth = replace(
            self.growth,
            nodes=np.full(shape, NOWHERE, np.int16),
            trees=np.empty(0, np.int64),
            totals=np.empty((0, 2), np.int64),
        )
        return self._split({})

    def _decide(self) -> Demand:
        """After a demand that wanted no sums: the same one as if all splits were the bank's, with sums."""
        owners = self.growth.owners
        self.growth = replace(self.growth, decided=np.ones(len(owners), bool), wanted=True)
        none = {party.name: Splits.none() for party in self.data.passive}
        return self._demand(np.where(owners == LEAF, LEAF, 0).astype(np.int16), none)

    def _split_nodes(self, layout: Layout, answers: Sequence[Answer]) -> Demand:
        """Split the nodes whose sums have come; layout has the entries that these are of."""
        self._take(layout, answers)
        # Nobody need be spared the bank's own bins.
        unmerged_bins = unmerged(len(self.growth.totals), self.data.shape)
        candidates = [self._candidates(*self._counts()), *(answer.candidates for answer in answers)]
        homes = [unmerged_bins, *(answer.homes for answer in answers)]
        return self._split(self._search(self.growth.sums, candidates, homes))

    def _take(self, layout: Layout, answers: Sequence[Answer]) -> None:
        """Go on to the nodes whose sums have come."""
        if self.growth.ahead:
            self._take_roots(answers)
        else:
            self._descend(layout, answers)

    def _take_roots(self, answers: Sequence[Answer]) -> None:
        """Begin the trees of a round with their roots."""
        growth, data = self.growth, self.data
        samples = self._samples(growth.round)
        trees, rows = samples.shape
        forest, totals, of_bank = growth.forest, [], []
        for sample in samples:
            root = np.where(sample, 0, NOWHERE)
            of_bank.append(sums_by_bin(data.codes, growth.gradients, root, 1, data.shape.width))
            totals.append(growth.gradients[sample].sum(axis=0))
            forest = forest.with_root(float(weight(totals[-1], *UNBOUNDED, self.config) * self._rate))
        places = np.arange(len(growth.forest.owners), len(forest.owners), dtype=np.int32)
        self.growth = replace(
            growth,
            values=np.zeros(samples.shape),
            sums=[np.concatenate(of_bank), *(answer.sums for answer in answers)],
            totals=np.array(totals),
            bounds=np.array([UNBOUNDED] * trees),
            nodes=roots(trees, rows),
            trees=np.arange(trees),
            level=0,
            places=places,
            forest=forest.with_covers(places, np.full(trees, data.training.sum())),
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
                siblings(parents, light, growth.lighter_left[split])
                for parents, light in zip(of_parents, of_lighter, strict=True)
            ],
            totals=growth.child_totals[split].reshape(-1, 2),
            bounds=growth.child_bounds[split].reshape(-1, 2),
            places=growth.forest.children[growth.places[split]].reshape(-1),
            nodes=children(growth.nodes, split, growth.left),
            trees=np.repeat(growth.trees[split], 2),
            level=growth.level + 1,
        )

    def _search(
        self, sums: Sequence[Integers], candidates: Sequence[Flags], homes: Sequence[Integers]
    ) -> dict[int, tuple[int, BestSplit]]:
        """By node the owner and the best of all parties' splits, where one gains; the first of equals."""
        growth = self.growth
        best: dict[int, tuple[int, BestSplit]] = {}
        for node, total in enumerate(growth.totals):
            bounds = float(growth.bounds[node, 0]), float(growth.bounds[node, 1])
            for owner, (of_nodes, flags) in enumerate(zip(sums, candidates, strict=True)):
                of_node, shape = homes[owner][node], self._shapes[owner]
                split = search(of_nodes[node], total, bounds, flags[node], of_node, shape, self.config)
                if split is not None and (node not in best or split.gain > best[node][1].gain):
                    best[node] = owner, split
        return best

    def _counts(self) -> tuple[Integers, Integers]:
        """The rows that trees learn from: by node and bin of the bank's own columns (k, c, width), by node (k,)."""
        data, growth = self.data, self.growth
        sampled = np.where(self._samples(growth.round), growth.nodes, NOWHERE)
        counts = counts_by_node(data.codes, sampled, len(growth.totals), data.shape.width)
        return counts, np.bincount(sampled[sampled != NOWHERE], minlength=len(growth.totals))

    def _candidates(self, counts: Integers, rows: Integers) -> Flags:
        """The splits by the bank's own columns that each node allows, by `_counts`: bool (k, c, width, 2, 2)."""
        data, growth, config = self.data, self.growth, self.config
        trees, share = config.trees_of(growth.round), config.column_share
        used = sampled_columns(len(data.shape), data.name, data.seed, trees, share)
        alone = unmerged(1, data.shape)[0]
        return np.array(
            [
                allowed(of_node, int(total), alone, data.shape, config.min_leaf_count, used[tree])
                for of_node, total, tree in zip(counts, rows, growth.trees, strict=True)
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
            values[node] = np.array(split.weights) * self._rate
            place = int(growth.places[node])
            forest = forest.with_split(place, owner, split.column, split.gain, values[node])
        ahead = growth.level + 1 >= config.depth or not best
        early = roots_ahead(config) if ahead else config.ahead != "none"
        self.growth = replace(
            growth,
            owners=owners,
            lighter_left=lighter_left,
            child_totals=totals,
            child_bounds=bounds,
            child_values=values,
            forest=forest,
            splits=growth.splits.plus(splits_of(best, 0)),
            ahead=ahead,
            decided=owners <= 0,
            wanted=growth.round + (ahead and nodes > 0) < config.rounds
            and (early or bool((owners <= 0).all())),
        )
        self._move_rows()
        passive = enumerate(self.data.passive, start=1)
        return self._demand(owners, {party.name: splits_of(best, number) for number, party in passive})

    def _move_rows(self) -> None:
        """Send rows where the bank's splits say; those that reach a leaf take its value and leave.

        Leaves are the unsplit nodes, and the children of the bank's own last splits.
        """
        growth, left = self.growth, np.zeros(self.growth.nodes.shape, bool)
        trees = growth.trees.tolist()
        rows_of = [np.flatnonzero(growth.nodes[tree] == node) for node, tree in enumerate(trees)]
        of_bank = np.flatnonzero(growth.owners == 0)
        for split in of_bank.tolist():
            rows, number = rows_of[split], growth.forest.numbers[growth.places[split]]
            left[trees[split], rows] = growth.splits.outcome(number, self.data.codes[rows])
        self.growth = replace(growth, left=left)
        self.growth = growth = self._with_child_covers(of_bank)
        for node, (owner, tree, rows) in enumerate(zip(growth.owners, trees, rows_of, strict=True)):
            if owner == LEAF or (owner == 0 and growth.ahead):
                values = np.where(left[tree, rows], *growth.child_values[node])
                place = growth.places[node]
                growth.values[tree, rows] = growth.forest.values[place] if owner == LEAF else values
                growth.nodes[tree, rows] = NOWHERE

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
            round=self._round,
            ahead=growth.ahead,
            layout=layout,
            values=np.empty((0, 2), np.int64) if layout is None else self._values(layout),
        )

    @property
    def _round(self) -> int:
        """The round of which sums are wanted next."""
        return self.growth.round + (self.growth.ahead and len(self.growth.owners) > 0)

    @property
    def _rate(self) -> float:
        """What a leaf of this round adds of its best weight: the trees of a round add their mean."""
        return self.config.learning_rate / len(self.config.trees_of(self.growth.round))

    def _layout(self) -> Layout:
        """The layout of what is wanted."""
        growth, samples = self.growth, self._samples(self._round)
        if growth.ahead:
            return root_layout(growth.nodes, growth.owners > 0, samples)
        return level_layout(
            growth.nodes,
            growth.owners != LEAF,
            growth.decided,
            growth.lighter_left,
            growth.left,
            samples,
            growth.trees,
        )

    def _values(self, layout: Layout) -> Integers:
        """Gradients and hessians (e, 2) of a layout's entries."""
        growth = self.growth
        if not growth.ahead or not len(growth.owners):
            return growth.gradients[layout.rows]
        waits = np.nonzero(growth.nodes != NOWHERE)
        by_side = {}
        for side in (LEFT, RIGHT):
            values = growth.values.copy()
            values[waits] = growth.child_values[growth.nodes[waits], LEFT - side]
            scores = self._scores(values)
            by_side[side] = self._gradients(self._round, growth.scores, scores)[layout.rows]
        return np.where((layout.sides == RIGHT)[:, None], by_side[RIGHT], by_side[LEFT])

    def _scores(self, values: Floats) -> Floats:
        """Scores after this round, whose trees add these values (p, n), in the order of the forest's own sum."""
        scores = self.growth.scores
        for of_tree in values:
            scores = scores + of_tree
        return scores

    def _gradients(self, number: int, before: Floats, scores: Floats) -> Integers:
        """Those of a round that starts at `scores`; `before` are those at which the round before it started."""
        data, config = self.data, self.config
        exact = gradients(scores, data.labels, config.precision, data.weights)
        if not config.goss_top or number == 0:
            return exact
        magnitudes = np.abs(gradients(before, data.labels, config.precision, data.weights)[:, 0])
        members = np.asarray(self._samples(number).any(axis=0), bool)
        weights = goss_weights(magnitudes, members, config, data.secret_generator(number))
        return np.rint(exact * weights[:, None]).astype(np.int64)

    def _samples(self, number: int) -> Flags:
        """The rows that each tree of a round learns from, (p, n)."""
        trees = self.config.trees_of(number)
        return sampled_rows(self.data.training, self.data.seed, trees, self.config.row_share)
