"""Every conversation that parties can have, declared once; all else derives from this list.

What a party registers and announces, what a coordinator offers, which settings a run has, which contenders a study has,
which order of requests a party accepts, and who reads what: each follows from `CONVERSATIONS`, read at the moment of
use. To add a protocol, write its messages, its section of settings and its two halves, and add a line here.

Each is a module: the messages are `fl.<name>`, the party's half is `clients.<name>`, the coordinator's `server.<name>`.
Those of a protocol of another distribution are `<package>.messages`, `<package>.clients` and `<package>.server`. They
are imported at first use: in deployment Flower starts a fresh process for every message.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from fl.config.banks import BanksConfig
from fl.config.blend import BlendConfig
from fl.config.boosting import BoostingConfig
from fl.config.network import NetworkConfig
from fl.config.scorecard import ScorecardConfig
from fl.errors import ConfigError, ProtocolError
from fl.messages import declaration_of

VERTICAL, HORIZONTAL, HYBRID = "vertical", "horizontal", "hybrid"
"""Layouts of the data: parties hold other columns, other rows, or both."""


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """One conversation between the coordinator and the parties.

    name        also the section of its settings
    version     parties that speak to each other speak the same
    layouts     of the data that its halves are for
    settings    the class of its section of the settings, if it has one
    contenders  what a study can train by it
    follows     other conversations, by whose settings it trains, too
    states      names of its states within a study, `*` for a seed and empty for the study's own; if none is named, a
                model of each contender and seed
    package     where its modules are, if they are not this project's
    """

    name: str
    version: int
    layouts: tuple[str, ...] = (VERTICAL,)
    settings: type[Any] | None = None
    contenders: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    package: str = ""

    def keeps(self, model: str) -> bool:
        """Whether a state of this name within a study is one of this conversation's, such as `federated-network/1`."""
        name, _, seed = model.rpartition("/")
        with_seed = f"{name}/*" if seed.isascii() and seed.isdecimal() else model
        return with_seed in (self.states or [f"{contender}/*" for contender in self.contenders])

    @property
    def announced(self) -> str:
        """Name and version, such as `boosting/1`."""
        return f"{self.name}/{self.version}"

    @property
    def messages(self) -> str:
        """Name of the module that declares its requests."""
        return f"{self.package}.messages" if self.package else f"fl.{self.name}"

    @property
    def requests(self) -> tuple[type[Any], ...]:
        """Its request classes, in the order of their definition."""
        return _requests_in(self.messages)

    def message_type(self, request: type[Any]) -> str:
        """Flower's message type of one of its request classes, such as `train.boosting_grow`."""
        declaration = declaration_of(request)
        return f"{'query' if declaration.is_query else 'train'}.{self.name}_{declaration.action}"

    def answer(self, action: str) -> Callable[[Any, Any], Any]:
        """The function of the party's half that answers a request: `action(session, request) -> reply`."""
        function: Callable[[Any, Any], Any] = vars(self.half("clients"))[action]
        return function

    def half(self, room: str) -> ModuleType:
        """Its half in `clients` or in `server`."""
        return import_module(f"{self.package}.{room}" if self.package else f"{room}.{self.name}")


# They do not change, and every message is looked up among those of all modules.
@cache
def _requests_in(module: str) -> tuple[type[Any], ...]:
    return tuple(
        kind
        for kind in vars(import_module(module)).values()
        if isinstance(kind, type) and kind.__module__ == module and "__declaration__" in vars(kind)
    )


