import numpy as np
import pytest

from fl.scorecard.mixing import mixing


def iterate(depth: int, exchanges: int, seed: int = 0, overshoot: float = 1.0) -> np.ndarray:
    """Distances from the fixed point of a linear map over 20 unknowns, whose parts two parties hold."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    matrix = basis @ np.diag(overshoot * rng.uniform(0.001, 1, 20)) @ basis.T
    solution, x = rng.normal(size=20), np.zeros(20)
    values, steps, mixes, distances = np.empty((0, 20)), np.empty((0, 20)), np.zeros((1, 1)), []
    for count in range(1, exchanges + 1):
        step = matrix @ (solution - x)
        values, steps = np.vstack([values, x + step]), np.vstack([steps, step])
        products = steps[:, :8] @ steps[:, :8].T + steps[:, 8:] @ steps[:, 8:].T
        found = mixing(products, mixes, depth, 0.25)
        mixes = np.pad(mixes, ((0, 1), (0, 1)))
        mixes[count, :count] = found
        x = found @ values
        distances.append(np.abs(x - solution).max())
    return np.array(distances)


def test_a_linear_map_is_solved_in_as_many_exchanges_as_it_has_unknowns() -> None:
    assert iterate(30, 24).min() < 1e-6
    assert iterate(1, 24).min() > 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_it_comes_back_where_plain_steps_would_run_away(seed: int) -> None:
    # Steps that overshoot by 2.5 diverge by themselves.
    assert iterate(1, 60, seed, 2.5)[-1] < iterate(1, 60, seed, 2.5)[0] * 10
    assert iterate(30, 40, seed, 2.5).min() < 1e-5


def test_one_exchange_is_a_plain_step() -> None:
    assert mixing(np.array([[4.0]]), np.zeros((1, 1)), 30, 1.0).tolist() == [1.0]


def test_coefficients_add_up_to_one_and_only_the_last_count() -> None:
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(6, 9))
    found = mixing(steps @ steps.T, np.zeros((6, 6)), 3, 1.0)
    assert found.sum() == pytest.approx(1)
    assert found[:3].tolist() == [0, 0, 0]
    # The same least squares by another road.
    differences = np.diff(steps[3:], axis=0).T
    gamma = np.linalg.lstsq(differences, steps[-1], rcond=None)[0]
    np.testing.assert_allclose(found @ steps, steps[-1] - differences @ gamma)


def test_after_a_step_that_is_much_longer_the_best_point_takes_a_share_of_its_own() -> None:
    steps = np.array([[2.0], [1.0], [9.0]])
    mixes = np.array([[0, 0, 0], [1.0, 0, 0], [-0.5, 1.5, 0]])
    assert mixing(steps @ steps.T, mixes, 30, 0.5).tolist() == [0.5, 0.5, 0]
