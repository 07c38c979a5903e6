"""What a party says of itself before anything else.

Conversation `handshake/1`, one round trip: `DescribeRequest` → `Description` from every party.
"""

from dataclasses import dataclass, replace

from fl.messages import Count, PublicKey, Request, Setting, request
from fl.records import encode
from fl.seals import Identity, PublicKeys


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
