"""A grown forest as the bank knows it: who splits each node, where its branches lead, what its leaves say.

A node that a passive party splits is to the bank a number among that party's splits: the party has column and threshold
(`Splits`), the bank the tree and its leaf weights, and neither has the whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fl.arrays import check_integers
from fl.binning import Codes
from fl.errors import ProtocolError

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

LEAF = -1


@dataclass(frozen=True)
class Splits:
    """A party's own splits in the order in which they were made.

    columns  int64 (s,): the column of each
    left     uint8 (s, 32): packed bits of `search.BestSplit.left`
    """

    columns: NDArray[np.int64]
    left: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.columns)

    @classmethod
    def none(cls) -> Self:
        """No split yet."""
        return cls(np.empty(0, np.int64), np.empty((0, 32), np.uint8))

    def plus(self, other: "Splits") -> "Splits":
        """These, then the others."""
        return Splits(np.append(self.columns, other.columns), np.concatenate([self.left, other.left]))

    def first(self, count: int) -> "Splits":
        """The first of them."""
        return Splits(self.columns[:count], self.left[:count])

    def outcome(self, number: int, codes: Codes) -> Flags:
        """Whether a split sends each row left, (n,) of rows with bins (n, c)."""
        return np.unpackbits(self.left[number]).astype(bool)[codes[:, self.columns[number]]]

    def outcomes(self, codes: Codes) -> Flags:
        """Whether each split sends each row left, (s, n)."""
        flags = np.unpackbits(self.left, axis=1).astype(bool)
        return flags[np.arange(len(self))[:, None], codes.T[self.columns]]


@dataclass(frozen=True)
class Forest:
    """Nodes of all trees in one list; those of a round follow one another, and a forest has whole rounds.

    roots     int32 (trees,): where each tree begins
    owners    int16 (nodes,): LEAF, or who splits: 0 the bank, k the k-th passive party
    numbers   int32 (nodes,): which of its owner's splits
    children  int32 (nodes, 2): the left and the right one
    values    float64 (nodes,): a leaf's contribution to the score
    gains     float64 (nodes,): what the split gained
    columns   int32 (nodes,): the owner's column, by its number
    covers    int64 (nodes,): how many training rows come to it

    >>> forest = Forest.none().with_root(0.0)
    >>> forest = forest.with_split(0, owner=1, column=3, gain=2.5, values=np.array([-0.5, 0.25]))
    >>> of_bank, of_party = np.empty((0, 2), bool), np.array([[True, False]])  # the party sends the first row left
    >>> forest.score(-3.0, [of_bank, of_party], rows=2).tolist()
    [-3.5, -2.75]
    """

    roots: NDArray[np.int32]
    owners: NDArray[np.int16]
    numbers: NDArray[np.int32]
    children: NDArray[np.int32]
    values: Floats
    gains: Floats
    columns: NDArray[np.int32]
    covers: NDArray[np.int64]

    @classmethod
    def none(cls) -> Self:
        """A forest without a tree."""
        kinds: tuple[Any, ...] = (
            *(np.int32, np.int16, np.int32, np.int32, np.float64, np.float64, np.int32),
            np.int64,
        )
        arrays = [np.empty((0, 2) if number == 3 else 0, kind) for number, kind in enumerate(kinds)]
        return cls(*arrays)

    def with_root(self, value: float) -> "Forest":
        """Another tree of one leaf."""
        roots = np.append(self.roots, np.int32(len(self.owners)))
        return replace(self._with_leaves([value]), roots=roots)

    def with_split(self, place: int, owner: int, column: int, gain: float, values: Floats) -> "Forest":
        """The leaf at `place` split by an owner's next split; the two new leaves have these values."""
        number, first = int((self.owners == owner).sum()), len(self.owners)
        grown = self._with_leaves(list(values))
        grown.owners[place], grown.numbers[place], grown.columns[place] = owner, number, column
        grown.gains[place], grown.children[place] = gain, (first, first + 1)
        return grown

    def _with_leaves(self, values: list[float]) -> "Forest":
        count = len(values)
        return Forest(
            self.roots,
            np.append(self.owners, np.full(count, LEAF, np.int16)),
            np.append(self.numbers, np.full(count, LEAF, np.int32)),
            np.append(self.children, np.full((count, 2), LEAF, np.int32), axis=0),
            np.append(self.values, values),
            np.append(self.gains, np.zeros(count)),
            np.append(self.columns, np.full(count, LEAF, np.int32)),
            np.append(self.covers, np.zeros(count, np.int64)),
        )

    def with_covers(self, places: NDArray[np.int32], counts: NDArray[np.int64]) -> "Forest":
        """The same with these covers of the nodes at these places, arrays of one shape."""
        covers = self.covers.copy()
        covers[places] = counts
        return replace(self, covers=covers)

    def first(self, trees: int) -> "Forest":
        """The first trees; nodes of later ones stay, and nothing leads to them."""
        return replace(self, roots=self.roots[:trees])

    def trimmed(self) -> "Forest":
        """The same without the nodes of later trees."""
        end = self._end()
        nodes = {one.name: getattr(self, one.name)[:end] for one in fields(self) if one.name != "roots"}
        return replace(self, **nodes)

    def check(self, splits: int, columns: int) -> Self:
        """This forest of the bank's own splits alone, made by somebody else.

        Raises ProtocolError unless every way leads down to a leaf, by so many splits of so many columns.
        """
        nodes, inner = len(self.owners), np.flatnonzero(self.owners == 0)
        for one in fields(self):
            array, kind = getattr(self, one.name), getattr(Forest.none(), one.name)
            size = len(array) if one.name == "roots" else nodes
            if array.dtype != kind.dtype or array.shape != (size, *kind.shape[1:]):
                raise ProtocolError(f"{one.name} of a forest must be {kind.dtype}, one for each of its nodes")
        ranges = (
            ("roots", self.roots, 0, nodes),
            ("owners", self.owners, LEAF, 1),
            ("numbers", self.numbers[inner], 0, splits),
            ("columns", self.columns[inner], 0, columns),
            ("children", self.children[inner].ravel(), 0, nodes),
        )
        for name, values, low, high in ranges:
            check_integers(f"{name} of a forest", values, None, low, high)
        if (self.children[inner] <= inner[:, None]).any():
            raise ProtocolError("children of a forest must come after the nodes that are split")
        return self

    def split_counts(self, parties: int) -> list[int]:
        """How many of the splits of the bank and each passive party the trees in `roots` use; they are its first."""
        return [int((self.owners[: self._end()] == owner).sum()) for owner in range(parties)]

    def score(self, base: float, outcomes: Sequence[Flags], rows: int) -> Floats:
        """The log odds of default (rows,), from the outcomes (s, rows) of the splits of the bank and each party."""
        scores = np.full(rows, base)
        everyone = np.arange(rows)
        for root in self.roots:
            nodes = np.full(rows, root)
            while (self.owners[nodes] != LEAF).any():
                for owner, left in enumerate(outcomes):
                    mine = everyone[self.owners[nodes] == owner]
                    side = ~left[self.numbers[nodes[mine]], mine]
                    nodes[mine] = self.children[nodes[mine], side.astype(np.int64)]
            scores += self.values[nodes]
        return scores

    def importance(self) -> Mapping[str, NDArray[Any]]:
        """By owner and column number: how many splits and how much gain, largest gain first."""
        used = np.flatnonzero(self.owners[: self._end()] != LEAF)
        keys = np.stack([self.owners[used], self.columns[used]], 1).astype(np.int64)
        pairs, where, splits = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
        gains = np.bincount(where.ravel(), self.gains[used], len(pairs))
        order = np.argsort(-gains, kind="stable")
        return {
            "owner": pairs[order, 0],
            "column": pairs[order, 1],
            "splits": splits[order],
            "gain": gains[order],
        }

    def _end(self) -> int:
        """One past the last node of the trees in `roots`."""
        end, frontier = 0, self.roots.tolist()
        while frontier:
            end = max(end, max(frontier) + 1)
            frontier = [int(c) for n in frontier if self.owners[n] != LEAF for c in self.children[n]]
        return end
