"""The split network without a split: the same model, batches and seed on the joined table, trained in one piece.

It is the pooled twin: with the defence and party dropout off, a federated network must equal it to float
tolerance. To be worth something as a check it shares only the architecture and the initial weights with the federated
code; gradients flow through the whole model by autograd, and the optimiser is PyTorch's own object.
"""

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.baselines import Fitted
from experiments.joined import Joined
from fl.config.network import NetworkConfig
from fl.errors import ConfigError
from fl.evaluation.measures import log_loss
from fl.metrics import auc
from fl.network import is_look, training_batches
from fl.network.models import learning_rate, new_bottom, new_top
from fl.network.preprocessing import Encoder
from fl.splits import TRAIN, VALIDATION, Roles


class PooledNetwork(nn.Module):
    """All parties' bottom models and the top model in one module."""

    def __init__(self, joined: Joined, roles: Roles, seed: int, config: NetworkConfig) -> None:
        super().__init__()
        training = np.flatnonzero(roles == TRAIN)
        everything = np.arange(len(roles))
        self.inputs: list[Tensor] = []
        bottoms = []
        for name, table in joined.tables.items():
            encoder = Encoder.fit(table, training, config.bins)
            self.inputs.append(torch.from_numpy(encoder.transform(table, everything)))
            bottoms.append(new_bottom(encoder.width, seed, name, config).module)
        passive = list(joined.coverage.values())
        self.present = torch.from_numpy(np.column_stack([np.empty((len(roles), 0), bool), *passive]))
        self.bottoms = nn.ModuleList(bottoms)
        self.top = new_top(len(passive), float(joined.labels[training].mean()), seed, config).module

    def forward(self, positions: NDArray[np.int_]) -> Tensor:
        """Logits at some positions."""
        bank, *passive = (
            bottom(inputs[positions]) for bottom, inputs in zip(self.bottoms, self.inputs, strict=True)
        )
        logits: Tensor = self.top(bank, passive, self.present[positions])
        return logits

    def log_odds(self, positions: NDArray[np.int_]) -> NDArray[np.float64]:
        """Log odds of default at some positions."""
        with torch.no_grad():
            return self(positions).double().numpy()


def train(joined: Joined, roles: Roles, seed: int, config: NetworkConfig) -> Fitted:
    """Train with early stopping on the validation AUC; a step of the curve is a batch.

    As in the federation, nothing is learned from the batch at which training ends, so that it has no training loss.
    Raises ConfigError when the training diverges.
    """
    torch.set_num_threads(1)
    network = PooledNetwork(joined, roles, seed, config)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=config.weight_decay)
    labels = torch.from_numpy(joined.labels.astype(np.float32))
    validation = np.flatnonzero(roles == VALIDATION)
    best_auc, best, looks_without_improvement = -1.0, network.state_dict(), 0
    curve: list[dict[str, float]] = []
    for number, positions in enumerate(training_batches(roles, seed, config), start=1):
        metrics = {}
        if is_look(number, config):
            scores, outcomes = network.log_odds(validation), joined.labels[validation]
            metrics = {"valid.auc": auc(outcomes, scores), "valid.loss": log_loss(scores, outcomes)}
            looks_without_improvement += 1
            if metrics["valid.auc"] > best_auc:
                best_auc, best, looks_without_improvement = (
                    metrics["valid.auc"],
                    copy.deepcopy(network.state_dict()),
                    0,
                )
        curve.append(metrics)
        if number == config.batches or looks_without_improvement >= config.patience:
            break
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(number - 1, config)
        loss = nn.functional.binary_cross_entropy_with_logits(network(positions), labels[positions])
        if not torch.isfinite(loss):
            raise ConfigError("Training diverged: the loss is not finite; lower network.learning-rate.")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        metrics["train.loss"] = loss.item()
    network.load_state_dict(best)
    return Fitted(network.log_odds(np.arange(len(roles))), curve)
