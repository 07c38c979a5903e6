"""A network of several banks: each trains it on its own rows, and they go on from the mean of their weights.

Federated averaging (FedAvg; McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized
Data", AISTATS 2017), and under `network.proximal` FedProx (Li et al., "Federated Optimization in Heterogeneous
Networks", MLSys 2020), which pulls a bank's weights back to where the round began. The network is that of a bank alone
(`fl/network/models.py`): a linear map of the encoded columns to an embedding, and a top model.

The banks add, in this order:

1. their training rows by the cells of the common grid (`grid`), from which the encoding of the columns follows, and how
   many goods and bads train and validate;
2. in each round, the log losses of the training and of the validation rows at the weights that all banks have, and the
   bank's own weights after it has gone on from there, times its training rows. The total by all training rows is the
   mean, from which the next round begins;
3. the losses after the last round.

Weights are those with the least validation loss. They are added as whole numbers of `WEIGHT_UNIT`, so the mean does not
depend on the order of the banks. It does depend on who has which rows, and so does the twin
(`experiments/baselines/banks_network.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from fl.banks.grid import Grid, Schema
from fl.banks.program import Rows
from fl.config.network import NetworkConfig
from fl.errors import ConfigError, ProtocolError
from fl.network import Floats
from fl.network.contributions import contributions
from fl.network.inference import log_odds
from fl.network.models import Bottom, Top, new_bottom, new_top, set_weights
from fl.network.preprocessing import Encoder
from fl.seeds import generator
from fl.splits import TRAIN, VALIDATION

# Batches are small: more threads wait for each other longer than they work, and their number would change sums.
torch.set_num_threads(1)

Integers = NDArray[np.int64]

BANKS = "banks"
"""In place of a party's name, where weights are drawn for all banks."""
WEIGHT_UNIT = 2.0**-24
"""A weight times a number of rows is added as a whole number of this."""
LOSS_UNIT = 2.0**-20
"""And a log loss as one of this."""
_LARGEST = 2.0**60  # of what is added


@dataclass(frozen=True, kw_only=True)
class NetworkState:
    """What a bank has between two sums.

    labels   int64 (2, 2): the goods and bads of the training and of the validation rows of all banks
    encoder  none before the first total
    weights  float32 (w,): where the next round begins, after `round` of them
    best     float32 (w,): the weights with the least validation loss so far, `best_loss`, which came after `best_round`
    losses   float64 (2,): mean log loss of all training and all validation rows at the weights before the last sum
    ended    whether no sum is to come
    """

    labels: Integers
    encoder: Encoder | None = None
    weights: Floats
    round: int = 0
    best: Floats
    best_loss: float = np.inf
    best_round: int = 0
    losses: NDArray[np.float64]
    ended: bool = False


class Network(nn.Module):
    """A bank's bottom and top model in one."""

    def __init__(self, bottom: Bottom, top: Top) -> None:
        super().__init__()
        self.bottom, self.top = bottom, top

    @classmethod
    def of(cls, weights: Floats, inputs: int, config: NetworkConfig) -> "Network":
        """The network of so many inputs with weights (w,)."""
        network = cls(Bottom(inputs, config), Top(0, config))
        set_weights(network, weights)
        return network

    def forward(self, inputs: Tensor) -> Tensor:
        """Log odds of default (n,) from inputs (n, inputs)."""
        return self.top(self.bottom(inputs), [], _nobody(len(inputs)))  # type: ignore[no-any-return]


