"""What every conversation that trains is given to train one model, and how it reports on the way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from fl.config.run import TrainingConfig
from fl.evaluation import Evaluation
from fl.splits import Assigned
from fl.workload import Plan, Sizes
from server.exchange import Exchange
from server.progress import Progress, Report


@dataclass(frozen=True, kw_only=True)
class Training:
    """One model to train: whose contender, under which seed, on which split of the rows."""

    contender: str
    seed: int
    assigned: Assigned
    config: TrainingConfig
    on_progress: Report

    @property
    def model(self) -> str:
        """The name under which parties keep the model within the study."""
        return f"{self.contender}/{self.seed}"

    def report(self, step: int, steps: int, party: str, metrics: Mapping[str, float] | None = None) -> None:
        """Tell which party has just done its part of a step of training, and the step's metrics if it has any."""
        self.on_progress(Progress(self.contender, self.seed, step, steps, party, metrics or {}))


class Trainer(Protocol):
    """What the coordinator's half of a conversation that trains offers."""

    def train(self, exchange: Exchange, training: Training) -> Evaluation:
        """Train one model from start to evaluation; the parties keep their parts under `training.model`."""
        ...

    def plan(self, config: TrainingConfig, sizes: Sizes) -> Plan:
        """What training takes by these settings and sizes, before anything runs."""
        ...
