"""The network of several banks, trained by one who has all their rows and knows which rows are whose.

It is the twin: federated averaging depends on who has which rows, so it goes through the banks' blocks one after the
other. To be worth something as a check it shares with the program of sums only the encoding, the architecture, the
initial weights and the order of the batches; gradients of the proximal term flow by autograd, the optimiser is
PyTorch's own object, and the mean of the weights is taken in floating point. So it is equal to float tolerance.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from experiments.baselines import Fitted
from fl.banks.grid import Grid, Schema
from fl.banks.network import BANKS, batches
from fl.banks.program import Rows
from fl.config.network import NetworkConfig
from fl.evaluation.measures import log_loss
from fl.network.models import new_bottom, new_top
from fl.network.preprocessing import Encoder
from fl.seeds import generator
from fl.splits import TRAIN, VALIDATION
from fl.tables import Table


class Network(nn.Module):
    """The network of one bank, with the weights that all banks begin with."""

    def __init__(self, inputs: int, bad_rate: float, seed: int, config: NetworkConfig) -> None:
        super().__init__()
        self.bottom = new_bottom(inputs, seed, BANKS, config).module
        self.top = new_top(0, bad_rate, seed, config).module

    def forward(self, inputs: Tensor) -> Tensor:
        """Log odds of default (n,)."""
        logits: Tensor = self.top(self.bottom(inputs), [], torch.empty((len(inputs), 0), dtype=torch.bool))
        return logits

    def log_odds(self, inputs: Tensor) -> NDArray[np.float64]:
        """The same in double precision, outside of training."""
        with torch.no_grad():
            return self(inputs).double().numpy()


def train(banks: Sequence[Rows], schema: Schema, seed: int, config: NetworkConfig) -> Fitted:
    """Train with early stopping on the validation loss; log odds (n,) are of the rows of one bank after the other."""
    torch.set_num_threads(1)
    table = schema.table(Table.stacked([rows.table for rows in banks]))
    labels, roles = (np.concatenate([getattr(rows, name) for rows in banks]) for name in ("labels", "roles"))
    training, validation = (np.flatnonzero(roles == role) for role in (TRAIN, VALIDATION))
    grid = Grid(schema)
    encoder = Encoder.of(grid.counts(grid.addend(table.take(training))), config.bins)
    inputs = torch.from_numpy(encoder.transform(table, np.arange(len(labels))))
    targets = torch.from_numpy(labels.astype(np.float32))
    network = Network(encoder.width, float(labels[training].mean()), seed, config)
    ends = np.cumsum([len(rows) for rows in banks])
    blocks = {rows.name: (end - len(rows), end) for rows, end in zip(banks, ends, strict=True)}
    best, best_loss, best_round, curve = copy.deepcopy(network.state_dict()), np.inf, 0, []
    for number in range(config.rounds + 1):
        scores = network.log_odds(inputs)
        losses = {
            name: log_loss(scores[places], labels[places])
            for name, places in (("train.loss", training), ("valid.loss", validation))
        }
        curve += [losses] if number else []
        if losses["valid.loss"] < best_loss:
            best, best_loss, best_round = copy.deepcopy(network.state_dict()), losses["valid.loss"], number
        if number == config.rounds or number - best_round >= config.patience:
            break
        weights, counts = [], []
        for name, (start, end) in blocks.items():
            places = training[(start <= training) & (training < end)]
            rng = generator(seed, "batches", name, str(number))
            weights.append(_after_round(network, inputs[places], targets[places], rng, config))
            counts.append(len(places))
        mean = np.average(weights, axis=0, weights=counts).astype(np.float32)
        vector_to_parameters(torch.from_numpy(mean), network.parameters())
    network.load_state_dict(best)
    return Fitted(network.log_odds(inputs), curve)


def _after_round(
    network: Network, inputs: Tensor, targets: Tensor, rng: np.random.Generator, config: NetworkConfig
) -> NDArray[np.float64]:
    """The weights (w,) of a bank after its epochs over its training rows, from those of the network on."""
    begun, local = parameters_to_vector(network.parameters()).detach(), copy.deepcopy(network)
    optimiser = torch.optim.SGD(local.parameters(), lr=config.local_rate, weight_decay=config.local_decay)
    for places in batches(len(inputs), rng, config):
        optimiser.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(local(inputs[places]), targets[places])
        distance = (parameters_to_vector(local.parameters()) - begun).square().sum()
        (loss + config.proximal / 2 * distance).backward()
        optimiser.step()
    return parameters_to_vector(local.parameters()).detach().double().numpy()
