"""What a party says of itself before anything else, and which federations are refused.

Conversation `handshake/1`, one round trip: `DescribeRequest` → `Description` from every party.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fl.errors import ProtocolError
from fl.messages import Count, PublicKey, Request, Setting, request
from fl.records import encode
from fl.seals import Identity, PublicKeys

KINDS = {"numeric", "categorical"}


@dataclass(frozen=True, kw_only=True)
class Introduction:
    """Who a party is to the others, signed by itself.

    sealing and signing are its public keys (`PublicKeys`), settings the digest of the run's settings as it got them,
    and signature is over all the other fields.
    """

    name: Setting[str]
    holds_label: Setting[bool]
    sealing: PublicKey[bytes]
    signing: PublicKey[bytes]
    settings: Setting[str]
    signature: PublicKey[bytes] = b""

    @property
    def keys(self) -> PublicKeys:
        """Its public keys."""
        return PublicKeys(self.sealing, self.signing)

    def signed_by(self, identity: Identity) -> "Introduction":
        """The same with a signature."""
        return replace(self, signature=identity.signing.sign(self._content))

    @property
    def is_signed(self) -> bool:
        """Whether the owner of its keys has signed it as it is."""
        return self.keys.signed(self._content, self.signature)

    @property
    def _content(self) -> bytes:
        return encode(replace(self, signature=b""))


@dataclass(frozen=True, kw_only=True)
class Description:
    """A party's answer.

    columns, kinds and grades describe the offered columns in order (`numeric` or `categorical`; data grades 1–5
    after JR/T 0197-2020); rows counts the businesses the party knows; target is the kind of the label that it holds
    (`binary`), empty for a passive party; conversations are versions such as `alignment/1`; schema is the SHA-256 of
    its declaration, by which a later change is noticed; introduction is for the other parties, and pinned says whether
    its own `party.toml` names their keys.
    """

    name: Setting[str]
    type: Setting[str]
    columns: Setting[tuple[str, ...]]
    kinds: Setting[tuple[str, ...]]
    grades: Setting[tuple[int, ...]]
    rows: Count
    target: Setting[str]
    conversations: Setting[tuple[str, ...]]
    schema: Setting[str]
    introduction: Setting[Introduction]
    pinned: Setting[bool]


@request("describe", query=True)
@dataclass(frozen=True)
class DescribeRequest(Request[Description]):
    """Asks a party who it is and what it offers."""


@dataclass(frozen=True)
class Roster:
    """The parties of an accepted federation by name: those that hold labels, and the passive ones.

    Not in the order of connection: Flower draws its node ids anew for every run, and a run must be repeatable.
    """

    holders: tuple[str, ...]
    passive: tuple[str, ...]
    descriptions: Mapping[str, Description]

    @property
    def holder(self) -> str:
        """The label holder of a federation that has just one, as vertical conversations need it."""
        (holder,) = self.holders
        return holder

    @property
    def introductions(self) -> dict[str, Introduction]:
        """Of every party, by name."""
        return {name: self.descriptions[name].introduction for name in self.all}

    @property
    def all(self) -> tuple[str, ...]:
        """Every party, the label holders first."""
        return (*self.holders, *self.passive)


def form_roster(descriptions: Mapping[str, Description], conversations: tuple[str, ...]) -> Roster:
    """The roster of parties that described themselves; `conversations` are the versions that the run needs.

    Raises ProtocolError for a federation with no label holder or with several, for a party without one of the
    conversations, or for one that offers no column or does not describe those that it offers.
    """
    holders = tuple(sorted(name for name, about in descriptions.items() if about.target))
    if not holders:
        raise ProtocolError(
            "No party holds the label: one party.toml needs `label`. Parties: "
            + ", ".join(descriptions)
            + "."
        )
    if len(holders) > 1:
        raise ProtocolError(
            f"The label is held by {' and by '.join(holders)}; in a vertical federation exactly one party may hold it."
        )
    for name, about in descriptions.items():
        _check(name, about, conversations)
    return Roster(holders, tuple(sorted(descriptions.keys() - set(holders))), descriptions)


def _check(name: str, about: Description, conversations: tuple[str, ...]) -> None:
    missing = [version for version in conversations if version not in about.conversations]
    if missing:
        raise ProtocolError(
            f"Party {name} does not speak {', '.join(missing)}; it speaks {', '.join(about.conversations)}."
        )
    if not about.columns:
        raise ProtocolError(f"Party {name} offers no column; declare at least one in its party.toml.")
    if not len(set(about.columns)) == len(about.columns) == len(about.kinds) == len(about.grades):
        raise ProtocolError(f"Party {name} must describe each of its columns once, by a kind and a grade.")
    if not set(about.kinds) <= KINDS:
        raise ProtocolError(f"Party {name} has columns of other kinds than {' and '.join(sorted(KINDS))}.")
