"""What every conversation that trains is given to train one model, and how it reports on the way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from fl.config.run import TrainingConfig
from fl.evaluation import Evaluation
from fl.splits import Assigned
from fl.workload import Plan, Sizes
from server.exchange import Exchange
from server.progress import Progress, Report


def title(contender: str, bank: str, seed: int) -> str:
    """What a person calls a model, such as `federated-boosting, bank_a, seed 1`; bank may be empty."""
    return ", ".join(filter(None, [contender, bank, f"seed {seed}"]))


@dataclass(frozen=True, kw_only=True)
class Training:
    """One model to train: whose contender, under which seed, on which split of the rows.

    Where several banks train a model together, of_banks has the split of each, and assigned says how many rows have
    each role in all, with no split. bank is the one whose model it is, in a federation of several; else empty.
    """

    contender: str
    seed: int
    assigned: Assigned
    config: TrainingConfig
    on_progress: Report
    bank: str = ""
    of_banks: Mapping[str, Assigned] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What a person calls it."""
        return title(self.contender, self.bank, self.seed)

    @property
    def model(self) -> str:
        """The name under which parties keep the model within the study."""
        return f"{self.contender}/{self.seed}"

    def report(self, step: int, steps: int, party: str, metrics: Mapping[str, float] | None = None) -> None:
        """Tell which party has just done its part of a step of training, and the step's metrics if it has any."""
        self.on_progress(Progress(self.contender, self.seed, step, steps, party, metrics or {}))


@dataclass(frozen=True)
class OfBanks:
    """The evaluation of a model that several banks have trained together, on all test rows and on each bank's."""

    whole: Evaluation
    of_banks: Mapping[str, Evaluation]


class Trainer(Protocol):
    """What the coordinator's half of a conversation that trains offers."""

    def train(self, exchange: Exchange, training: Training) -> Evaluation | OfBanks:
        """Train one model from start to evaluation; the parties keep their parts under `training.model`."""
        ...

    def plan(self, config: TrainingConfig, sizes: Sizes) -> Plan:
        """What training takes by these settings and sizes, before anything runs."""
        ...
