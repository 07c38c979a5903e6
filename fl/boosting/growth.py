"""What the bank trains on, what it knows while trees grow, what it wants next, and what it gets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fl.binning import Codes, Shape
from fl.boosting.forest import Flags, Floats, Forest, Splits
from fl.boosting.layouts import Layout
from fl.evaluation import Fit

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Passive:
    """A passive party as the bank knows it: its name, its columns' shape, and which of the rows it knows, (n,)."""

    name: str
    shape: Shape
    known: Flags


@dataclass(frozen=True, kw_only=True)
class Data:
    """What the bank trains on, over the n rows that train or validate.

    labels int8 (n,), training bool (n,), codes uint8 (n, c) of the bank's own columns; secret_generator gives the
    bank's own randomness for a round. base is where scores start, in log odds. weights float64 (n,) say how much each
    row counts, where not all count once.
    """

    name: str
    labels: NDArray[np.int8]
    training: Flags
    codes: Codes
    shape: Shape
    passive: Sequence[Passive]
    seed: int
    secret_generator: Callable[[int], np.random.Generator]
    base: float
    weights: Floats | None = None


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best forest so far: its merit (of one bank the validation AUC), its rounds, and its scores (n,)."""

    merit: float
    rounds: int
    scores: Floats


@dataclass(frozen=True, kw_only=True)
class Growth:
    """What a grower knows between two demands; n rows, p trees of a round, k nodes of the last demand.

    The splits of these nodes are pending.

    scores        float64 (n,): log odds after all finished rounds
    values        float64 (p, n): what leaves of each tree add so far
    gradients     int64 (n, 2): gradient and hessian
    nodes         int16 (p, n): the node of each row in each tree
    round, level  of those nodes; ahead: what follows is another round; wanted: sums were asked for
    trees         int64 (k,): the tree of each node in its round
    sums          by party, the bank first: int64 (k, c, width, 2)
    totals        int64 (k, 2); bounds float64 (k, 2); places int32 (k,): the nodes in the forest
    owners        int16 (k,): who splits each; lighter_left bool (k,)
    left          bool (p, n): where splits send rows, as far as decided bool (k,) or after `Grower.resolve`
    child_*       of the two children of each node; child_values are what they add to the score as leaves
    forest        all trees so far; splits: the bank's own
    """

    scores: Floats
    values: Floats
    gradients: Integers
    nodes: NDArray[np.int16]
    round: int
    level: int
    ahead: bool
    wanted: bool
    trees: Integers
    sums: list[Integers]
    totals: Integers
    bounds: Floats
    places: NDArray[np.int32]
    owners: NDArray[np.int16]
    lighter_left: Flags
    left: Flags
    decided: Flags
    child_totals: Integers
    child_bounds: Floats
    child_values: Floats
    forest: Forest
    splits: Splits
    best: Best

    @classmethod
    def start(cls, scores: Floats, gradients: Integers) -> Self:
        """Before the first demand: there is no node yet."""
        none = np.empty(0, bool)
        return cls(
            scores=scores,
            values=np.empty((0, len(scores))),
            gradients=gradients,
            nodes=np.empty((0, len(scores)), np.int16),
            round=0,
            level=0,
            ahead=True,
            wanted=True,
            trees=np.empty(0, np.int64),
            sums=[],
            totals=np.empty((0, 2), np.int64),
            bounds=np.empty((0, 2)),
            places=np.empty(0, np.int32),
            owners=np.empty(0, np.int16),
            lighter_left=none,
            left=np.empty((0, len(scores)), bool),
            decided=none,
            child_totals=np.empty((0, 2, 2), np.int64),
            child_bounds=np.empty((0, 2, 2)),
            child_values=np.empty((0, 2)),
            forest=Forest.none(),
            splits=Splits.none(),
            best=Best(merit=-1.0, rounds=0, scores=scores),
        )


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What the bank wants next.

    owners        int16 (k,): LEAF, or who splits each node of the level, in all trees of the round: 0 the bank, else
                  the number of a passive party
    lighter_left  bool (k,): which child's sums are wanted
    splits        by passive party: what it is to split, in the order of the nodes
    nodes         int16 (p, n): the node of each row that has not reached a leaf
    left          bool (p, n): where the bank's own splits send rows
    round         the round of which sums are wanted; ahead: its roots', else those of the next level
    layout        of the numbers to encrypt, and values int64 (e, 2), those numbers; None: no sums are wanted
    """

    owners: NDArray[np.int16]
    lighter_left: Flags
    splits: Mapping[str, Splits]
    nodes: NDArray[np.int16]
    left: Flags
    round: int
    ahead: bool
    layout: Layout | None
    values: Integers


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """What is known once rows have gone where the splits of a demand send them.

    counted  bool (e,): which entries of the demand's layout count; layout: only those; None if no sums were wanted
    totals   by passive party: int64 (sums, 2) of the layout, over those of these entries that the party knows
    fit      of the forest, if the demand's splits were the last of a round, else None
    ended    no round follows
    """

    counted: Flags
    layout: Layout | None
    totals: Sequence[Integers]
    fit: Fit | None
    ended: bool


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a passive party says of the nodes that come next.

    sums        int64 (sums, c, width, 2) of the layout: of the lighter children that were wanted, or of the roots
    candidates  bool (k, c, width, 2, 2): the splits of the k new nodes that it allows (`search.allowed`)
    homes       int64 (k, c, width): the merged bins there, equal in siblings
    """

    sums: Integers
    candidates: Flags
    homes: Integers
