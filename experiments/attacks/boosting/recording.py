"""A real run of boosting, recorded: what each party received, what it replied, and which sums the bank opened.

The gradients travel under the engine `plain`. Every engine opens the same sums, and no attack on a passive party's or
the coordinator's side looks at the gradients, so a run under encryption gives the same figures; it only takes longer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flwr.app import Context, Message
from numpy.typing import NDArray

from clients.boosting.label_holder import BankState
from clients.session import state_folder
from clients.store import Store
from experiments.attacks.recording import Tap, aligned, of_kind, train_tapped
from experiments.joined import Joined, read_joined
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
from fl.boosting.growth import Growth
from fl.config.boosting import BoostingConfig
from fl.config.run import TrainingConfig
from fl.evaluation import Evaluation
from fl.protocols import message_type
from fl.records import decode
from fl.splits import TEST, TRAIN, Roles
from fl.wire import envelope_of, refusal_in, unpack
from server.progress import Report

_KEPT = (BeginRequest, SplitRequest, GrowRequest, SumRequest, ScoreRequest)


@dataclass(frozen=True)
class Demand:
    """What the letters of a demand say, to each passive party by name, and where their splits then sent rows, (n,)."""

    task: Task
    levels: Mapping[str, Level]
    members: Mapping[str, NDArray[np.bool_]]


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


@dataclass(frozen=True, kw_only=True)
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
        return tuple(self.joined.coverage)

    @property
    def demands(self) -> list[Demand]:
        """All that the bank demanded."""
        messages, rows = self.messages[self.joined.active], len(self.positions)
        return [
            Demand(
                demanded.task.read(Task),
                {party: letter.read(Level) for party, letter in demanded.levels.items()},
                {
                    party: unpacked(letter.read(Members).left, rows)
                    for party, letter in request.members.items()
                },
            )
            for demanded, request in zip(
                of_kind(Demanded, messages), of_kind(SplitRequest, messages), strict=True
            )
        ]

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
        (request,) = of_kind(BeginRequest, self.messages[self.joined.active])
        return request.columns[party].read(Columns).shape

    def outcomes(self, party: str) -> Array:
        """Where each split of a passive party sends the test rows: packed bits (s, ⌈t/8⌉)."""
        (request,) = of_kind(ScoreRequest, self.messages[self.joined.active])
        return request.outcomes[party].read(Outcomes).outcomes


class _BankTap(Tap):
    """Keeps, too, which sums the bank had before it at each demand: they stand in the state that it keeps."""

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__(config, _KEPT)
        self.opened: list[Opened] = []

    def __call__(self, message: Message, context: Context) -> Message:
        """As `Tap`, and read the bank's state after its demands."""
        reply = super().__call__(message, context)
        kinds = {message_type(kind): kind for kind in (BeginRequest, SplitRequest)}
        kind = kinds.get(message.metadata.message_type)
        if kind is not None and refusal_in(reply.content) is None:
            study = state_folder(self.config, self.config.data_folder / self.config.parties[0])
            envelope = envelope_of(message.content)
            state = Store(study / envelope.study / envelope.model).last().state
            if state:  # none when training has ended
                self._note(decode(BankState, state).growth, unpack(message.content, kind))
        return reply

    def _note(self, growth: Growth, request: BeginRequest | SplitRequest) -> None:
        last = self.opened[-1] if self.opened else Opened(0, np.empty((0, 2), np.int64), [], {})
        same = np.array_equal(last.gradients, growth.gradients)
        gradients = last.gradients if same else growth.gradients
        # A demand made anew, now that it is known where rows go, has no new sums before it.
        letters = request.sums if isinstance(request, SplitRequest) else {}
        homes = {party: letter.read(Sums).homes for party, letter in letters.items()} or last.homes
        self.opened.append(Opened(growth.tree, gradients, growth.sums[1:], homes))


def record(
    config: TrainingConfig, report: Report, options: Mapping[str, BoostingConfig]
) -> Iterator[Recording]:
    """Align once, then grow a forest under every seed and each of some settings; a recording of each, in that order.

    The first party of the configuration holds the label. Raises what an ordinary run raises when the federation fails.
    """
    with aligned(config, report) as (config, alignment):
        for seed in config.seeds:
            for name, option in options.items():
                tap = _BankTap(config.with_section(replace(option, encryption="plain")))
                roles, evaluation = train_tapped(
                    tap, alignment, contender="federated-boosting", name=name, seed=seed, report=report
                )
                yield Recording(
                    name=name,
                    seed=seed,
                    config=option,
                    messages=tap.messages,
                    opened=tap.opened,
                    joined=read_joined(config, config.parties[0]),
                    roles=roles,
                    evaluation=evaluation,
                )
