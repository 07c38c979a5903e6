"""How the banks of a study get to know each other, before they train a model together.

Each bank has met the passive parties in its own sub-study (`fl/studies.py`). In the study of all, the banks are among
themselves: a passive party takes no part in it.

Conversation `meeting/1`, one round trip: `MeetRequest` → `Met` from every bank.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fl.handshake import Introduction
from fl.messages import Reader, Request, Setting, request


@dataclass(frozen=True)
class Met:
    """A bank has checked and kept who the others are."""


@request("meet", to=Reader.LABEL_HOLDER)
@dataclass(frozen=True)
class MeetRequest(Request[Met]):
    """Begins a study of several banks at one of them: who they are, by name."""

    banks: Setting[Mapping[str, Introduction]]
