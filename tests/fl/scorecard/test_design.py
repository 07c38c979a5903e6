import numpy as np
import pytest

from fl.scorecard.design import Design


@pytest.fixture
def design() -> Design:
    rng = np.random.default_rng(0)
    counts = np.array([3, 2, 5])
    return Design(np.stack([rng.integers(0, count, 40) for count in counts], 1).astype(np.uint8), counts)


def one_hot(design: Design) -> np.ndarray:
    blocks = [np.eye(count)[codes] for codes, count in zip(design.codes.T, design.counts, strict=True)]
    return np.concatenate(blocks, axis=1)


def test_it_computes_as_a_one_hot_matrix_does(design: Design) -> None:
    matrix, rng = one_hot(design), np.random.default_rng(1)
    weights, values = rng.normal(size=10), rng.normal(size=40)
    np.testing.assert_allclose(design.scores(weights), matrix @ weights)
    np.testing.assert_allclose(design.totals(values), matrix.T @ values)
    np.testing.assert_allclose(design.gram(values), matrix.T @ np.diag(values) @ matrix, atol=1e-12)


def test_some_rows(design: Design) -> None:
    chosen = np.arange(40) % 3 == 0
    assert design.rows(chosen).totals(np.ones(14)).sum() == 3 * 14


def test_no_column() -> None:
    empty = Design(np.empty((4, 0), np.uint8), np.empty(0, np.int64))
    assert empty.width == 0
    assert empty.scores(np.empty(0)).tolist() == [0, 0, 0, 0]
    assert empty.totals(np.ones(4)).shape == (0,)
    assert empty.gram(np.ones(4)).shape == (0, 0)
