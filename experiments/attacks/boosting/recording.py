"""A recorded run of boosting: what each party received, what it replied, and which sums the bank opened.

The gradients travel under the engine `plain`. Every engine opens the same sums, and no attack on a passive party's or
the coordinator's side looks at the gradients, so a run under encryption gives the same figures; it only takes longer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clients.boosting.label_holder import BankState
from clients.store import Store
from experiments.attacks import recording
from fl.binning import Shape
from fl.boosting import (
    Array,
    BeginRequest,
    Columns,
    Demanded,
    GrowRequest,
    Level,
    Members,
    Outcomes,
    ScoreRequest,
    SplitRequest,
    SumRequest,
    Sums,
    Task,
    unpacked,
)
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.records import decode
from fl.splits import TEST, TRAIN

LARGER = 5


@dataclass(frozen=True)
class Demand:
    """What the letters of a demand say, to each passive party by name, and where their splits sent rows, (p, n)."""

    task: Task
    levels: Mapping[str, Level]
    members: Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Opened:
    """What the bank knew when it made a demand: of which round, the gradients, and the k nodes' sums and merged bins.

    gradients is int64 (n, 2); sums are int64 (k, c, width, 2) of each passive party, none where none took part; homes
    are uint8 (k, c, width) by its name (`fl/boosting/merging.py`).
    """

    round: int
    gradients: NDArray[np.int64]
    sums: Sequence[NDArray[np.int64]]
    homes: Mapping[str, Array]


def options(config: BoostingConfig) -> dict[str, BoostingConfig]:
    """What is compared: the settings as they are, and with each option that should hide labels (`boosting.…`).

    `bank-first` is first-tree-bank-only, and `leaves-200` is min-leaf-count=200: leaves `LARGER` times larger.
    """
    count = LARGER * config.min_leaf_count
    return {
        "as-set": config,
        "bank-first": replace(config, first_tree_bank_only=True),
        f"leaves-{count}": replace(config, min_leaf_count=count),
    }


class Tap(recording.Tap):
    """Keeps, too, which sums the bank had before it at each demand: they stand in the state that it keeps."""

    kept = (BeginRequest, SplitRequest, GrowRequest, SumRequest, ScoreRequest)

    def __init__(self, config: TrainingConfig) -> None:
        boosting = config.section(BoostingConfig)
        super().__init__(config.with_section(replace(boosting, encryption="plain")))

    def note(self, model: Store, messages: list[Any]) -> None:
        """Add an `Opened` to each demand of the bank's."""
        request, reply = messages[-2:]
        if not isinstance(reply, Demanded):
            return
        growth = decode(BankState, model.last().state).growth
        # A demand made anew, now that it is known where rows go, has no new sums before it.
        letters = request.sums if isinstance(request, SplitRequest) else {}
        homes = {party: letter.read(Sums).homes for party, letter in letters.items()}
        earlier = [message for message in messages if isinstance(message, Opened)]
        last = earlier[-1] if earlier else Opened(0, growth.gradients, [], {})
        # Equal ones are kept once, to save memory.
        same = np.array_equal(last.gradients, growth.gradients)
        gradients = last.gradients if same else growth.gradients
        messages.append(Opened(growth.round, gradients, growth.sums[1:], homes or last.homes))


class Recording(recording.Recording):
    """One federated forest and what every party received while it grew."""

    contender = "federated-boosting"
    tap = Tap
    variants = staticmethod(options)

    @property
    def parties(self) -> tuple[str, ...]:
        """The passive parties, in the order of their numbers."""
        return tuple(self.joined.coverage)

    @property
    def demands(self) -> list[Demand]:
        """All that the bank demanded."""
        bank, rows = self.joined.holder, len(self.positions)
        asked = zip(self.received(Demanded, bank), self.received(SplitRequest, bank), strict=True)
        return [
            Demand(
                demanded.task.read(Task),
                {party: letter.read(Level) for party, letter in demanded.levels.items()},
                {
                    party: unpacked(letter.read(Members).left, rows)
                    for party, letter in request.members.items()
                },
            )
            for demanded, request in asked
        ]

    @property
    def opened(self) -> list[Opened]:
        """What the bank knew at each of its demands."""
        return self.received(Opened, self.joined.holder)

    @property
    def positions(self) -> NDArray[np.int_]:
        """Of the rows that train or validate, of which messages speak, (n,)."""
        return np.flatnonzero(self.roles != TEST)

    @property
    def training(self) -> NDArray[np.bool_]:
        """Which of those train, (n,)."""
        return self.roles[self.positions] == TRAIN

    def shape(self, party: str) -> Shape:
        """What the bank was told of a passive party's columns."""
        (request,) = self.received(BeginRequest, self.joined.holder)
        return request.columns[party].read(Columns).shape

    def outcomes(self, party: str) -> Array:
        """Where each split of a passive party sends the test rows: packed bits (s, ⌈t/8⌉)."""
        (request,) = self.received(ScoreRequest, self.joined.holder)
        return request.outcomes[party].read(Outcomes).outcomes
