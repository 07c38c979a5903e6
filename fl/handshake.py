"""What a party says of itself before anything else.

Conversation `handshake/1`, one round trip: `DescribeRequest` → `Description` from every party.
"""

from dataclasses import dataclass

from fl.messages import Count, Request, Setting, request


@dataclass(frozen=True, kw_only=True)
class Description:
    """A party's answer.

    columns, kinds and grades describe the offered columns in order (`numeric` or `categorical`; data grades 1–5
    after JR/T 0197-2020); rows counts the businesses the party knows; target is the kind of the label that it holds
    (`binary`), empty for a passive party; conversations are versions such as `alignment/1`; schema is the SHA-256 of
    its declaration, by which a later change is noticed.
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


@request("describe", query=True)
@dataclass(frozen=True)
class DescribeRequest(Request[Description]):
    """Asks a party who it is and what it offers."""
