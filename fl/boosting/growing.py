"""The bank's half of growing: it knows gradients and which rows are where, and asks for the rest.

`Grower` goes from one demand to the next. A demand splits the nodes of a level, and asks for the sums of what comes
next: of the next level's nodes, or of the root of the next tree. Then `resolve` takes where passive parties sent rows,
`settle` finishes a tree that has no further level, and `advance` takes the sums and makes the next demand. All that a
grower knows between two demands is in the arrays of its `Growth`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from fl.boosting.forest import LEAF, Splits
from fl.boosting.gradients import base_score, goss_weights, gradients, sampled_columns, sampled_rows
from fl.boosting.growth import Data, Demand, Flags, Floats, Growth, Integers
from fl.boosting.layouts import LEFT, NOWHERE, RIGHT, Layout, children, level_layout, tree_layout
from fl.boosting.merging import merged, unmerged
from fl.boosting.search import Found, allowed, child_bounds, histogram, search, weight
from fl.config.boosting import BoostingConfig

UNBOUNDED = (-np.inf, np.inf)


class Grower:
    """Grows trees from demand to demand; see the module."""

    def __init__(self, data: Data, config: BoostingConfig, growth: Growth | None = None) -> None:
        self._data = data
        self._config = config
        self._shapes = [data.shape, *(party.shape for party in data.passive)]
        self._names = [data.name, *(party.name for party in data.passive)]
        self.growth = Growth() if growth is None else growth

    @property
    def base(self) -> float:
        """Where scores start."""
        return base_score(self._data.labels[self._data.training])

    def asks_parties(self, tree: int) -> bool:
        """Whether passive parties take part in a tree."""
        return bool(self._data.passive) and not (tree == 0 and self._config.first_tree_bank_only)

    def begin(self) -> Demand:
        """The demand for the root of the first tree."""
        growth, rows = self.growth, len(self._data.labels)
        growth.scores, growth.values = np.full(rows, self.base), np.zeros(rows)
        growth.nodes = np.full(rows, NOWHERE, np.int16)
        growth.gradients = self._gradients(0, growth.scores, growth.scores)
        return self.plant()

    def plant(self) -> Demand:
        """The demand for a tree's root, when the tree before it has been settled."""
        self.growth.totals = np.empty((0, 2), np.int64)
        return self._demand({})

    def resolve(self, members: Mapping[str, Flags]) -> tuple[Layout, Flags]:
        """Take where passive parties' pending splits send the rows of their nodes, (n,) by party.

        Returns what was wanted, and which of its entries count.
        """
        growth = self.growth
        for number, party in enumerate(self._data.passive, start=1):
            theirs = (growth.owners == number) & ~growth.decided
            rows = np.append(theirs, False)[growth.nodes]
            if rows.any():
                growth.left[rows] = members[party.name][rows]
        layout = self._layout()
        return layout, layout.counted(growth.left)

    def decide(self) -> Demand:
        """After `resolve` of a demand that wanted no sums: the same one as if all splits were the bank's, with sums."""
        growth = self.growth
        growth.decided, growth.wanted = np.ones(len(growth.owners), bool), True
        layout = self._layout()
        owners = np.where(growth.owners == LEAF, LEAF, 0).astype(np.int16)
        none = {party.name: Splits.none() for party in self._data.passive}
        left = growth.left & (growth.nodes != NOWHERE)
        return Demand(
            owners, growth.lighter_left, none, left, growth.tree, False, layout, self._values(layout)
        )

    def settle(self) -> bool:
        """Finish the pending tree if its last level has been resolved: whether it has."""
        growth = self.growth
        if not growth.ahead or not len(growth.owners):
            return False
        rows = np.flatnonzero(growth.nodes != NOWHERE)
        growth.values[rows] = growth.child_values[growth.nodes[rows], LEFT - growth.left[rows]]
        before, growth.scores = growth.scores, growth.scores + growth.values
        growth.values = np.zeros(len(before))
        growth.nodes = np.full(len(before), NOWHERE, np.int16)
        growth.owners = np.empty(0, np.int16)
        growth.tree += 1
        growth.gradients = self._gradients(growth.tree, before, growth.scores)
        return True

    def sums_known(self, party: int, counted: Layout) -> Integers:
        """The sums (groups, 2) over the counted entries that a passive party knows; after `settle`."""
        known = self._data.passive[party].known[counted.rows]
        values = self.growth.gradients[counted.rows] * known[:, None]
        totals = np.zeros((len(counted.offsets) - 1, 2), np.int64)
        np.add.at(totals, counted.groups(), values)
        return totals

    def advance(
        self, sums: Sequence[Integers], candidates: Sequence[Flags], homes: Sequence[Integers]
    ) -> Demand:
        """Split on by each passive party's sums (groups, c, width, 2), candidates (k, c, width, 2, 2) and homes.

        Groups are the lighter children that were wanted, or the root; candidates and homes (k, c, width), in which
        siblings are equal, speak of the k nodes of the new level. All are empty for a tree of the bank's own.
        """
        if self.growth.ahead:
            self._take_root(sums)
        else:
            self._descend(sums, homes)
        # Nobody need be spared the bank's own bins.
        own = unmerged(len(self.growth.totals), self._data.shape)
        return self._demand(self._search(candidates, [own, *homes]))

    def grow_alone(self) -> Demand:
        """Grow a whole tree without the passive parties; its last splits are still to be resolved."""
        demand = self.advance([], [], [])
        while not demand.ahead:
            self.resolve({})
            demand = self.advance([], [], [])
        return demand

    def _take_root(self, sums: Sequence[Integers]) -> None:
        """Begin a tree with its root."""
        growth, data = self.growth, self._data
        sample = self._sample(growth.tree)
        own = histogram(data.codes[sample], growth.gradients[sample], data.shape.width)[None]
        growth.sums = [own, *sums]
        growth.totals = growth.gradients[sample].sum(axis=0)[None]
        growth.bounds = np.array([UNBOUNDED])
        growth.nodes = np.zeros(len(data.labels), np.int16)
        growth.level = 0
        place = len(growth.forest.owners)
        value = weight(growth.totals[0], *UNBOUNDED, self._config) * self._config.learning_rate
        growth.places = np.array([place], np.int32)
        growth.forest = growth.forest.with_root(float(value))

    def _descend(self, sums: Sequence[Integers], homes: Sequence[Integers]) -> None:
        """From the nodes that were split to their children."""
        growth, data = self.growth, self._data
        split, layout = growth.owners != LEAF, self._layout()
        lighter = layout.only(layout.counted(growth.left))
        groups = [
            lighter.rows[low:high] for low, high in zip(lighter.offsets, lighter.offsets[1:], strict=False)
        ]
        own = np.stack([histogram(data.codes[g], growth.gradients[g], data.shape.width) for g in groups])
        of_parents = [growth.sums[0][split]]
        for parents, of_party in zip(growth.sums[1:], homes, strict=True):
            of_parents.append(merged(parents[split], of_party[::2]))
        growth.sums = [
            _siblings(parents, light, growth.lighter_left[split])
            for parents, light in zip(of_parents, [own, *sums], strict=True)
        ]
        growth.totals = growth.child_totals[split].reshape(-1, 2)
        growth.bounds = growth.child_bounds[split].reshape(-1, 2)
        growth.places = growth.forest.children[growth.places[split]].reshape(-1)
        growth.nodes = children(growth.nodes, split, growth.left)
        growth.level += 1

    def _search(self, candidates: Sequence[Flags], homes: Sequence[Integers]) -> dict[int, tuple[int, Found]]:
        """By node the owner and the best of all parties' splits, where one gains; the first of equals."""
        growth, sample = self.growth, self._sample(self.growth.tree)
        best: dict[int, tuple[int, Found]] = {}
        for node, total in enumerate(growth.totals):
            own = self._own_candidates(sample & (growth.nodes == node))
            bounds = float(growth.bounds[node, 0]), float(growth.bounds[node, 1])
            fit = [own, *(party[node] for party in candidates)]
            for owner, (sums, flags) in enumerate(zip(growth.sums, fit, strict=True)):
                of_node, shape = homes[owner][node], self._shapes[owner]
                found = search(sums[node], total, bounds, flags, of_node, shape, self._config)
                if found is not None and (node not in best or found.gain > best[node][1].gain):
                    best[node] = owner, found
        return best

    def _own_candidates(self, rows: Flags) -> Flags:
        data, config = self._data, self._config
        ones = np.ones((int(rows.sum()), 1), np.int64)
        counts = histogram(data.codes[rows], ones, data.shape.width)[..., 0]
        used = sampled_columns(len(data.shape), data.name, data.seed, self.growth.tree, config.column_share)
        alone = unmerged(1, data.shape)[0]
        return allowed(counts, len(ones), alone, data.shape, config.min_leaf_count, used)

    def _demand(self, found: Mapping[int, tuple[int, Found]]) -> Demand:
        """Record the splits, let rows go as far as the bank knows their way, and say what is wanted next."""
        growth, config, nodes = self.growth, self._config, len(self.growth.totals)
        growth.owners = np.full(nodes, LEAF, np.int16)
        growth.lighter_left = np.zeros(nodes, bool)
        growth.child_totals = np.zeros((nodes, 2, 2), np.int64)
        growth.child_bounds = np.zeros((nodes, 2, 2))
        growth.child_values = np.zeros((nodes, 2))
        for node, (owner, best) in sorted(found.items()):
            bounds = float(growth.bounds[node, 0]), float(growth.bounds[node, 1])
            growth.owners[node] = owner
            growth.lighter_left[node] = best.sums[0, 1] <= best.sums[1, 1]
            growth.child_totals[node] = best.sums
            growth.child_bounds[node] = child_bounds(best, self._shapes[owner], bounds, config)
            growth.child_values[node] = np.array(best.weights) * config.learning_rate
            place = int(growth.places[node])
            growth.forest = growth.forest.with_split(
                place, owner, best.column, best.gain, growth.child_values[node]
            )
        splits = [_splits(found, owner) for owner in range(len(self._names))]
        growth.own = growth.own.plus(splits[0])
        growth.ahead = growth.level + 1 >= config.depth or not found
        growth.decided = growth.owners <= 0
        growth.left = left = self._own_left()
        self._leave(left)
        tree = growth.tree + (growth.ahead and nodes > 0)
        early = config.ahead == "tree" or (config.ahead == "level" and not growth.ahead)
        growth.wanted = tree < config.trees and (early or bool(growth.decided.all()))
        layout = self._layout() if growth.wanted else None
        values = self._values(layout) if layout is not None else np.empty((0, 2), np.int64)
        named = dict(zip(self._names[1:], splits[1:], strict=True))
        return Demand(growth.owners, growth.lighter_left, named, left, tree, growth.ahead, layout, values)

    def _leave(self, left: Flags) -> None:
        """Rows that reach a leaf take its value and leave: of unsplit nodes, and of the bank's own last splits."""
        growth = self.growth
        for node, owner in enumerate(growth.owners):
            rows = growth.nodes == node
            if owner == LEAF:
                growth.values[rows] = growth.forest.values[growth.places[node]]
            elif owner == 0 and growth.ahead:
                growth.values[rows] = np.where(left[rows], *growth.child_values[node])
            else:
                continue
            growth.nodes[rows] = NOWHERE

    def _own_left(self) -> Flags:
        """Where the bank's pending splits send rows, (n,)."""
        growth, left = self.growth, np.zeros(len(self._data.labels), bool)
        for node in np.flatnonzero(growth.owners == 0):
            number = growth.forest.numbers[growth.places[node]]
            rows = np.flatnonzero(growth.nodes == node)
            left[rows] = growth.own.outcome(number, self._data.codes[rows])
        return left

    def _layout(self) -> Layout:
        """The layout of what is wanted."""
        growth = self.growth
        if growth.ahead:
            tree = growth.tree + (len(growth.owners) > 0)
            return tree_layout(growth.nodes, growth.owners > 0, self._sample(tree))
        split, sample = growth.owners != LEAF, self._sample(growth.tree)
        return level_layout(growth.nodes, split, growth.decided, growth.lighter_left, growth.left, sample)

    def _values(self, layout: Layout) -> Integers:
        """Gradients and hessians (e, 2) of a layout's entries."""
        growth = self.growth
        if not growth.ahead or not len(growth.owners):
            return growth.gradients[layout.rows]
        waits = np.flatnonzero(growth.nodes != NOWHERE)
        found = []
        for side in (LEFT, RIGHT):
            values = growth.values.copy()
            values[waits] = growth.child_values[growth.nodes[waits], LEFT - side]
            found.append(self._gradients(growth.tree + 1, growth.scores, growth.scores + values))
        return np.where((layout.sides == RIGHT)[:, None], found[1][layout.rows], found[0][layout.rows])

    def _gradients(self, tree: int, before: Floats, scores: Floats) -> Integers:
        """Those of a tree that starts at `scores`; `before` are those at which the tree before it started."""
        data, config = self._data, self._config
        found = gradients(scores, data.labels, config.precision)
        if not config.goss_top or tree == 0:
            return found
        magnitudes = np.abs(gradients(before, data.labels, config.precision)[:, 0])
        weights = goss_weights(magnitudes, self._sample(tree), config, data.secret_generator(tree))
        return np.rint(found * weights[:, None]).astype(np.int64)

    def _sample(self, tree: int) -> Flags:
        return sampled_rows(self._data.training, self._data.seed, tree, self._config.row_share)


def _siblings(parents: Integers, lighter: Integers, lighter_left: Flags) -> Integers:
    """Sums of the children (2s, …), left and right in turn, from those of parents and lighter children (s, …)."""
    side = lighter_left.reshape(-1, *[1] * (parents.ndim - 1))
    heavier = parents - lighter
    pairs = np.stack([np.where(side, lighter, heavier), np.where(side, heavier, lighter)], 1)
    return pairs.reshape(-1, *parents.shape[1:])


def _splits(found: Mapping[int, tuple[int, Found]], owner: int) -> Splits:
    """An owner's splits in the order of the nodes."""
    mine = [best for _, (who, best) in sorted(found.items()) if who == owner]
    return Splits.none().plus(
        Splits(
            np.array([best.column for best in mine], np.int64),
            np.packbits(np.array([best.left for best in mine], bool).reshape(-1, 256), axis=1),
        )
    )
