import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from fl.scorecard.cone import Cone


def cone(counts: list[int], runs: list[int], signs: list[int]) -> Cone:
    return Cone.of(np.array(counts), np.array(runs), np.array(signs, np.int8))


@given(st.integers(0, 2**32 - 1), st.sampled_from([-1, 0, 1]), st.sampled_from([-1, 1]))
def test_the_minimum_is_that_of_another_solver(seed: int, first: int, second: int) -> None:
    rng = np.random.default_rng(seed)
    counts, runs = [5, 4, 3], [4, 4, 0]
    found = cone(counts, runs, [first, second, 0])
    root = rng.normal(size=(30, 12))
    curvature, target = root.T @ root + np.eye(12), rng.normal(size=12)

    weights = found.least(curvature, -curvature @ target, np.zeros(12))

    lower = np.where(found.bounded, 0.0, -np.inf)
    factor = np.linalg.cholesky(curvature).T
    other = lsq_linear(factor @ found.basis, factor @ target, (lower, np.inf), method="bvls", tol=1e-14)
    np.testing.assert_allclose(weights, found.basis @ other.x, atol=1e-6)
    assert (first * np.diff(weights[:4]) >= 0).all()
    assert (second * np.diff(weights[5:9]) >= 0).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from([-1, 0, 1]), st.floats(0.01, 20))
def test_nothing_in_the_cone_is_less_under_l1(seed: int, sign: int, l1: float) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(20, 7))
    curvature, target = root.T @ root + np.eye(7), rng.normal(size=7)
    found = cone([5, 2], [4, 0], [sign, 0]).least(curvature, -curvature @ target, np.zeros(7), l1)

    def value(weights: np.ndarray) -> float:
        return float((weights - target) @ curvature @ (weights - target) / 2 + l1 * np.abs(weights).sum())

    assert (sign * np.diff(found[:4]) >= -1e-9).all()
    for scale in (1e-3, 0.1, 1.0):
        for other in found + scale * rng.normal(size=(50, 7)) * (rng.random((50, 7)) < 0.5):
            if sign:
                other[:4] = sign * np.sort(sign * other[:4])
            assert value(other) >= value(found) - 1e-7 * abs(value(found))


def test_without_signs_it_is_newtons_step() -> None:
    rng = np.random.default_rng(0)
    root, gradient, start = rng.normal(size=(9, 4)), rng.normal(size=4), rng.normal(size=4)
    curvature = root.T @ root
    free = cone([2, 2], [2, 2], [0, 0])
    expected = start - np.linalg.solve(curvature, gradient)
    np.testing.assert_allclose(free.least(curvature, gradient, start), expected)


def test_the_least_of_a_separable_quadratic_is_isotonic_regression() -> None:
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(1)
    target, weight = rng.normal(size=30), rng.uniform(0.1, 5, 30)
    found = cone([30], [30], [1]).least(np.diag(weight), -weight * target, np.zeros(30))
    expected = IsotonicRegression().fit_transform(np.arange(30), target, sample_weight=weight)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_an_intercept_is_free() -> None:
    wider = cone([3], [3], [-1]).with_intercept()
    assert wider.bounded.tolist() == [False, False, True, True]
    z = np.array([7.0, 1.0, 2.0, 3.0])
    assert (wider.basis @ z)[0] == 7
    assert np.diff((wider.basis @ z)[1:]).tolist() == pytest.approx([-2, -3])


def test_no_weight() -> None:
    nothing = cone([], [], [])
    assert nothing.least(np.empty((0, 0)), np.empty(0), np.empty(0)).shape == (0,)
