"""What the bank trains on, what it knows while trees grow, and what it wants next."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fl.binning import Codes, Shape
from fl.boosting.forest import Forest, Splits
from fl.boosting.layouts import Layout

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Passive:
    """A passive party as the bank knows it: its name, its columns' shape, and which of the rows it knows, (n,)."""

    name: str
    shape: Shape
    known: Flags


@dataclass(frozen=True)
class Data:
    """What the bank trains on, over the n rows that train or validate.

    labels int8 (n,), training bool (n,), codes uint8 (n, c) of the bank's own columns; secret_generator gives the
    bank's own randomness for a tree.
    """

    name: str
    labels: NDArray[np.int8]
    training: Flags
    codes: Codes
    shape: Shape
    passive: Sequence[Passive]
    seed: int
    secret_generator: Callable[[int], np.random.Generator]


@dataclass
class Growth:
    """What a grower knows between two demands; n rows, k nodes of the last demand, their splits pending.

    tree, level   of those nodes; ahead: what follows is another tree; wanted: sums were asked for
    scores        float64 (n,): log odds after all settled trees; values (n,): what leaves of this tree add so far
    nodes         int16 (n,)
    sums          by party, the bank first: int64 (k, c, width, 2)
    totals        int64 (k, 2); bounds float64 (k, 2); places int32 (k,): the nodes in the forest
    owners        int16 (k,): who splits each; lighter_left bool (k,)
    left          bool (n,): where splits send rows, as far as decided bool (k,) or after `Grower.resolve`
    child_*       of the two children of each node; child_values are what they add to the score as leaves
    forest, own   the trees, and the bank's own splits
    """

    tree: int = 0
    level: int = 0
    ahead: bool = True
    wanted: bool = True
    scores: Floats = field(default_factory=lambda: np.empty(0))
    values: Floats = field(default_factory=lambda: np.empty(0))
    nodes: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))
    gradients: Integers = field(default_factory=lambda: np.empty((0, 2), np.int64))
    sums: list[Integers] = field(default_factory=list)
    totals: Integers = field(default_factory=lambda: np.empty((0, 2), np.int64))
    bounds: Floats = field(default_factory=lambda: np.empty((0, 2)))
    places: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    owners: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))
    lighter_left: Flags = field(default_factory=lambda: np.empty(0, bool))
    left: Flags = field(default_factory=lambda: np.empty(0, bool))
    decided: Flags = field(default_factory=lambda: np.empty(0, bool))
    child_totals: Integers = field(default_factory=lambda: np.empty((0, 2, 2), np.int64))
    child_bounds: Floats = field(default_factory=lambda: np.empty((0, 2, 2)))
    child_values: Floats = field(default_factory=lambda: np.empty((0, 2)))
    forest: Forest = field(default_factory=Forest.none)
    own: Splits = field(default_factory=Splits.none)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Named arrays that `from_arrays` reads."""
        arrays: dict[str, NDArray[Any]] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Forest):
                arrays |= {f"forest/{name}": array for name, array in value.to_arrays().items()}
            elif isinstance(value, Splits):
                arrays |= {"own/columns": value.columns, "own/left": value.left}
            elif item.name == "sums":
                arrays |= {f"sums/{number}": array for number, array in enumerate(value)}
            else:
                arrays[item.name] = np.asarray(value)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The growth that `to_arrays` took apart."""
        parts: dict[str, dict[str, NDArray[Any]]] = {"forest": {}, "own": {}, "sums": {}}
        plain: dict[str, Any] = {}
        for name, array in arrays.items():
            section, _, key = name.partition("/")
            if key:
                parts[section][key] = array
            else:
                plain[name] = array
        plain |= {name: plain[name].item() for name in ("tree", "level", "ahead", "wanted")}
        sums = [parts["sums"][str(number)] for number in range(len(parts["sums"]))]
        return cls(
            **plain,
            sums=sums,
            forest=Forest(**parts["forest"]),
            own=Splits(**parts["own"]),
        )


@dataclass(frozen=True)
class Demand:
    """What the bank wants next.

    owners        int16 (k,): LEAF, or who splits each node of the level: 0 the bank, p the p-th passive party
    lighter_left  bool (k,): which child's sums are wanted
    splits        by passive party: what it is to split, in the order of the nodes
    left          bool (n,): where the bank's own splits send rows
    tree          the tree of which sums are wanted; ahead: its root's, else those of the next level
    layout        of the numbers to encrypt, and values int64 (e, 2), those numbers; None: no sums are wanted
    """

    owners: NDArray[np.int16]
    lighter_left: Flags
    splits: Mapping[str, Splits]
    left: Flags
    tree: int
    ahead: bool
    layout: Layout | None
    values: Integers
