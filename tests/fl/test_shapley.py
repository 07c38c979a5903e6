"""Shapley values against their definition: the mean of what a player adds over all orders of joining."""

from itertools import permutations

import numpy as np
import pytest

from fl.shapley import shapley_matrix


@pytest.mark.parametrize("players", [1, 2, 3, 4, 5])
def test_a_share_is_the_mean_of_what_a_player_adds_over_all_orders(players: int) -> None:
    values = np.random.default_rng(players).normal(size=1 << players)
    orders = list(permutations(range(players)))
    expected = np.zeros(players)
    for order in orders:
        coalition = 0
        for player in order:
            expected[player] += (values[coalition | 1 << player] - values[coalition]) / len(orders)
            coalition |= 1 << player
    np.testing.assert_allclose(values @ shapley_matrix(players), expected, atol=1e-12)
    assert expected.sum() == pytest.approx(values[-1] - values[0])
