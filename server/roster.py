"""Who takes part in a run, and which federations are refused.

What the coordinator asks of the parties, it asks by their role. How many there are of each is known here alone.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from fl.errors import ProtocolError
from fl.handshake import Description, Introduction
from fl.messages import Reader
from fl.protocols import HORIZONTAL, HYBRID, VERTICAL, Conversation

_KINDS = {"numeric", "categorical"}


@dataclass(frozen=True)
class Roster:
    """The parties of an accepted federation by name: those that hold labels, and the passive ones.

    Not in the order of connection: Flower draws its node ids anew for every run, and a run must be repeatable.
    """

    holders: tuple[str, ...] = ()
    passive: tuple[str, ...] = ()
    descriptions: Mapping[str, Description] = field(default_factory=dict)

    @property
    def holder(self) -> str:
        """The label holder of a vertical federation, or of a bank's sub-study: there is just one."""
        (holder,) = self.holders
        return holder

    def of_bank(self, bank: str) -> "Roster":
        """The same without the other banks."""
        return replace(self, holders=(bank,))

    @property
    def introductions(self) -> dict[str, Introduction]:
        """Of every party that takes part, by name."""
        return {name: self.descriptions[name].introduction for name in self.of(Reader.PARTIES)}

    @property
    def layout(self) -> str:
        """How the data are laid out among the parties: one of those that a conversation names (`fl/protocols.py`)."""
        if len(self.holders) == 1:
            return VERTICAL
        return HYBRID if self.passive else HORIZONTAL

    def of(self, role: Reader) -> tuple[str, ...]:
        """The parties of a role; of all of them, the label holders come first."""
        return {
            Reader.LABEL_HOLDER: self.holders,
            Reader.PASSIVE: self.passive,
            Reader.PARTIES: (*self.holders, *self.passive),
        }[role]


def form_roster(descriptions: Mapping[str, Description], conversations: Collection[Conversation]) -> Roster:
    """The roster of parties that described themselves, for a run that needs these conversations.

    Raises ProtocolError for a federation with no label holder, or of a layout that one of the conversations is not for;
    for banks with different columns; for a party that does not speak one of them, and for one that offers no column or
    does not describe those that it offers. With several banks, what is for vertical federations goes on in each bank's
    sub-study.
    """
    holders = tuple(sorted(name for name, about in descriptions.items() if about.target))
    if not holders:
        raise ProtocolError(
            "No party holds the label: one party.toml needs `label`. Parties: "
            + ", ".join(descriptions)
            + "."
        )
    roster = Roster(holders, tuple(sorted(descriptions.keys() - set(holders))), descriptions)
    for conversation in conversations:
        if conversation.contenders and not {roster.layout, VERTICAL} & set(conversation.layouts):
            raise ProtocolError(
                f"The label is held by {' and by '.join(holders)}, so this federation is {roster.layout}; "
                f"{conversation.announced} is for {' or '.join(conversation.layouts)} ones, in which several banks "
                "hold the label."
            )
    spoken = [c.announced for c in conversations if {roster.layout, VERTICAL} & set(c.layouts)]
    for name, about in descriptions.items():
        _check(name, about, spoken)
    first, *others = (descriptions[name] for name in holders)
    for about in others:
        if set(zip(about.columns, about.kinds, strict=True)) != set(
            zip(first.columns, first.kinds, strict=True)
        ):
            raise ProtocolError(
                f"Banks {first.name} and {about.name} offer different columns; declare the same in both party.toml."
            )
    return roster


def _check(name: str, about: Description, versions: Collection[str]) -> None:
    missing = [version for version in versions if version not in about.conversations]
    if missing:
        raise ProtocolError(
            f"Party {name} does not speak {', '.join(missing)}; it speaks {', '.join(about.conversations)}."
        )
    if not about.columns:
        raise ProtocolError(f"Party {name} offers no column; declare at least one in its party.toml.")
    if not len(set(about.columns)) == len(about.columns) == len(about.kinds) == len(about.grades):
        raise ProtocolError(f"Party {name} must describe each of its columns once, by a kind and a grade.")
    if not set(about.kinds) <= _KINDS:
        raise ProtocolError(f"Party {name} has columns of other kinds than {' and '.join(sorted(_KINDS))}.")
