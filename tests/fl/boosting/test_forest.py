from dataclasses import replace

import numpy as np
import pytest

from fl.binning import UNKNOWN
from fl.boosting.forest import LEAF, Forest, Splits
from fl.errors import ProtocolError
from fl.records import decode, encode


def splits(*lefts: set[int]) -> Splits:
    """Splits of column 0 that send some bins left."""
    flags = np.array([[bin_ in left for bin_ in range(256)] for left in lefts])
    return Splits(np.zeros(len(lefts), np.int64), np.packbits(flags, axis=1))


@pytest.fixture
def forest() -> Forest:
    """A tree that the bank splits and then party 1, a tree of one leaf, and one that party 1 splits."""
    grown = Forest.none().with_root(0.0).with_split(0, 0, 7, 5.0, np.array([-1.0, 2.0]))
    grown = grown.with_split(2, 1, 3, 1.5, np.array([10.0, 20.0])).with_root(0.25)
    return grown.with_root(0.0).with_split(6, 1, 3, 4.0, np.array([100.0, 200.0]))


def test_a_row_collects_one_leaf_of_each_tree(forest: Forest) -> None:
    bank = np.array([[True, False, False]])
    party = np.array([[True, True, False], [False, True, True]])
    scores = forest.score(0.5, [bank, party], 3)
    assert scores.tolist() == [0.5 - 1 + 0.25 + 200, 0.5 + 10 + 0.25 + 100, 0.5 + 20 + 0.25 + 100]
    assert forest.first(2).score(0.0, [bank, party], 3).tolist() == [-0.75, 10.25, 20.25]
    assert Forest.none().score(0.5, [bank[:0], party[:0]], 3).tolist() == [0.5] * 3


def test_the_first_trees_use_each_partys_first_splits(forest: Forest) -> None:
    assert forest.split_counts(2) == [1, 2]
    assert forest.first(2).split_counts(2) == [1, 1]
    assert forest.first(0).split_counts(2) == [0, 0]


def test_importance_adds_up_gains_by_owner_and_column(forest: Forest) -> None:
    found = {name: values.tolist() for name, values in forest.importance().items()}
    assert found == {"owner": [1, 0], "column": [3, 7], "splits": [2, 1], "gain": [5.5, 5.0]}
    assert forest.first(2).importance()["gain"].tolist() == [5.0, 1.5]


def test_a_forest_is_kept_as_it_is(forest: Forest) -> None:
    again = decode(Forest, encode(forest))
    assert again.owners.tolist() == forest.owners.tolist()
    assert (again.owners == LEAF).sum() == 6


def test_outcomes_follow_the_bins_and_the_unknown_its_own_direction() -> None:
    found = splits({0, 2}, {UNKNOWN})
    codes = np.array([[0], [1], [2], [UNKNOWN]], np.uint8)
    assert found.outcomes(codes).tolist() == [[True, False, True, False], [False, False, False, True]]
    assert found.plus(splits({1})).first(1).outcomes(codes).tolist() == [[True, False, True, False]]
    assert Splits.none().outcomes(codes).shape == (0, 4)


def test_a_trimmed_forest_has_no_node_of_later_trees(forest: Forest) -> None:
    assert len(forest.first(2).trimmed().owners) == 6
    assert encode(forest.trimmed()) == encode(forest)


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("roots", 0, 5),
        ("owners", 0, 1),
        ("numbers", 0, 2),
        ("columns", 0, 8),
        ("children", (0, 0), 5),
        ("children", (2, 1), 0),
    ],
)
def test_a_forest_of_another_has_to_lead_from_its_roots_down_to_leaves(
    name: str, place: object, value: int
) -> None:
    grown = Forest.none().with_root(0.0).with_split(0, 0, 7, 5.0, np.array([-1.0, 2.0]))
    grown = grown.with_split(2, 0, 3, 1.5, np.array([10.0, 20.0]))
    assert grown.check(splits=2, columns=8) is grown
    array = getattr(grown, name).copy()
    array[place] = value
    for wrong in (array, array.astype(np.float32), array[:-1] if name != "roots" else array[:, None]):
        with pytest.raises(ProtocolError, match="of a forest"):
            replace(grown, **{name: wrong}).check(splits=2, columns=8)
