"""Contributions of a forest's columns: against the definition, its properties, and XGBoost's own."""

import json
from dataclasses import replace

import numpy as np
import pytest
import xgboost
from numpy.typing import NDArray

from fl.boosting.contributions import Column, contributions
from fl.boosting.forest import LEAF, Flags, Forest
from fl.shapley import shapley_matrix

ROWS = 60


def made_forest(seed: int, depth: int = 3, trees: int = 3, columns: int = 3) -> tuple[Forest, list[Flags]]:
    """Random trees of the bank and one party, whose columns come again on a path, and outcomes of their splits."""
    rng = np.random.default_rng(seed)
    forest = Forest.none()
    for _ in range(trees):
        forest = forest.with_root(float(rng.normal()))
        level = [len(forest.owners) - 1]
        forest = forest.with_covers(np.array(level, np.int32), np.array([10**9]))
        for _ in range(depth):
            below = []
            for place in level:
                if rng.random() < 0.15:
                    continue
                owner, column = int(rng.integers(2)), int(rng.integers(columns))
                forest = forest.with_split(place, owner, column, 1.0, rng.normal(size=2))
                children = forest.children[place]
                left = 1 + int(rng.integers(forest.covers[place] - 1))
                forest = forest.with_covers(children, np.array([left, forest.covers[place] - left]))
                below += children.tolist()
            level = below
    counts = forest.split_counts(2)
    return forest, [rng.random((count, ROWS)) < 0.5 for count in counts]


def expected_value(forest: Forest, outcomes: list[Flags], row: int, kept: set[Column]) -> float:
    """The score of a row where only some columns are known: of the others, children count by their covers."""

    def walk(node: int) -> float:
        if forest.owners[node] == LEAF:
            return float(forest.values[node])
        owner, (left, right) = int(forest.owners[node]), forest.children[node]
        if Column(owner, int(forest.columns[node])) in kept:
            return walk(left if outcomes[owner][forest.numbers[node], row] else right)
        below = walk(left) * forest.covers[left] + walk(right) * forest.covers[right]
        return float(below / forest.covers[node])

    return sum(walk(int(root)) for root in forest.roots)


@pytest.mark.parametrize("seed", range(4))
def test_they_are_the_shapley_values_of_the_definition(seed: int) -> None:
    forest, outcomes = made_forest(seed)
    base, added = contributions(forest, -2.0, outcomes, ROWS)
    columns = list(added)
    for row in range(4):
        values = np.array(
            [
                expected_value(
                    forest, outcomes, row, {one for k, one in enumerate(columns) if coalition >> k & 1}
                )
                for coalition in range(1 << len(columns))
            ]
        )
        np.testing.assert_allclose(
            [added[one][row] for one in columns], values @ shapley_matrix(len(columns)), atol=1e-12
        )
        assert base == pytest.approx(-2.0 + values[0])


@pytest.mark.parametrize("depth", [1, 4, 6])
def test_they_add_up_to_the_score(depth: int) -> None:
    forest, outcomes = made_forest(9, depth, trees=5, columns=8)
    base, added = contributions(forest, -1.0, outcomes, ROWS)
    np.testing.assert_allclose(
        base + sum(added.values()), forest.score(-1.0, outcomes, ROWS), rtol=0, atol=1e-12
    )


def test_equal_columns_add_the_same_and_a_column_that_changes_nothing_adds_nothing() -> None:
    forest = Forest.none().with_root(0.0)
    forest = forest.with_split(0, owner=0, column=0, gain=1.0, values=np.zeros(2))
    for place in (1, 2):  # both halves split by the other column: the row counts those that go left
        forest = forest.with_split(place, owner=1, column=0, gain=1.0, values=np.array([2.0, 1.0]) - place)
    forest = forest.with_split(3, owner=1, column=5, gain=0.0, values=np.array([1.0, 1.0]))
    forest = forest.with_covers(np.arange(9, dtype=np.int32), np.array([8, 4, 4, 2, 2, 2, 2, 1, 1]))
    left = np.array([[True, True, False, False]])
    other = np.array([[True, False, True, False]])
    _, added = contributions(forest, 0.0, [left, np.concatenate([other, other, left])], 4)
    np.testing.assert_allclose(added[Column(0, 0)], [0.5, 0.5, -0.5, -0.5])
    np.testing.assert_allclose(added[Column(1, 0)], [0.5, -0.5, 0.5, -0.5])
    np.testing.assert_array_equal(added[Column(1, 5)], [0.0] * 4)


def converted(booster: xgboost.Booster, data: NDArray[np.float32]) -> tuple[Forest, Flags]:
    """XGBoost's trees as a forest of one party, whose covers are XGBoost's, and the outcomes of its splits."""
    forest, outcomes = Forest.none(), []
    for text in booster.get_dump(dump_format="json", with_stats=True):
        tree = json.loads(text)
        forest = forest.with_root(0.0)
        waiting = [(len(forest.owners) - 1, tree)]
        while waiting:
            place, node = waiting.pop(0)
            covers = forest.covers.astype(np.float64)
            covers[place] = node["cover"]
            forest = replace(forest, covers=covers)
            if "leaf" in node:
                forest.values[place] = node["leaf"]
                continue
            column = int(node["split"].removeprefix("f"))
            by_id = {child["nodeid"]: child for child in node["children"]}
            forest = forest.with_split(place, 0, column, 1.0, np.zeros(2))
            children = forest.children[place]
            waiting += zip(map(int, children), (by_id[node["yes"]], by_id[node["no"]]), strict=True)
            outcomes.append(data[:, column] < np.float32(node["split_condition"]))
    ordered = np.argsort(forest.numbers[forest.owners != LEAF], kind="stable")
    assert ordered.tolist() == sorted(ordered.tolist())
    return forest, np.array(outcomes)


def test_they_are_those_of_xgboost() -> None:
    rng = np.random.default_rng(3)
    data = rng.normal(size=(1000, 6)).astype(np.float32)
    labels = (data[:, 0] * data[:, 1] + data[:, 2] + rng.normal(size=1000) > 0.5).astype(int)
    matrix = xgboost.DMatrix(data, labels)
    settings = {"max_depth": 4, "objective": "binary:logistic", "base_score": 0.5, "nthread": 1, "seed": 1}
    booster = xgboost.train(settings, matrix, num_boost_round=12)
    forest, outcomes = converted(booster, data)
    _, added = contributions(forest, 0.0, [outcomes], len(data))
    theirs = booster.predict(matrix, pred_contribs=True)
    for column in range(6):
        ours = added.get(Column(0, column), np.zeros(len(data)))
        np.testing.assert_allclose(ours, theirs[:, column], atol=2e-5)  # XGBoost has single precision
