"""How the parties of a study get to know each other: each introduces itself, and each checks all the others."""

from collections.abc import Mapping

from clients.policy import FIRST_USE
from clients.post import Partners
from clients.session import Session
from fl.errors import ProtocolError
from fl.handshake import Introduction
from fl.seals import PublicKeys


def introduce(session: Session) -> Introduction:
    """Who this party is, under its own signature."""
    declared, keys = session.declaration, session.identity.public
    introduction = Introduction(
        name=declared.name,
        holds_label=declared.target is not None,
        sealing=keys.sealing,
        signing=keys.signing,
        settings=session.config.digest,
    )
    return introduction.signed_by(session.identity)


def introduced(session: Session, introductions: Mapping[str, Introduction]) -> Partners:
    """Who takes part in a study.

    Raises ProtocolError when a party is not who it says, runs by other settings, or is not among the partners that
    `party.toml` names, if it names any; PolicyError when it names none and the policy demands that.
    """
    declared = session.declaration
    pinned = {name: PublicKeys.of_text(text) for name, text in declared.partners.items()}
    pinned |= {declared.name: session.identity.public} if pinned else {}
    if introductions.get(declared.name) != introduce(session):
        raise ProtocolError("it is introduced to the others as somebody else")
    for name, party in introductions.items():
        if party.name != name or not party.is_signed:
            raise ProtocolError(f"party {name} has not signed how it is introduced")
        if party.settings != session.config.digest:
            raise ProtocolError(f"party {name} runs by other settings than it")
        if not pinned and name != declared.name:
            session.policy.require("partners", FIRST_USE, f"{name}, whose key does not")
        if pinned and pinned.get(name) != party.keys:
            known = "has another key there" if name in pinned else "is not there"
            raise ProtocolError(f"its party.toml names the partners that it works with, and {name} {known}")
    return Partners(dict(introductions))
