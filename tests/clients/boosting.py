"""What the tests of boosting have in common."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from clients.store import Store
from fl.boosting import (
    BeginRequest,
    GrowRequest,
    Level,
    StartRequest,
    Task,
)
from fl.boosting.forest import Splits
from fl.messages import Letter
from fl.splits import Split
from server.coordinator import assign_roles, train, train_reserve
from server.progress import Progress, ignore
from server.training import Training

MODEL = "federated-boosting/1"


def trained(run) -> tuple[np.ndarray, list[Progress]]:
    """Train under seed 1: the roles, and the events that had metrics."""
    events: list[Progress] = []
    assigned = assign_roles(run.federation, 1)
    train_reserve(run.federation, assigned, 1, ignore)
    train(
        run.federation,
        Training(
            contender="federated-boosting",
            seed=1,
            assigned=assigned,
            config=run.config,
            on_progress=events.append,
        ),
    )
    return assigned.split.read(Split).roles, [event for event in events if event.metrics]


def model(run, party: str) -> Store:
    return Store(Path(run.config.state, party, "s", MODEL))


def watched(run, kind: type) -> list:
    """The requests of a kind to any party, and what each was answered, in a list that grows as the run goes on."""
    seen = []
    ask = run.federation.exchange.ask

    def watch(requests: dict, *rest: object) -> dict:
        replies = ask(requests, *rest)
        seen.extend((r, replies[party]) for party, r in requests.items() if isinstance(r, kind))
        return replies

    run.federation.exchange.ask = watch
    return seen


class Begun:
    """A model after the bank's first demand, for one passive party and one root."""

    def __init__(self, run) -> None:
        self._exchange = run.federation.exchange
        self.split = assign_roles(run.federation, 1).split
        self.started = self.ask(StartRequest(seed=1, split=self.split))
        begin = BeginRequest(seed=1, split=self.split, columns={"tax": self.started.columns})
        self.demand = self.ask(begin, "bank")
        self.task = self.demand.task.read(Task)

    def ask(self, request: object, party: str = "tax"):
        return self._exchange.ask({party: request}, MODEL)[party]

    @property
    def root(self) -> GrowRequest:
        """The demand for the first root, as the coordinator sends it."""
        return GrowRequest(
            task=self.demand.task,
            level=self.demand.levels["tax"],
            gradients=self.demand.gradients,
            sides=None,
        )

    def splitting(self, owner: int, splits: Splits | None = None, **task: object) -> GrowRequest:
        """The same, but that demands to split a root, too."""
        level = Level(owners=np.array([owner], np.int8), splits=splits or Splits.none(), pad=None)
        changed = replace(self.task, **{"lighter_left": np.array([True]), "round": 1} | task)
        return replace(self.root, task=Letter.of(changed), level=Letter.of(level))

    def unsummed(self, owner: int, splits: Splits | None = None, **task: object) -> GrowRequest:
        """A later demand that splits a root and wants no sums."""
        asked = self.splitting(owner, splits, **{"wanted": False, "keys": None} | task)
        return replace(asked, gradients=None)


def folders(run, party: str) -> tuple[Path, Path]:
    """A party's data, and its state."""
    return Path(run.config.data, party), Path(run.config.state, party)
