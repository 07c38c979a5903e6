"""Shares of the split network: against all coalitions, and what the bank's columns have of the bank's share."""

import numpy as np
import pytest
import torch

from fl.config.network import NetworkConfig
from fl.network.contributions import contributions
from fl.network.models import Bottom, Top
from fl.shapley import shapley_matrix

ROWS, INPUTS = 30, 7


class Game:
    """A made network, rows of it, and what it gives them when some parties are left out."""

    def __init__(self, passive: int, seed: int = 1) -> None:
        rng, config = np.random.default_rng(seed), NetworkConfig(embedding=3, top=8)
        torch.manual_seed(seed)
        self.bottom, self.top = Bottom(INPUTS, config), Top(passive, config)
        torch.nn.init.normal_(self.top.unknown)
        self.inputs = rng.normal(size=(ROWS, INPUTS)).astype(np.float32)
        self.mean = rng.normal(size=INPUTS)
        self.others = [rng.normal(size=(ROWS, 3)).astype(np.float32) for _ in range(passive)]
        self.present = rng.random((ROWS, passive)) < 0.7

    @property
    def shares(self) -> tuple[np.ndarray, np.ndarray]:
        return contributions(self.bottom, self.top, self.inputs, self.mean, self.others, self.present)

    def log_odds(self, inputs: np.ndarray, members: list[int]) -> np.ndarray:
        """By PyTorch, in double precision; members are the passive parties that are not left out."""
        bottom, top = self.bottom.double(), self.top.double()
        present = self.present & np.isin(np.arange(len(self.others)), members)
        with torch.no_grad():
            embeddings = [torch.tensor(other, dtype=torch.float64) for other in self.others]
            bank = bottom(torch.tensor(np.asarray(inputs, np.float64)))
            found = top(bank, embeddings, torch.tensor(present)).numpy()
        self.bottom.float()
        self.top.float()
        return np.asarray(found)


@pytest.mark.parametrize("passive", [0, 1, 3])
def test_the_parties_shares_are_shapley_values_over_all_coalitions(passive: int) -> None:
    game, average = Game(passive), np.zeros((ROWS, 1))
    values = []
    for coalition in range(1 << (1 + passive)):
        members = [number for number in range(passive) if coalition >> (number + 1) & 1]
        values.append(game.log_odds(game.inputs if coalition & 1 else game.mean + average, members))
    expected = np.stack(values, axis=1) @ shapley_matrix(1 + passive)
    of_parties, of_inputs = game.shares
    np.testing.assert_allclose(of_parties, expected[:, 1:], atol=1e-9)
    np.testing.assert_allclose(of_inputs.sum(axis=1), expected[:, 0], atol=1e-9)
    np.testing.assert_allclose(of_parties[~game.present], 0.0, atol=1e-15)


def test_what_an_input_has_is_what_its_movement_adds_on_the_way_from_the_average() -> None:
    game, steps = Game(passive=0), 4000
    moved, way = game.inputs - game.mean, (np.arange(steps) + 0.5) / steps
    points = torch.tensor(game.mean + way[:, None, None] * moved, requires_grad=True)
    rows = game.bottom.double()(points.reshape(-1, INPUTS))
    game.top.double()(rows, [], torch.empty((len(rows), 0))).sum().backward()
    expected = points.grad.numpy().mean(axis=0) * moved
    game.top.float()
    game.bottom.float()
    np.testing.assert_allclose(game.shares[1], expected, atol=2e-3)


def test_equal_inputs_have_equal_shares_and_one_at_its_mean_has_none() -> None:
    game = Game(passive=2)
    with torch.no_grad():
        game.bottom.linear.weight[:, 1] = game.bottom.linear.weight[:, 0]
    game.inputs[:, 1], game.mean[1] = game.inputs[:, 0], game.mean[0]
    game.inputs[:, 2], game.mean[2] = 0.5, 0.5
    _, of_inputs = game.shares
    np.testing.assert_allclose(of_inputs[:, 0], of_inputs[:, 1], atol=1e-12)
    assert (of_inputs[:, 2] == 0).all()
