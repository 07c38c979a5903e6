"""What every protocol is given to train one model, and how it reports on the way."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fl.config import RunConfig
from server.progress import Progress, Report


@dataclass(frozen=True)
class Training:
    """One model to train: whose contender, under which seed, on which rows (roles int8 (n,))."""

    contender: str
    seed: int
    roles: NDArray[np.int8]
    config: RunConfig
    on_progress: Report

    @property
    def model(self) -> str:
        """The name under which parties keep the model within the study."""
        return f"{self.contender}/{self.seed}"

    def report(self, step: int, steps: int, party: str, metrics: Mapping[str, float] | None = None) -> None:
        """Tell which party has just done its part of a step of training, and the step's metrics if it has any."""
        self.on_progress(Progress(self.contender, self.seed, step, steps, party, metrics or {}))
