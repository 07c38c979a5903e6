"""What a party says of itself before anything else, and which federations are refused.

Protocol `handshake/1`, one round trip: `DescribeRequest` → `Description` from every party.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fl.errors import ProtocolError

VERSION = "handshake/1"
KINDS = {"numeric", "categorical"}


@dataclass(frozen=True)
class DescribeRequest:
    """Asks a party who it is and what it offers."""


@dataclass(frozen=True)
class Description:
    """A party's answer.

    columns, kinds and grades describe the offered columns in order (`numeric` or `categorical`; data grades 1–5
    after JR/T 0197-2020); rows counts the businesses the party knows; protocols are versions such as `alignment/1`;
    schema is the SHA-256 of its declaration, by which a later change is noticed.
    """

    name: str
    type: str
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    grades: tuple[int, ...]
    rows: int
    holds_label: bool
    protocols: tuple[str, ...]
    schema: str


@dataclass(frozen=True)
class Roster:
    """The parties of an accepted federation: the one that holds the label, and the others by name.

    Not in the order of connection: Flower draws its node ids anew for every run, and a run must be repeatable.
    """

    active: str
    passive: tuple[str, ...]
    descriptions: Mapping[str, Description]

    @property
    def all(self) -> tuple[str, ...]:
        """Every party, the active one first."""
        return (self.active, *self.passive)


def form_roster(descriptions: Mapping[str, Description], protocols: tuple[str, ...]) -> Roster:
    """The roster of parties that described themselves; `protocols` are those that the run needs.

    Raises ProtocolError for a federation with no label holder or with several, for a party without one of the
    protocols, or for one that offers no column or does not describe those that it offers.
    """
    active = [name for name, about in descriptions.items() if about.holds_label]
    if not active:
        raise ProtocolError(
            "No party holds the label: one party.toml needs `label`. Parties: "
            + ", ".join(descriptions)
            + "."
        )
    if len(active) > 1:
        raise ProtocolError(f"The label is held by {' and by '.join(active)}; exactly one party may hold it.")
    for name, about in descriptions.items():
        missing = [version for version in protocols if version not in about.protocols]
        if missing:
            raise ProtocolError(
                f"Party {name} does not speak {', '.join(missing)}; it speaks {', '.join(about.protocols)}."
            )
        if not about.columns:
            raise ProtocolError(f"Party {name} offers no column; declare at least one in its party.toml.")
        if not len(set(about.columns)) == len(about.columns) == len(about.kinds) == len(about.grades):
            raise ProtocolError(
                f"Party {name} must describe each of its columns once, by a kind and a grade."
            )
        if not set(about.kinds) <= KINDS:
            raise ProtocolError(
                f"Party {name} has columns of other kinds than {' and '.join(sorted(KINDS))}."
            )
    passive = tuple(sorted(name for name in descriptions if name != active[0]))
    return Roster(active[0], passive, descriptions)
