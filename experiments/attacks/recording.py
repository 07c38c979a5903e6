"""A real run on the inline backend of which the messages that arrive at a party are kept, as a curious party would.

Nothing else differs from an ordinary run: the parties, the coordinator and the configuration are the same. The parties'
state goes to a folder that is thrown away, and nothing is logged to MLflow.
"""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, ClassVar, Self, TypeVar, cast

import numpy as np
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

from clients.app import PartyApp
from clients.data.declaration import read_declaration
from clients.session import state_folder
from clients.store import Store
from experiments.attacks.keyring import Keyring
from experiments.backends.inline import InlineGrid
from experiments.dataset import only_holder
from experiments.joined import Joined, read_joined
from fl.config.network import NetworkConfig
from fl.config.run import TrainingConfig
from fl.errors import ConfigError
from fl.evaluation import Evaluation
from fl.messages import declaration_of
from fl.network.preprocessing import Encoder
from fl.protocols import conversation_of, message_type
from fl.splits import TRAIN, Roles, Split
from fl.wire import envelope_of, refusal_in, unpack
from server.coordinator import assign_roles, connect, train_reserve
from server.progress import Report
from server.training import Trainer, Training

Body = TypeVar("Body")


class Tap(ClientApp):
    """Stands in front of the parties' ClientApp and keeps a copy of the messages that an attack can use.

    messages are by party, in their order: each request of one of the `kept` classes that the party answered, and after
    it the reply.
    """

    kept: ClassVar[tuple[type[Any], ...]]

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        self.config = config
        self.keyring = Keyring(config)
        self.messages: defaultdict[str, list[Any]] = defaultdict(list)
        self._app = PartyApp()
        self._parties = [read_declaration(config.data_folder / folder).name for folder in config.parties]
        self._kinds = {message_type(kind): kind for kind in self.kept}

    def __call__(self, message: Message, context: Context) -> Message:
        """Let the party answer the request, and keep both."""
        reply = self._app(message, context)
        kind = self._kinds.get(message.metadata.message_type)
        if kind is not None and refusal_in(reply.content) is None:
            party = int(context.node_config["partition-id"])
            messages = self.messages[self._parties[party]]
            messages += [
                self.keyring.opened(unpack(message.content, kind)),
                self.keyring.opened(unpack(reply.content, *declaration_of(kind).replies)),
            ]
            envelope = envelope_of(message.content)
            state = state_folder(self.config, self.config.data_folder / self.config.parties[party])
            self.note(Store(state / envelope.study / envelope.model), messages)
        return reply

    def note(self, model: Store, messages: list[Any]) -> None:
        """Add to a party's messages what else it knows after its last reply, by its store of the model."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One federated model and what every party received while it was trained.

    name, seed and config say under which settings; messages are of each party, in their order; roles (n,) and joined
    are the truth by which attacks are judged.
    """

    contender: ClassVar[str]
    tap: ClassVar[type[Tap]]
    variants: ClassVar[Callable[[Any], dict[str, Any]]]
    """The settings that are compared, by name, from those of the run, which must be among them."""

    name: str
    seed: int
    config: TrainingConfig
    messages: Mapping[str, list[Any]]
    joined: Joined
    roles: Roles
    evaluation: Evaluation

    @classmethod
    def of_runs(
        cls, config: TrainingConfig, report: Report, variants: Mapping[str, object]
    ) -> Iterator[Self]:
        """Train under every seed and each variant of the contender's settings, in that order, each as its own study.

        The first party of the configuration holds the label, as in `experiments.dataset.Dataset`. Raises what an
        ordinary run raises when the federation fails.
        """
        with tempfile.TemporaryDirectory(prefix="siloscore-") as folder:
            config = replace(config, state=folder, contenders=(cls.contender,))
            for number, (seed, (name, section)) in enumerate(product(config.seeds, variants.items())):
                tap = cls.tap(replace(config.with_section(section), study=f"{config.study}-{number}"))
                yield cls.of_run(name, seed, tap, lambda event, name=name: report(replace(event, stage=name)))

    @classmethod
    def of_run(cls, name: str, seed: int, tap: Tap, report: Report) -> Self:
        """Train under one seed, behind the tap."""
        trainer = cast(Trainer, conversation_of(cls.contender).half("server"))
        federation = connect(InlineGrid(tap.config, tap), tap.config, report)
        assigned = assign_roles(federation, seed)
        train_reserve(federation, assigned, seed, report)
        training = Training(
            contender=cls.contender, seed=seed, assigned=assigned, config=tap.config, on_progress=report
        )
        evaluation = trainer.train(federation.exchange, training)
        return cls(
            name=name,
            seed=seed,
            config=tap.config,
            messages=tap.messages,
            joined=read_joined(tap.config, tap.config.parties[0]),
            roles=tap.keyring.read(assigned.split, Split).roles,
            evaluation=cast(Evaluation, evaluation),
        )

    @classmethod
    def attacker(cls, config: TrainingConfig, party: str) -> str:
        """The party of that name, or the first that could attack: a passive one. ConfigError if there is none."""
        return chosen(config, party, passive=True)

    @classmethod
    def settings_of(cls, config: TrainingConfig) -> Any:
        """The section of the settings that the model follows, of which there are variants."""
        return config.sections[conversation_of(cls.contender).name]

    def received(self, kind: type[Body], party: str) -> list[Body]:
        """Those of a party's messages that are of this class, in their order."""
        return [message for message in self.messages[party] if isinstance(message, kind)]

    def own_inputs(self, party: str) -> NDArray[np.float32]:
        """A party's own columns as its network sees them, (n, inputs), the yardstick of every attack.

        A row is zeros where the party knows nothing.
        """
        table, bins = self.joined.tables[party], self.config.section(NetworkConfig).bins
        return Encoder.fit(table, np.flatnonzero(self.roles == TRAIN), bins).transform(
            table, np.arange(len(table))
        )


def chosen(config: TrainingConfig, party: str, passive: bool) -> str:
    """The passive party or the bank of that name, or the first one.

    Raises ConfigError when there is none, and when a passive party is to attack and there are several banks.
    """
    if passive:
        only_holder(config.data_folder, config.parties)
    declared = [read_declaration(config.data_folder / name) for name in config.parties]
    able = [declaration.name for declaration in declared if (declaration.label is None) == passive]
    wanted = party or next(iter(able), party)
    if wanted not in able:
        kind = "passive party" if passive else "bank"
        raise ConfigError(f"There is no {kind} {party!r}; there are {', '.join(able) or 'none'}.")
    return wanted
