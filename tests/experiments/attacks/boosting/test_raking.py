"""Raking finds bins where sums are fine enough, and falls back to the largest bin where they say no more than that."""

import numpy as np
import pytest

from experiments.attacks.boosting.opened import Measured
from experiments.attacks.boosting.raking import allowed_prior, rake
from fl.boosting.layouts import NOWHERE

ROWS, BINS = 600, 4
SIZES = np.array([0.4, 0.3, 0.2, 0.1])


@pytest.fixture
def bins() -> np.ndarray:
    return np.random.default_rng(1).choice(BINS, ROWS, p=SIZES)


def measured(
    bins: np.ndarray, groups: np.ndarray, weights: np.ndarray, homes: list[int] | None = None
) -> Measured:
    """Sums of one column, in all groups merged in the same way."""
    standing = np.array(homes or range(BINS))
    shape = int(groups.max()) + 1, 1, BINS
    sums = np.zeros((*shape, 2), np.int64)
    np.add.at(sums, (groups, 0, standing[bins]), weights)
    return Measured(groups, weights, sums, np.broadcast_to(standing, shape), np.ones(shape[:2], bool))


def random_trees(bins: np.ndarray, trees: int, groups: int, homes: list[int] | None = None) -> list[Measured]:
    rng, found = np.random.default_rng(2), []
    for _ in range(trees):
        pd, bad = rng.uniform(0.05, 0.6, ROWS), rng.random(ROWS) < 0.25
        weights = np.rint(1024 * np.stack([pd - bad, pd * (1 - pd)], 1)).astype(np.int64)
        found.append(measured(bins, rng.integers(0, groups, ROWS), weights, homes))
    return found


def test_many_small_groups_give_the_bins_away(bins: np.ndarray) -> None:
    shares = rake(random_trees(bins, 60, 40), 0, np.tile(SIZES, (ROWS, 1)))

    assert (shares.argmax(axis=1) == bins).mean() > 0.97


def test_one_group_of_equal_rows_tells_the_sizes_and_no_more(bins: np.ndarray) -> None:
    equal = measured(bins, np.zeros(ROWS, int), np.tile([300, 90], (ROWS, 1)))

    shares = rake([equal], 0, np.full((ROWS, BINS), 1 / BINS))

    np.testing.assert_allclose(shares, np.tile(np.bincount(bins) / ROWS, (ROWS, 1)), atol=0.01)
    assert (shares.argmax(axis=1) == 0).all()


def test_the_estimate_has_the_sums_of_every_group(bins: np.ndarray) -> None:
    trees = random_trees(bins, 3, 4)

    shares = rake(trees, 0, np.tile(SIZES, (ROWS, 1)), sweeps=200)

    for tree in trees:
        for group in range(4):
            rows = tree.groups == group
            found = np.einsum("rb,rk->bk", shares[rows], tree.weights[rows])
            np.testing.assert_allclose(found, tree.sums[group, 0], atol=60)


def test_merged_bins_are_told_from_others_and_not_from_one_another(bins: np.ndarray) -> None:
    shares = rake(random_trees(bins, 60, 40, homes=[1, 1, 2, 3]), 0, np.tile(SIZES, (ROWS, 1)))

    both = shares[:, :2].sum(axis=1)
    assert ((both > 0.5) == (bins < 2)).mean() > 0.97
    np.testing.assert_allclose(shares[:, 0] / both, SIZES[0] / SIZES[:2].sum())


def test_rows_of_no_group_and_of_sums_that_are_left_alone_keep_their_prior(bins: np.ndarray) -> None:
    (tree,) = random_trees(bins, 1, 3)
    groups = np.where(np.arange(ROWS) < 10, NOWHERE, tree.groups)
    telling = np.array([[True], [True], [False]])
    sums = tree.sums.copy()
    np.subtract.at(sums, (tree.groups[:10], 0, bins[:10]), tree.weights[:10])

    shares = rake([Measured(groups, tree.weights, sums, tree.homes, telling)], 0, np.tile(SIZES, (ROWS, 1)))

    kept = (groups == NOWHERE) | (groups == 2)
    np.testing.assert_allclose(shares[kept], np.tile(SIZES, (kept.sum(), 1)))
    assert (np.abs(shares[~kept] - SIZES).max(axis=1) > 0).all()


def test_what_is_ruled_out_stays_so(bins: np.ndarray) -> None:
    allowed = np.ones((ROWS, BINS), bool)
    allowed[np.arange(ROWS), (bins + 1) % BINS] = False

    shares = rake(random_trees(bins, 5, 4), 0, allowed_prior(SIZES, allowed))

    assert not shares[~allowed].any()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
