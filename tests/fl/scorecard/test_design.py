import numpy as np
import pytest

from fl.binning import Codes
from fl.scorecard.design import by_column, gram, one_hot

COUNTS = np.array([3, 2, 5])


@pytest.fixture
def codes() -> Codes:
    rng = np.random.default_rng(0)
    return np.stack([rng.integers(0, count, 40) for count in COUNTS], 1).astype(np.uint8)


def test_it_is_a_one_hot_matrix(codes: Codes) -> None:
    blocks = [np.eye(count)[column] for column, count in zip(codes.T, COUNTS, strict=True)]
    matrix, design, values = np.concatenate(blocks, axis=1), one_hot(codes, COUNTS), np.linspace(-1, 1, 40)
    np.testing.assert_array_equal(design.toarray(), matrix)
    np.testing.assert_allclose(gram(design, values), matrix.T @ np.diag(values) @ matrix, atol=1e-12)


@pytest.mark.parametrize("rows", [0, 1, 13, 39, 40])
def test_pairs_of_groups_are_counted_in_blocks_of_rows(
    codes: Codes, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    design, values = one_hot(codes[:rows], COUNTS), np.arange(rows, dtype=float)  # of which sums are exact
    whole = gram(design, values)
    monkeypatch.setattr("fl.scorecard.design._BLOCK", 13)
    np.testing.assert_array_equal(gram(design, values), whole)


def test_scores_are_added_up_column_by_column_and_sums_row_by_row(codes: Codes) -> None:
    design, rng = one_hot(codes, COUNTS), np.random.default_rng(1)
    weights, values, scores = rng.normal(size=10), rng.normal(size=40), np.zeros(40)
    for own, column in zip(by_column(weights, COUNTS), codes.T, strict=True):
        scores += own[column]
    np.testing.assert_array_equal(design @ weights, scores)
    sums = [
        np.bincount(column, values, minlength=count) for column, count in zip(codes.T, COUNTS, strict=True)
    ]
    np.testing.assert_array_equal(design.T @ values, np.concatenate(sums))


def test_some_rows(codes: Codes) -> None:
    chosen = np.arange(40) % 3 == 0
    assert one_hot(codes, COUNTS)[chosen].sum() == 3 * 14


def test_no_column() -> None:
    none = np.empty(0, np.int64)
    empty = one_hot(np.empty((4, 0), np.uint8), none)
    assert empty.shape == (4, 0)
    assert (empty @ np.empty(0)).tolist() == [0, 0, 0, 0]
    assert (empty.T @ np.ones(4)).shape == (0,)
    assert gram(empty, np.ones(4)).shape == (0, 0)
    assert by_column(none, none) == []


def test_no_row() -> None:
    empty = one_hot(np.empty((0, 3), np.uint8), COUNTS)
    assert empty.sum(axis=0).tolist() == [0] * 10