class NetworkProgram:
    """The network of several banks as a program of sums (`program`)."""

    state = NetworkState

    def __init__(self, config: NetworkConfig, seed: int, schema: Schema) -> None:
        self._config, self._seed, self._schema = config, seed, schema
        self.grid = Grid(schema)

    def begin(self, rows: Rows) -> NetworkState:
        """Nothing is known yet."""
        nothing = np.empty(0, np.float32)
        return NetworkState(
            labels=np.zeros((2, 2), np.int64), weights=nothing, best=nothing, losses=np.empty(0)
        )

    def addend(self, rows: Rows, state: NetworkState) -> Integers | None:
        """What the bank adds next; see the module. Raises ConfigError when its training has diverged."""
        if state.ended:
            return None
        if state.encoder is None:
            labels = [
                np.bincount(rows.labels[rows.roles == role], minlength=2) for role in (TRAIN, VALIDATION)
            ]
            table = self._schema.table(rows.table).take(np.flatnonzero(rows.roles == TRAIN))
            return np.concatenate([*labels, self.grid.addend(table)])
        network = Network.of(state.weights, state.encoder.width, self._config)
        training, validation = (self._inputs(rows, state.encoder, role) for role in (TRAIN, VALIDATION))
        losses = [_sum_of_losses(network, *of_role) for of_role in (training, validation)]
        if state.round == self._config.rounds:
            return np.array(losses, np.int64)
        rng = generator(self._seed, "batches", rows.name, str(state.round))
        self._train(network, *training, rng)
        weights = parameters_to_vector(network.parameters()).detach().double().numpy()
        scaled = np.rint(weights * len(training[0]) / WEIGHT_UNIT)
        if not np.abs(scaled).max() < _LARGEST:
            raise ConfigError(
                "Training diverged: weights are too large or not finite; lower network.local-rate."
            )
        return np.concatenate([losses, scaled]).astype(np.int64)

    def advance(self, rows: Rows, state: NetworkState, total: Integers) -> NetworkState:
        """What all banks make of the total. Raises ProtocolError for one that cannot be."""
        if state.encoder is None:
            return self._begun(state, total)
        last = state.round == self._config.rounds
        if total.shape != (2 + len(state.weights) * (not last),):
            raise ProtocolError(f"the banks' sums must be losses and weights, not {total.shape}")
        losses = total[:2] * LOSS_UNIT / state.labels.sum(axis=1)
        state = replace(state, losses=losses)
        if losses[1] < state.best_loss:
            state = replace(state, best=state.weights, best_loss=float(losses[1]), best_round=state.round)
        if last or state.round - state.best_round >= self._config.patience:
            return replace(state, ended=True)
        mean = total[2:] * WEIGHT_UNIT / state.labels[0].sum()
        return replace(state, weights=mean.astype(np.float32), round=state.round + 1)

    def progress(self, state: NetworkState) -> tuple[int, Mapping[str, float]] | None:
        """The rounds before the last sum, and both log losses after them."""
        judged = state.round - (not state.ended)
        if not len(state.losses) or not judged:
            return None
        training, validation = state.losses.tolist()
        return judged, {"train.loss": training, "valid.loss": validation}

    def log_odds(self, rows: Rows, state: NetworkState) -> NDArray[np.float64]:
        """The log odds (n,) by the best weights, each from its row alone."""
        encoder, network = self._trained(state)
        inputs = encoder.transform(self._schema.table(rows.table), np.arange(len(rows)))
        return log_odds(network.bottom, network.top, inputs, [], _nobody(len(rows)).numpy())

    def shared(self, state: NetworkState) -> NetworkState:
        """See `Program.shared`."""
        return NetworkState(
            labels=np.zeros((2, 2), np.int64),
            encoder=self._trained(state)[0],
            weights=state.best,
            best=state.best,
            losses=np.empty(0),
            ended=True,
        )

    def contributions(self, rows: Rows, state: NetworkState) -> dict[int, NDArray[np.float64]]:
        """What each column adds, by `fl/network/contributions.py`, compared with the banks' mean training row."""
        encoder, network = self._trained(state)
        inputs = encoder.transform(self._schema.table(rows.table), np.arange(len(rows)))
        nobody = _nobody(len(rows)).numpy()
        _, of_inputs = contributions(network.bottom, network.top, inputs, encoder.mean, [], nobody)
        return {
            int(number): of_inputs[:, encoder.columns == number].sum(axis=1)
            for number in np.unique(encoder.columns)
        }

    def _trained(self, state: NetworkState) -> tuple[Encoder, Network]:
        if state.encoder is None:
            raise ProtocolError("the banks' network has no weights yet")
        return state.encoder, Network.of(state.best, state.encoder.width, self._config)

    def _begun(self, state: NetworkState, total: Integers) -> NetworkState:
        """The encoding of the columns, and weights that all banks draw alike."""
        labels, config = total[:4].reshape(2, 2), self._config
        if not labels.all():
            raise ProtocolError("the banks' training and validation rows must hold goods and bads")
        encoder = Encoder.of(self.grid.counts(total[4:]), config.bins)
        if not encoder.width:
            raise ProtocolError("none of the banks' columns tells the training rows apart")
        bad_rate = float(labels[0, 1] / labels[0].sum())
        parts = new_bottom(encoder.width, self._seed, BANKS, config), new_top(0, bad_rate, self._seed, config)
        weights = np.concatenate([part.weights() for part in parts])
        return replace(state, labels=labels, encoder=encoder, weights=weights, best=weights)

    def _inputs(self, rows: Rows, encoder: Encoder, role: int) -> tuple[Tensor, Tensor]:
        """Inputs (k, inputs) and labels (k,) of the rows of a role, both float32."""
        places = np.flatnonzero(rows.roles == role)
        inputs = encoder.transform(self._schema.table(rows.table), places)
        return torch.from_numpy(inputs), torch.from_numpy(rows.labels[places].astype(np.float32))

    def _train(self, network: Network, inputs: Tensor, labels: Tensor, rng: np.random.Generator) -> None:
        """Gradient descent over the batches of a round."""
        config, begun = self._config, [parameter.detach().clone() for parameter in network.parameters()]
        for places in batches(len(inputs), rng, config):
            loss = nn.functional.binary_cross_entropy_with_logits(network(inputs[places]), labels[places])
            network.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            with torch.no_grad():
                for parameter, start in zip(network.parameters(), begun, strict=True):
                    if parameter.grad is not None:
                        pull = config.local_decay * parameter + config.proximal * (parameter - start)
                        parameter.sub_(config.local_rate * (parameter.grad + pull))


def batches(rows: int, rng: np.random.Generator, config: NetworkConfig) -> Iterator[Integers]:
    """The places of the rows in each batch of a round: all of them in a random order, in every epoch anew."""
    for _ in range(config.local_epochs):
        order = rng.permutation(rows)
        yield from np.array_split(order, -(-rows // config.local_batch)) if rows else ()


def _sum_of_losses(network: Network, inputs: Tensor, labels: Tensor) -> int:
    """The sum of the rows' log losses, each in whole units."""
    with torch.no_grad():
        losses = nn.functional.binary_cross_entropy_with_logits(network(inputs), labels, reduction="none")
    return int(np.rint(losses.double().numpy() / LOSS_UNIT).sum())


def _nobody(rows: int) -> Tensor:
    """Which passive party knows which row, (n, 0): there are none."""
    return torch.empty((rows, 0), dtype=torch.bool)
