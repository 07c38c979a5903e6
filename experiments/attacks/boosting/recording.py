"""A real run of boosting, recorded: what each party received, what it replied, and which sums the bank opened.

The gradients travel under the engine `plain`. Every engine opens the same sums, and no attack on a passive party's or
the coordinator's side looks at the gradients, so a run under encryption gives the same figures; it only takes longer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Context, Message
from numpy.typing import NDArray

from clients.store import Store
from experiments.attacks.recording import Kept, Tap, aligned, train_tapped
from experiments.joined import Joined, read_joined
from fl.boosting import (
    Array,
    BeginRequest,
    Demanded,
    Grown,
    GrowRequest,
    ScoreRequest,
    SplitRequest,
    SumRequest,
)
from fl.boosting.growth import Growth
from fl.config.boosting import BoostingConfig
from fl.config.run import RunConfig
from fl.evaluation import Evaluation
from fl.messages import envelope_of, refusal_in
from fl.splits import TEST, TRAIN, Roles
from server import boosting
from server.progress import Report

_KEPT: Kept = {
    "train.boosting_begin": (BeginRequest, Demanded),
    "train.boosting_split": (SplitRequest, Demanded),
    "train.boosting_grow": (GrowRequest, Grown),
    "train.boosting_add_up": (SumRequest,),
    "evaluate.boosting_score": (ScoreRequest,),
}
_DEMANDS = ("train.boosting_begin", "train.boosting_split")
_GROWTH = "growth/"  # before what the bank keeps of its growing trees (`clients/boosting/label_holder.py`)


@dataclass(frozen=True)
class Opened:
    """What the bank knew when it made a demand: of which tree, the gradients, and the k nodes' sums and merged bins.

    gradients is int64 (n, 2); sums are int64 (k, c, width, 2) of each passive party, none where none took part; homes
    are uint8 (k, c, width) by its name (`fl/boosting/merging.py`).
    """

    tree: int
    gradients: NDArray[np.int64]
    sums: Sequence[NDArray[np.int64]]
    homes: Mapping[str, Array]


@dataclass(frozen=True)
class Recording:
    """One federated forest and what every party received while it grew.

    name, seed and config say under which settings; messages are of each party, in their order; opened has an entry
    for each demand of the bank's; roles (n,) and joined are the truth by which attacks are judged.
    """

    name: str
    seed: int
    config: BoostingConfig
    messages: Mapping[str, list[Any]]
    opened: list[Opened]
    joined: Joined
    roles: Roles
    evaluation: Evaluation

    @property
    def parties(self) -> tuple[str, ...]:
        """The passive parties, in the order of their numbers."""
        return tuple(self.begin.parties)

    @property
    def begin(self) -> BeginRequest:
        """The bank's first message, with the shapes of all columns."""
        return next(m for m in self.messages[self.joined.active] if isinstance(m, BeginRequest))

    @property
    def demands(self) -> list[tuple[Demanded, SplitRequest]]:
        """What the bank demanded, and what came back to it."""
        messages = self.messages[self.joined.active]
        demands = [message for message in messages if isinstance(message, Demanded)]
        replies = [message for message in messages if isinstance(message, SplitRequest)]
        return list(zip(demands, replies, strict=False))

    @property
    def positions(self) -> NDArray[np.int_]:
        """Of the rows that train or validate, of which messages speak, (n,)."""
        return np.flatnonzero(self.roles != TEST)

    @property
    def training(self) -> NDArray[np.bool_]:
        """Which of those train, (n,)."""
        return self.roles[self.positions] == TRAIN


class _BankTap(Tap):
    """Keeps, too, which sums the bank had before it at each demand: they stand in the state that it keeps."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config, _KEPT)
        self.opened: list[Opened] = []
        self._bank = Path(config.state) / config.party_names[0]

    def __call__(self, message: Message, context: Context) -> Message:
        """As `Tap`, and read the bank's state after its demands."""
        reply = super().__call__(message, context)
        if message.metadata.message_type in _DEMANDS and refusal_in(reply.content) is None:
            envelope = envelope_of(message.content)
            state = Store(self._bank / envelope.study / envelope.model).last().state
            arrays = {name.removeprefix(_GROWTH): a for name, a in state.items() if name.startswith(_GROWTH)}
            if arrays:  # none when training has ended
                bank = self.messages[self._parties[0]]
                self._note(Growth.from_arrays(arrays), bank[-2])
        return reply

    def _note(self, growth: Growth, request: object) -> None:
        last = self.opened[-1] if self.opened else Opened(0, np.empty((0, 2), np.int64), [], {})
        same = np.array_equal(last.gradients, growth.gradients)
        gradients = last.gradients if same else growth.gradients.copy()
        # A demand made anew, now that it is known where rows go, has no new sums before it.
        told = request.homes if isinstance(request, SplitRequest) else {}
        homes = told if any(of_party.size for of_party in told.values()) else last.homes
        self.opened.append(Opened(growth.tree, gradients, [sums.copy() for sums in growth.sums[1:]], homes))


def record(config: RunConfig, report: Report, options: Mapping[str, BoostingConfig]) -> Iterator[Recording]:
    """Align once, then grow a forest under every seed and each of some settings; a recording of each, in that order.

    The first party of the configuration holds the label. Raises what an ordinary run raises when the federation fails.
    """
    with aligned(config, report) as (config, alignment):
        for seed in config.seed_numbers:
            for name, option in options.items():
                settings = replace(config, boosting=replace(option, encryption="plain"))
                tap = _BankTap(settings)
                roles, evaluation = train_tapped(settings, alignment, name, seed, report, boosting, tap)
                joined = read_joined(config, config.party_names[0])
                yield Recording(name, seed, option, tap.messages, tap.opened, joined, roles, evaluation)