CONVERSATIONS: tuple[Conversation, ...] = (
    Conversation(name="handshake", version=1, layouts=(VERTICAL, HORIZONTAL, HYBRID)),
    Conversation(name="alignment", version=1, states=("",)),
    Conversation(name="splits", version=1, states=("splits/*",)),
    Conversation(name="reserve", version=1, states=("bank-only-boosting/*",)),
    Conversation(name="scoring", version=2, states=("answers",)),
    Conversation(name="meeting", version=1, layouts=(HORIZONTAL, HYBRID), states=("",)),
    Conversation(
        name="boosting",
        version=1,
        # Of a model of several banks, passive parties have a part for each of them.
        states=("federated-boosting/*", "hybrid-boosting/*"),
        settings=BoostingConfig,
        contenders=("federated-boosting",),
    ),
    Conversation(
        name="network",
        version=1,
        settings=NetworkConfig,
        contenders=("federated-network",),
    ),
    Conversation(
        name="scorecard",
        version=1,
        settings=ScorecardConfig,
        contenders=("federated-scorecard",),
    ),
    # It comes after the others of a bank and its partners, since it is made of their models.
    Conversation(
        name="blend",
        version=1,
        settings=BlendConfig,
        contenders=("federated-blend",),
    ),
    Conversation(
        name="banks",
        version=1,
        layouts=(HORIZONTAL, HYBRID),
        settings=BanksConfig,
        contenders=("banks-boosting", "banks-network", "banks-scorecard"),
        follows=("boosting", "network", "scorecard"),
    ),
    Conversation(
        name="hybrid",
        version=1,
        layouts=(HYBRID,),
        contenders=("hybrid-boosting",),
        follows=("boosting", "banks"),
    ),
    Conversation(
        name="hybrid_scorecard",
        version=1,
        layouts=(HYBRID,),
        contenders=("hybrid-scorecard",),
        follows=("scorecard", "banks"),
    ),
    # It trains nothing, and keeps what `banks` has trained.
    Conversation(
        name="joining",
        version=1,
        layouts=(HORIZONTAL,),
        states=("banks-boosting/*", "banks-network/*", "banks-scorecard/*"),
    ),
)


def federated_contenders() -> dict[str, Conversation]:
    """What a federation can train, by the conversation that does it."""
    return {name: conversation for conversation in CONVERSATIONS for name in conversation.contenders}


def vertical_contenders() -> dict[str, Conversation]:
    """Those of them that one label holder trains with the passive parties."""
    return {name: one for name, one in federated_contenders().items() if VERTICAL in one.layouts}


def essential() -> tuple[Conversation, ...]:
    """The conversations that train no contender: every run needs some of them."""
    return tuple(conversation for conversation in CONVERSATIONS if not conversation.contenders)


def algorithms() -> tuple[str, ...]:
    """The algorithms of a bank and its partners: the conversations that train models in a vertical federation."""
    return tuple(one.name for one in CONVERSATIONS if one.contenders and VERTICAL in one.layouts)


def conversation_of(contender: str) -> Conversation:
    """The conversation that trains a contender. Raises ConfigError if there is none of that name."""
    offered = federated_contenders()
    if contender not in offered:
        raise ConfigError(f"There is no federated contender {contender!r}; there are {', '.join(offered)}.")
    return offered[contender]


def announced(version: str) -> Conversation:
    """The conversation that is announced as `version`. Raises ProtocolError if there is none."""
    for conversation in CONVERSATIONS:
        if conversation.announced == version:
            return conversation
    raise ProtocolError(f"there is no conversation {version[:100]!r}")


def actions() -> Iterator[tuple[Conversation, type[Any]]]:
    """Every request class, with its conversation."""
    for conversation in CONVERSATIONS:
        for kind in conversation.requests:
            yield conversation, kind


def message_type(request: type[Any]) -> str:
    """The message type of a request class, by which Flower names its kind. ProtocolError if it has none."""
    for conversation in CONVERSATIONS:
        if conversation.messages == request.__module__ and request in conversation.requests:
            return conversation.message_type(request)
    raise ProtocolError(f"{request.__name__} is no request of any conversation")


def request_of(message_type: str) -> tuple[Conversation, type[Any]]:
    """The conversation and the request class of a message type. ProtocolError if there is none."""
    name = message_type.partition(".")[2]
    for conversation in CONVERSATIONS:
        if name.startswith(f"{conversation.name}_"):
            for kind in conversation.requests:
                if conversation.message_type(kind) == message_type:
                    return conversation, kind
    raise ProtocolError(f"there is no request {message_type[:100]!r}")
